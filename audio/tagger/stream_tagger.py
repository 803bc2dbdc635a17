"""From a recording of any length, rate and number of channels to what plays in it, and when. It touches no file.

The rule, and why it is so:

1. The recording is heard in windows of the network's length, each beginning half a window after the one before, the
   last one ending with the recording. What is shorter than a window is repeated until it fills one.
2. A window whose level is below -70 dBFS says nothing: neither that an instrument plays nor that it does not.
3. Channels are averaged; where that cancels most of a window (channels out of phase), its loudest channel is heard.
4. A window's logits become confidences by a temperature and a bias per instrument, measured on sounds that the network
   was not trained on (see the model card).
5. Over the recording an instrument gets the mean of its best `TOP_FRACTION` of sounding windows: a player who rests
   for most of a piece must not be diluted, and a single wrong window must not create him.
6. Who is told what can play listens for that alone: all other instruments get 0.
7. The activity over time (`StreamTagger.track_activity`) is heard in windows that begin an eighth of a window after
   each other, and not pooled: each speaks for what it hears, but for a tenth at both ends (see `audio.activity`).

Memory does not grow with the recording: of the confidences so far only a histogram is kept, `NUM_BINS` bins wide; the
activity keeps 13 numbers for each 0.4 s.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from audio.activity import Activity
from audio.resampling import StreamResampler
from audio.stream_blocks import validated_block
from av_sep.errors import ParameterError

TOP_FRACTION = 0.5  # of the sounding windows; see rule 5
SILENCE_DBFS = -70.0
CANCELLED_DB = -15.0  # of the sum of channels, relative to their mean level
NUM_BINS = 512
WINDOWS_PER_BATCH = 8
HOPS_PER_WINDOW = 2
ACTIVITY_HOPS_PER_WINDOW = 8
# Of a window, to both sides of its middle: what it hears at its edges is too little to tell who rests there.
ACTIVITY_REACH = 0.4


@dataclass(frozen=True, eq=False)
class Hearing:
    """What was heard in a recording.

    Attributes:
        instruments: names in order.
        confidences: float32 `[num_instruments]` in [0, 1]; zeros where nothing sounds.
        num_windows: how many windows were heard.
        num_sounding_windows: how many of them were not silent.
    """

    instruments: tuple[str, ...]
    confidences: np.ndarray
    num_windows: int
    num_sounding_windows: int


class StreamTagger:
    """Hears recordings with a network.

    Args:
        network: an `audio.tagger.network.InstrumentTagger`, or anything with its `options`, `instruments` and
            `predict_on_batch`.
        temperature: logits are divided by it.
        bias: added to the logits after that, `[num_instruments]`.

    Raises:
        ParameterError: for a temperature not above 0 and another number of biases.
    """

    def __init__(self, network, *, temperature: float = 1.0, bias: Sequence[float] | None = None):
        self.network = network
        self.temperature = temperature
        self.bias = np.zeros(len(network.instruments)) if bias is None else np.asarray(bias, np.float64)
        if not temperature > 0:
            raise ParameterError(f"Expected a temperature above 0. Received: temperature={temperature}")
        if self.bias.shape != (len(network.instruments),):
            raise ParameterError(
                f"Expected one bias for each of the {len(network.instruments)} instruments."
                f" Received: shape {self.bias.shape}"
            )

    @property
    def instruments(self) -> tuple[str, ...]:
        """Instruments that it knows, in order."""
        return tuple(self.network.instruments)

    def tag(
        self, waveform: np.ndarray, sample_rate_hz: float, candidates: Sequence[str] | None = None
    ) -> Hearing:
        """Hears a whole waveform `[time, channels]`; see `listen`."""
        return self.listen([waveform], sample_rate_hz, candidates)

    def listen(
        self, blocks: Iterable[np.ndarray], sample_rate_hz: float, candidates: Sequence[str] | None = None
    ) -> Hearing:
        """Hears a stream; how it is cut into blocks does not matter.

        Args:
            blocks: `[time, channels]` of any lengths, finite; see rule 2 for what is too soft to be heard.
            sample_rate_hz: of the stream.
            candidates: the instruments that can play, by name; None where nothing is known.

        Raises:
            ParameterError: for blocks and rates that cannot be used, and candidates that it does not know.
        """
        known = self._known(candidates)
        pool = ConfidencePool(len(self.instruments))
        num_windows = 0
        for _, log_odds in self._heard(blocks, sample_rate_hz, known, HOPS_PER_WINDOW):
            num_windows += 1
            if log_odds is not None:
                pool.add(known * expit(log_odds)[None])
        return Hearing(self.instruments, pool.top_mean(TOP_FRACTION), num_windows, pool.num_windows)

    def track_activity(
        self, blocks: Iterable[np.ndarray], sample_rate_hz: float, candidates: Sequence[str] | None = None
    ) -> Activity:
        """Hears who plays when; see `listen` for arguments and errors.

        Windows below -70 dBFS are passed over, so quiet recordings must be turned up first (`audio.level`).

        Returns:
            Log odds of the candidates, in the order of `instruments`, every eighth of a window where something sounds.
        """
        known = self._known(candidates)
        heard = self._heard(blocks, sample_rate_hz, known, ACTIVITY_HOPS_PER_WINDOW)
        moments = [(seconds, log_odds) for seconds, log_odds in heard if log_odds is not None]
        rows = np.array([log_odds for _, log_odds in moments], np.float32).reshape(len(moments), len(known))
        asked = np.flatnonzero(known)
        names = tuple(self.instruments[i] for i in asked)
        window_seconds = self.network.options["window_samples"] / self.network.options["sample_rate_hz"]
        times_seconds = np.array([seconds for seconds, _ in moments])
        return Activity(names, times_seconds, rows[:, asked], ACTIVITY_REACH * window_seconds)

    def _heard(
        self, blocks: Iterable[np.ndarray], sample_rate_hz: float, known: np.ndarray, hops_per_window: int
    ) -> Iterator[tuple[float, np.ndarray | None]]:
        """Middle of every window in seconds, and its log odds `[num_instruments]`; None for a silent one.

        The sounding ones are in order, and so are the silent ones, which may come before others that began earlier.
        """
        rate, length = self.network.options["sample_rate_hz"], self.network.options["window_samples"]
        moments: list[float] = []
        sounding: list[np.ndarray] = []
        for start, window in self._windows(blocks, sample_rate_hz, length // hops_per_window):
            seconds, heard = (start + length / 2) / rate, to_one_channel(window)
            if heard is None:
                yield seconds, None
                continue
            moments.append(seconds)
            sounding.append(heard)
            if len(sounding) == WINDOWS_PER_BATCH:
                yield from zip(moments, self._log_odds(sounding, known), strict=True)
                moments, sounding = [], []
        if sounding:
            yield from zip(moments, self._log_odds(sounding, known), strict=True)

    def _windows(
        self, blocks: Iterable[np.ndarray], sample_rate_hz: float, hop: int
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Where windows begin and they `[window_samples, channels]`, in samples at the network's rate: rule 1."""
        if not 0 < sample_rate_hz < math.inf:
            raise ParameterError(f"Expected a positive sample rate in Hz. Received: sample_rate_hz={sample_rate_hz}")
        length, rate = self.network.options["window_samples"], self.network.options["sample_rate_hz"]
        cutter = None
        for block in blocks:
            block = validated_block(block, cutter.num_channels if cutter else None)
            if cutter is None:
                cutter = WindowCutter(length, hop, block.shape[1])
                resampler = StreamResampler(sample_rate_hz, rate, block.shape[1])
            yield from cutter.push(resampler.process(block))
        if cutter is not None:
            yield from cutter.push(resampler.process(np.zeros((0, cutter.num_channels), np.float32), last=True))
            yield from cutter.finish()

    def _known(self, candidates: Sequence[str] | None) -> np.ndarray:
        """Candidates as the network takes them, float32 `[num_instruments]`."""
        if candidates is not None and not len(candidates):
            raise ParameterError("Expected at least one candidate. Received: none")
        if candidates is None:
            return np.ones(len(self.instruments), np.float32)
        unknown = [name for name in candidates if name not in self.instruments]
        if unknown:
            raise ParameterError(
                f"Expected candidates among {', '.join(self.instruments)}. Received: {', '.join(unknown)}"
            )
        return np.array([name in candidates for name in self.instruments], np.float32)

    def _log_odds(self, windows: Sequence[np.ndarray], known: np.ndarray) -> np.ndarray:
        """`[num_windows, num_instruments]` of windows `[window_samples]`: rule 4."""
        # Always the same number of windows, for the network is compiled anew for every other.
        batch = np.zeros((WINDOWS_PER_BATCH, len(windows[0])), np.float32)
        batch[: len(windows)] = windows
        inputs = {"waveform": batch, "candidates": np.repeat(known[None], WINDOWS_PER_BATCH, axis=0)}
        logits = np.asarray(self.network.predict_on_batch(inputs), np.float64)[: len(windows)]
        return logits / self.temperature + self.bias


