"""From a recording of any length, rate and number of channels to who plays when. It touches no file.

The rule, and why it is so:

1. The recording is heard in windows that begin a quarter of the network's length after one another; see
   `audio.listening.windows` for their ends, silence and channels.
2. Of every moment all windows speak that reach over it, the more the nearer it lies to their middle: half a sine over
   the window weighs their logits, whose mean its log odds are. The last window's moments go to the nearest ones of the
   others.
3. Of moments that only silent windows reach over nothing is said.

Memory grows by a number for each candidate and 0.26 s.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from audio.activity import Activity
from audio.listening.windows import candidate_vector, hear_windows
from av_sep.errors import ParameterError

HOPS_PER_WINDOW = 4


class StreamActivityDetector:
    """Hears with a network who plays when.

    Args:
        network: an `audio.activity_detector.network.ActivityDetector`, or anything with its `options`, `instruments`,
            `moment_samples` and `predict_on_batch`.

    Raises:
        ParameterError: for windows that do not begin with a moment each.
    """

    def __init__(self, network):
        window_samples, moment_samples = network.options["window_samples"], network.moment_samples
        if window_samples % (HOPS_PER_WINDOW * moment_samples):
            raise ParameterError(
                f"Expected a window of a multiple of {HOPS_PER_WINDOW} moments."
                f" Received: window_samples={window_samples}, moment_samples={moment_samples}"
            )
        self.network = network

    @property
    def instruments(self) -> tuple[str, ...]:
        """Instruments that it knows, in order."""
        return tuple(self.network.instruments)

    def track(
        self, blocks: Iterable[np.ndarray], sample_rate_hz: float, candidates: Sequence[str] | None = None
    ) -> Activity:
        """Hears a stream; how it is cut into blocks does not matter.

        Windows below -70 dBFS are passed over, so quiet recordings must be turned up first (`audio.level`).

        Args:
            blocks: `[time, channels]` of any lengths, finite.
            sample_rate_hz: of the stream.
            candidates: the instruments that can play, by name; None where nothing is known.

        Returns:
            Log odds of the candidates, in the order of `instruments`, at the middles of moments.

        Raises:
            ParameterError: for blocks and rates that cannot be used, and candidates that it does not know.
        """
        known = candidate_vector(self.instruments, candidates)
        asked = np.flatnonzero(known)
        moment_samples = self.network.moment_samples
        hop = self.network.options["window_samples"] // HOPS_PER_WINDOW
        windows = hear_windows(self.network, blocks, sample_rate_hz, known, hop)
        sounding = (
            (round(start / moment_samples), logits[:, asked]) for start, logits in windows if logits is not None
        )
        moments = list(overlapped(sounding))
        middles = np.array([moment + 0.5 for moment, _ in moments])
        log_odds = np.array([row for _, row in moments], np.float32).reshape(len(moments), len(asked))
        names = tuple(self.instruments[i] for i in asked)
        return Activity(names, middles * (moment_samples / self.network.options["sample_rate_hz"]), log_odds)


def overlapped(windows: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """Weighted means of what windows say of the moments that they share: rule 2.

    Args:
        windows: the moment with which each begins, in order, and its values `[num_moments, num_values]`.

    Yields:
        (moment, mean values `[num_values]`), in order, for all moments that a window reaches over.
    """
    first, sums, weights = 0, np.zeros((0, 0)), np.zeros(0)
    for start, values in windows:
        if not len(weights):
            first, sums = start, np.zeros((0, values.shape[1]))
        # Nobody after this one speaks of what lies before it.
        num_done = min(start - first, len(weights))
        yield from _means(first, sums[:num_done], weights[:num_done])
        missing = len(values) - (len(weights) - num_done)
        sums = np.pad(sums[num_done:], ((0, missing), (0, 0)))
        weights = np.pad(weights[num_done:], (0, missing))
        first = start
        half_sine = np.sin(np.pi * (np.arange(len(values)) + 0.5) / len(values))
        sums += half_sine[:, None] * values
        weights += half_sine
    yield from _means(first, sums, weights)


def _means(first: int, sums: np.ndarray, weights: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for moment, (total, weight) in enumerate(zip(sums, weights, strict=True), first):
        yield moment, total / weight
