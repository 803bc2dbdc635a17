"""From a stream to windows of a network's length, rate and one channel, and to what the network says of them.

The rule, and why it is so:

1. Windows begin a hop after one another, the last one ends with the recording. What is shorter than a window is
   repeated until it fills one.
2. A window whose level is below -70 dBFS says nothing: neither that an instrument plays nor that it does not.
3. Channels are averaged; where that cancels most of a window (channels out of phase), its loudest channel is heard.

A listening network takes `{"waveform": [batch, window_samples], "candidates": [batch, num_instruments]}`; its `options`
hold `window_samples` and `sample_rate_hz`, and its `instruments` are the candidates' names in order.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from audio.resampling import StreamResampler
from audio.stream_blocks import validated_block
from av_sep.errors import ParameterError

SILENCE_DBFS = -70.0
CANCELLED_DB = -15.0  # of the sum of channels, relative to their mean level
WINDOWS_PER_BATCH = 8


def candidate_vector(instruments: Sequence[str], candidates: Sequence[str] | None) -> np.ndarray:
    """Candidates as a network takes them, float32 `[num_instruments]`; all of them for None.

    Raises:
        ParameterError: for no candidate and for one that is none of the instruments.
    """
    if candidates is not None and not len(candidates):
        raise ParameterError("Expected at least one candidate. Received: none")
    if candidates is None:
        return np.ones(len(instruments), np.float32)
    unknown = [name for name in candidates if name not in instruments]
    if unknown:
        raise ParameterError(f"Expected candidates among {', '.join(instruments)}. Received: {', '.join(unknown)}")
    return np.array([name in candidates for name in instruments], np.float32)


def hear_windows(
    network, blocks: Iterable[np.ndarray], sample_rate_hz: float, known: np.ndarray, hop: int
) -> Iterator[tuple[int, np.ndarray | None]]:
    """Where every window begins, in samples at the network's rate, and what the network says of it; None for silence.

    The sounding ones are in order, and so are the silent ones, which may come before others that began earlier.

    Args:
        network: a listening network.
        blocks: `[time, channels]` of any lengths, finite.
        sample_rate_hz: of the stream.
        known: the candidates, `[num_instruments]`.
        hop: samples at the network's rate from one window's beginning to the next one's.

    Raises:
        ParameterError: for blocks and rates that cannot be used.
    """
    starts: list[int] = []
    sounding: list[np.ndarray] = []
    for start, window in _windows(network.options, blocks, sample_rate_hz, hop):
        heard = to_one_channel(window)
        if heard is None:
            yield start, None
            continue
        starts.append(start)
        sounding.append(heard)
        if len(sounding) == WINDOWS_PER_BATCH:
            yield from zip(starts, _outputs(network, sounding, known), strict=True)
            starts, sounding = [], []
    if sounding:
        yield from zip(starts, _outputs(network, sounding, known), strict=True)


def _windows(
    options, blocks: Iterable[np.ndarray], sample_rate_hz: float, hop: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Where windows begin and they `[window_samples, channels]`, in samples at the network's rate: rule 1."""
    if not 0 < sample_rate_hz < math.inf:
        raise ParameterError(f"Expected a positive sample rate in Hz. Received: sample_rate_hz={sample_rate_hz}")
    cutter = None
    for block in blocks:
        block = validated_block(block, cutter.num_channels if cutter else None)
        if cutter is None:
            cutter = WindowCutter(options["window_samples"], hop, block.shape[1])
            resampler = StreamResampler(sample_rate_hz, options["sample_rate_hz"], block.shape[1])
        yield from cutter.push(resampler.process(block))
    if cutter is not None:
        yield from cutter.push(resampler.process(np.zeros((0, cutter.num_channels), np.float32), last=True))
        yield from cutter.finish()


def _outputs(network, windows: Sequence[np.ndarray], known: np.ndarray) -> np.ndarray:
    """`[num_windows, …]` of windows `[window_samples]`, float64."""
    # Always the same number of windows, for the network is compiled anew for every other.
    batch = np.zeros((WINDOWS_PER_BATCH, len(windows[0])), np.float32)
    batch[: len(windows)] = windows
    inputs = {"waveform": batch, "candidates": np.repeat(known[None], WINDOWS_PER_BATCH, axis=0)}
    return np.asarray(network.predict_on_batch(inputs), np.float64)[: len(windows)]


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