class WindowCutter:
    """Overlapping windows of a stream that arrives in blocks; it keeps no more than a window and a block.

    Args:
        length: of a window in samples.
        hop: from one window's beginning to the next one's.
        num_channels: of the stream.
    """

    def __init__(self, length: int, hop: int, num_channels: int):
        self.length, self.hop, self.num_channels = length, hop, num_channels
        self._kept = np.zeros((0, num_channels), np.float32)
        self._num_dropped = 0  # samples before the first one kept
        self._start = 0  # of the next window, counted from the first sample kept

    def push(self, block: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Takes samples `[time, channels]` and yields (start in samples, complete window `[length, channels]`)."""
        self._kept = np.concatenate([self._kept, block])
        while len(self._kept) >= self._start + self.length:
            yield self._num_dropped + self._start, self._kept[self._start : self._start + self.length]
            self._start += self.hop
        # The last window may begin up to a window's length before the end.
        surplus = max(len(self._kept) - self.length, 0)
        self._kept, self._start = self._kept[surplus:], self._start - surplus
        self._num_dropped += surplus

    def finish(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the window that ends with the stream, unless it came already."""
        is_complete = self._start + self.length - self.hop == len(self._kept) and self._start > 0
        if is_complete or not len(self._kept):
            return
        yield self._num_dropped, np.resize(self._kept, (self.length, self.num_channels))


def to_one_channel(window: np.ndarray) -> np.ndarray | None:
    """A window `[time, channels]` as `[time]`: rule 3; None for a silent one: rule 2."""
    level = np.sqrt(np.mean(np.square(window, dtype=np.float64)))
    if level < 10 ** (SILENCE_DBFS / 20):
        return None
    mean = window.mean(axis=1)
    if np.sqrt(np.mean(np.square(mean, dtype=np.float64))) >= level * 10 ** (CANCELLED_DB / 20):
        return mean
    return window[:, np.argmax(np.sum(np.square(window, dtype=np.float64), axis=0))]


class ConfidencePool:
    """Mean of the best confidences of each instrument over any number of windows, in memory that does not grow.

    Counts and sums are kept by bins of confidence, so only the bin that the limit falls into is not split exactly:
    the result is off by less than a bin's width.

    Args:
        num_instruments: how many.
    """

    def __init__(self, num_instruments: int):
        self.num_windows = 0
        self._counts = np.zeros((num_instruments, NUM_BINS), np.int64)
        self._sums = np.zeros((num_instruments, NUM_BINS))

    def add(self, confidences: np.ndarray) -> None:
        """Takes confidences `[num_windows, num_instruments]` in [0, 1]."""
        bins = np.minimum((confidences * NUM_BINS).astype(np.int64), NUM_BINS - 1)
        instruments = np.broadcast_to(np.arange(confidences.shape[1]), confidences.shape)
        np.add.at(self._counts, (instruments, bins), 1)
        np.add.at(self._sums, (instruments, bins), confidences)
        self.num_windows += len(confidences)

    def top_mean(self, fraction: float) -> np.ndarray:
        """Mean of the highest `fraction` of windows, one at least, float32 `[num_instruments]`; 0 without windows."""
        if not self.num_windows:
            return np.zeros(len(self._counts), np.float32)
        num_top = max(1, int(np.ceil(fraction * self.num_windows)))
        counts, sums = self._counts[:, ::-1], self._sums[:, ::-1]
        taken = np.clip(num_top - (np.cumsum(counts, axis=1) - counts), 0, counts)
        means = sums / np.maximum(counts, 1)
        return (np.sum(taken * means, axis=1) / num_top).astype(np.float32)
