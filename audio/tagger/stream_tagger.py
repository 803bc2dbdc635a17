"""From a recording of any length, rate and number of channels to what plays in it. It touches no file.

The rule, and why it is so:

1. The recording is heard in windows of the network's length, each beginning half a window after the one before; see
   `audio.listening.windows` for their ends, silence and channels.
2. A window's logits become confidences by a temperature and a bias per instrument, measured on sounds that the network
   was not trained on (see the model card).
3. Over the recording an instrument gets the mean of its best `TOP_FRACTION` of sounding windows: a player who rests
   for most of a piece must not be diluted, and a single wrong window must not create him.
4. Who is told what can play listens for that alone: all other instruments get 0.

Memory does not grow with the recording: of the confidences so far only a histogram is kept, `NUM_BINS` bins wide.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from audio.listening.windows import candidate_vector, hear_windows
from av_sep.errors import ParameterError

TOP_FRACTION = 0.5  # of the sounding windows; see rule 3
NUM_BINS = 512
HOPS_PER_WINDOW = 2


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
            blocks: `[time, channels]` of any lengths, finite; see `audio.listening.windows` for what is too soft.
            sample_rate_hz: of the stream.
            candidates: the instruments that can play, by name; None where nothing is known.

        Raises:
            ParameterError: for blocks and rates that cannot be used, and candidates that it does not know.
        """
        known = candidate_vector(self.instruments, candidates)
        pool = ConfidencePool(len(self.instruments))
        num_windows = 0
        hop = self.network.options["window_samples"] // HOPS_PER_WINDOW
        for _, logits in hear_windows(self.network, blocks, sample_rate_hz, known, hop):
            num_windows += 1
            if logits is not None:
                pool.add(known * expit(logits / self.temperature + self.bias)[None])
        return Hearing(self.instruments, pool.top_mean(TOP_FRACTION), num_windows, pool.num_windows)


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
