"""Instrument activity: who plays when, as a listener says, and the prior weight that it gives to each estimate.

A label says that an instrument plays in a recording, not that it plays all the time; and a label may be wrong. Where a
listener (`audio.activity_detector`) is sure that an instrument rests, its estimate should be silent, and what a
separator put there belongs to the others.

Who is known to play, because a person named him or a camera shows him, plays at some time: a listener that hardly ever
hears him hears badly, and may only say when he is likelier than at other times (`Activity.believing`). Labels that
were guessed by ear get no such help, but the benefit of the doubt.

The rule: an instrument's weight at a time is `exp(SHARPNESS * min(0, l))` of the log odds l of its playing then, to
which `BENEFIT_OF_DOUBT` is added for who is not known to play: only who is heard to rest loses anything, and the surer
that is the more. Nobody is judged alone: weights matter only in relation to each other (see `audio.reweighting`).

The numbers were chosen on mixtures like those of `benchmarks/rests.py`, and on short ones and on pieces in which nobody
rests for long. Without benefit of the doubt guessed players lost 0.3 dB in short ones on average, known ones nothing.
In trios of these pieces known ones lost 0.2 dB where their best times were taken for log odds of 3, and nothing as it
is; in trios of others they lose 0.2 dB as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from av_sep.errors import ParameterError

SHARPNESS = 3.0
BENEFIT_OF_DOUBT = 1.5  # log odds
BELIEVED_LOG_ODDS = 5.0
# Of the times, in which an instrument that is known to play is taken to play; a few are enough, for it may play little.
BEST_SHARE = 0.25
MOST_BEST_TIMES = 12


@dataclass(frozen=True, eq=False)
class Activity:
    """What was heard, time by time.

    Attributes:
        instruments: names in order.
        times_seconds: rising, float64 `[num_times]`.
        log_odds: of each playing then, float32 `[num_times, num_instruments]`.
        known: who is known to play at some time; see `believing`.

    Raises:
        ParameterError: for shapes that do not fit, times that do not rise and values that are no numbers.
    """

    instruments: tuple[str, ...]
    times_seconds: np.ndarray
    log_odds: np.ndarray
    known: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        expected = (len(self.times_seconds), len(self.instruments))
        if self.log_odds.shape != expected:
            raise ParameterError(f"Expected log odds of shape {expected}. Received: shape {self.log_odds.shape}")
        if not (np.all(np.isfinite(self.log_odds)) and np.all(np.isfinite(self.times_seconds))):
            raise ParameterError("Expected finite times and log odds. Received: NaN or infinity")
        if np.any(np.diff(self.times_seconds) <= 0):
            raise ParameterError(f"Expected rising times. Received: {self.times_seconds.tolist()}")

    def require(self, instruments: Sequence[str]) -> None:
        """Raises ParameterError for an instrument that nobody listened for."""
        unknown = [name for name in instruments if name not in self.instruments]
        if unknown:
            raise ParameterError(f"Expected instruments that were listened for. Received: {', '.join(unknown)}")

    def believing(self, instruments: Sequence[str]) -> "Activity":
        """The same, where some instruments are known to play.

        Where the mean of the best `BEST_SHARE` of one's log odds, at most `MOST_BEST_TIMES` of them, is below
        `BELIEVED_LOG_ODDS`, all of his are raised by what it lacks.

        Args:
            instruments: who is known to play; others are left as they are.
        """
        num_best = min(int(np.ceil(BEST_SHARE * len(self.times_seconds))), MOST_BEST_TIMES)
        if not num_best:
            return self
        best = np.sort(self.log_odds, axis=0)[-num_best:].mean(axis=0)
        known = tuple(name for name in self.instruments if name in instruments or name in self.known)
        is_known = np.array([name in known for name in self.instruments])
        lacking = np.where(is_known, np.maximum(BELIEVED_LOG_ODDS - best, 0), 0).astype(self.log_odds.dtype)
        return replace(self, log_odds=self.log_odds + lacking, known=known)

    def weights(self, instruments: Sequence[str], times_seconds: np.ndarray) -> np.ndarray:
        """Prior weights in units of the greatest at each time.

        Between the times that were heard logarithms of weights are interpolated; before the first and after the last
        they stay. Where nothing was heard at all, everybody weighs the same.

        Args:
            instruments: whose, by name.
            times_seconds: when, `[num_wanted]`.

        Returns:
            Weights in [0, 1], float32 `[num_instruments, num_wanted]`.

        Raises:
            ParameterError: for an instrument that nobody listened for.
        """
        self.require(instruments)
        if not len(self.times_seconds):
            return np.ones((len(instruments), len(times_seconds)), np.float32)
        columns = [self.instruments.index(name) for name in instruments]
        rows = [np.interp(times_seconds, self.times_seconds, self._log_weights[column]) for column in columns]
        log_weights = np.array(rows).reshape(len(columns), len(times_seconds))
        return np.exp(log_weights - log_weights.max(axis=0, initial=-np.inf)).astype(np.float32)

    @cached_property
    def _log_weights(self) -> np.ndarray:
        """`[num_instruments, num_times]`; rows as `np.interp` takes them without copying all of them at every call."""
        benefit = np.where([name in self.known for name in self.instruments], 0, BENEFIT_OF_DOUBT)
        log_weights = SHARPNESS * np.minimum(self.log_odds + benefit, 0)
        return np.ascontiguousarray(log_weights.T, np.float64)
