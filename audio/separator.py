"""From a mixture of any length, rate and number of channels to one estimate per instrument. It touches no file.

What it promises, for every model:
    * the estimates have the mixture's length, rate and channels, to the sample;
    * an instrument whose label is 0 is exactly silent;
    * with `mixture_consistency` the active estimates add up to the mixture, in any case estimates plus residual do;
    * where an activity is given, who is heard to rest is silent, and the others get what his stem held;
    * where notes are shared out, estimates add up to what they did before;
    * how the stream is cut into blocks and chunks cannot be heard (equal to 1e-6);
    * with a chunked model, memory does not grow with the length of the stream.

Conventions: mixtures and blocks are float32 `[time, channels]`, label vectors `[num_sources]` in [0, 1] in the order
of the model's `source_names`, estimates `[num_sources, time, channels]`. Models that hear chunks hear one channel
at a time, models of whole mixtures all of them.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from audio.activity import Activity
from audio.label_vectors import validated_labels
from audio.level import working_gain
from audio.note_sharing import MOST_STEMS, NoteSharing
from audio.resampling import StreamResampler
from audio.reweighting import Reweighter, share_difference
from audio.separation_model import SeparationModel, WholeMixtureModel
from audio.stream_blocks import SampleQueue, SeparatedBlock, validated_block
from av_sep.errors import ParameterError

# 131,072 output samples spend about half of the computation on context instead of nine tenths at 16,384.
DEFAULT_CHUNK_SAMPLES = 131_072
BLOCK_SAMPLES = 65_536
RING_OUT_SAMPLES = 256  # of the mixture or of the model, whichever are longer


class StreamSeparator(ABC):
    """A mixture of any length, rate and number of channels into one estimate per instrument.

    Args:
        model: what separates.
        mixture_consistency: share the difference between mixture and estimates among the active instruments; a model
            whose estimates deliberately do not add up (`adds_up = False`) is left as it is.
    """

    def __init__(self, model: SeparationModel | WholeMixtureModel, *, mixture_consistency: bool = True):
        self.model = model
        self.mixture_consistency = mixture_consistency and getattr(model, "adds_up", True)

    @property
    def source_names(self) -> tuple[str, ...]:
        """Instruments that the model can give, in order."""
        return tuple(self.model.source_names)

    def active(self, label_vector: np.ndarray) -> tuple[int, ...]:
        """Positions of the instruments whose label is above 0: the order of `SeparatedBlock.estimates`."""
        return tuple(int(i) for i in np.flatnonzero(np.asarray(label_vector) > 0))

    def separate(
        self,
        mixture: np.ndarray,
        label_vector: np.ndarray,
        sample_rate_hz: int,
        *,
        activity: Activity | None = None,
    ) -> np.ndarray:
        """Separates a whole mixture.

        Args:
            mixture: `[time, channels]`, at least one sample, finite.
            label_vector: `[num_sources]` in [0, 1]; 0 means exactly silent.
            sample_rate_hz: of the mixture.
            activity: who of the labelled plays when, for silence in rests; None to believe the labels at all times.

        Returns:
            Estimates `[num_sources, time, channels]`, float32.

        Raises:
            ParameterError: for a shape, rate, label or sample value that cannot be used, and for an activity that does
                not know all labelled instruments.
        """
        mixture = np.asarray(mixture)
        if mixture.ndim != 2 or not mixture.size:
            raise ParameterError(f"Expected a mixture [time, channels] with sound. Received: shape {mixture.shape}")
        estimates = np.zeros((len(self.source_names), *mixture.shape), np.float32)
        blocks = (mixture[start : start + BLOCK_SAMPLES] for start in range(0, len(mixture), BLOCK_SAMPLES))
        position = 0
        gain = working_gain([mixture])
        for block in self.stream(blocks, label_vector, sample_rate_hz, gain=gain, activity=activity):
            end = position + len(block.mixture)
            estimates[list(self.active(label_vector)), position:end] = block.estimates
            position = end
        return estimates

    def stream(
        self,
        blocks: Iterable[np.ndarray],
        label_vector: np.ndarray,
        sample_rate_hz: int,
        *,
        gain: float = 1.0,
        activity: Activity | None = None,
    ) -> Iterator[SeparatedBlock]:
        """Separates a stream of blocks `[time, channels]` of any lengths; see `separate` for arguments and errors.

        Args:
            blocks: of the mixture.
            label_vector: `[num_sources]` in [0, 1].
            sample_rate_hz: of the mixture.
            gain: by which the model hears the stream louder; see `audio.level.working_gain`. What is yielded has the
                stream's own level.
            activity: see `separate`.

        Yields:
            Stretches that follow each other without gap and together have the stream's length.
        """
        # Not a generator itself, so that wrong arguments are told here and not at the first block.
        label_vector = self._validated(label_vector, sample_rate_hz)
        if not 0 < gain < math.inf:
            raise ParameterError(f"Expected a gain above 0. Received: gain={gain}")
        louder = blocks if gain == 1 else (np.asarray(block, np.float32) * np.float32(gain) for block in blocks)
        separated = self._stream(louder, label_vector, sample_rate_hz)
        names = [self.source_names[i] for i in self.active(label_vector)]
        if activity is not None:
            activity.require(names)
            # One alone has nobody to give his rests to.
            if len(names) > 1:
                separated = _reweighted(separated, names, activity, sample_rate_hz)
        if gain == 1:
            return separated
        return (SeparatedBlock(block.mixture / gain, block.estimates / gain) for block in separated)

    @abstractmethod
    def _stream(
        self, blocks: Iterable[np.ndarray], label_vector: np.ndarray, sample_rate_hz: int
    ) -> Iterator[SeparatedBlock]: ...

    def _validated(self, label_vector, sample_rate_hz) -> np.ndarray:
        label_vector = validated_labels(label_vector, self.source_names)
        if not 0 < sample_rate_hz < math.inf:
            raise ParameterError(f"Expected a positive sample rate in Hz. Received: sample_rate_hz={sample_rate_hz}")
        return label_vector


class Separator(StreamSeparator):
    """Separates streams chunk by chunk, in memory that does not grow with their length.

    Args:
        model: what separates a stretch of sound.
        mixture_consistency: see `StreamSeparator`.
        chunk_samples: shortest stretch that the model gives at a time, in samples at its rate; more is faster per
            second of sound and takes more memory.
        share_notes: share the estimates out anew by notes, at the model's rate, where `MOST_STEMS` or fewer are
            labelled (`audio.note_sharing`); None as the model says.

    Raises:
        ParameterError: if `chunk_samples` is below 1.
    """

    model: SeparationModel

    def __init__(
        self,
        model: SeparationModel,
        *,
        mixture_consistency: bool = True,
        chunk_samples: int = DEFAULT_CHUNK_SAMPLES,
        share_notes: bool | None = None,
    ):
        if chunk_samples < 1:
            raise ParameterError(f"Expected chunk_samples >= 1. Received: chunk_samples={chunk_samples}")
        super().__init__(model, mixture_consistency=mixture_consistency)
        self.chunk_samples = chunk_samples
        self.shares_notes = getattr(model, "shares_notes", False) if share_notes is None else share_notes

    def _stream(self, blocks, label_vector, sample_rate_hz) -> Iterator[SeparatedBlock]:
        run = None
        for block in blocks:
            block = validated_block(block, run.num_channels if run else None)
            if run is None:
                run = _Run(self, label_vector, sample_rate_hz, block.shape[1])
            yield from run.push(block)
        if run is not None:
            yield from run.finish()


def _reweighted(
    separated: Iterable[SeparatedBlock], names: Sequence[str], activity: Activity, sample_rate_hz: int
) -> Iterator[SeparatedBlock]:
    """Stretches whose estimates are shared out by who is heard to play; see `audio.reweighting`."""
    reweighter = Reweighter(lambda seconds: activity.weights(names, seconds), sample_rate_hz)
    waiting: SampleQueue | None = None
    for block in separated:
        if waiting is None:
            waiting = SampleQueue(block.mixture.shape[1])
        waiting.push(block.mixture)
        estimates = reweighter.push(block.estimates)
        if estimates.shape[1]:
            yield SeparatedBlock(waiting.take(estimates.shape[1]), estimates)
    estimates = reweighter.finish()
    if waiting is not None and estimates.shape[1]:
        yield SeparatedBlock(waiting.take(estimates.shape[1]), estimates)


class _Run:
    """State of one stream: native mixture waiting for its estimates, model-rate sound waiting for its chunk."""

    def __init__(self, separator: Separator, label_vector: np.ndarray, sample_rate_hz: int, num_channels: int):
        self.model = separator.model
        self.mixture_consistency = separator.mixture_consistency
        self.label_vector = label_vector
        self.active = list(separator.active(label_vector))
        self.num_channels = num_channels
        # One alone has nobody to share with.
        shares_notes = separator.shares_notes and 1 < len(self.active) <= MOST_STEMS
        self.notes = NoteSharing(self.model.sample_rate_hz) if shares_notes else None
        self.plan = self.model.chunk_plan(separator.chunk_samples)
        rate = self.model.sample_rate_hz
        self.down = StreamResampler(sample_rate_hz, rate, num_channels)
        self.up = StreamResampler(rate, sample_rate_hz, max(len(self.active), 1) * num_channels)
        self.waiting_mixture = SampleQueue(num_channels)
        # The first chunk reads `context_samples` of silence from before the stream began.
        self.waiting_input = SampleQueue(num_channels)
        self.waiting_input.push(np.zeros((self.plan.context_samples, num_channels), np.float32))
        self.num_ring_out_samples = math.ceil(RING_OUT_SAMPLES * max(1.0, sample_rate_hz / rate))
        self.num_heard = 0
        self.num_separated = 0

    def push(self, block: np.ndarray) -> Iterator[SeparatedBlock]:
        self.waiting_mixture.push(block)
        if not self.active:
            yield from self._emit(np.zeros((len(block), 0), np.float32))
            return
        self._hear(self.down.process(block))
        while len(self.waiting_input) >= self.plan.num_input_samples:
            yield from self._emit(self._up(self._next_chunk()))

    def finish(self) -> Iterator[SeparatedBlock]:
        if not self.active:
            return
        # Silence after the end lets the converters ring out; without it the last sample or two fade.
        silence = np.zeros((self.num_ring_out_samples, self.num_channels), np.float32)
        self._hear(self.down.process(silence, last=True))
        while self.num_separated < self.num_heard:
            missing = self.plan.num_input_samples - len(self.waiting_input)
            self.waiting_input.push(np.zeros((max(missing, 0), self.num_channels), np.float32))
            yield from self._emit(self._up(self._next_chunk()))
        if self.notes is not None:
            yield from self._emit(self.up.process(_stacked(self.notes.finish())))
        rest = self.up.process(np.zeros((0, len(self.active) * self.num_channels), np.float32), last=True)
        # Converting down and up again rounds the length to within a sample or two of the mixture's.
        missing = len(self.waiting_mixture) - len(rest)
        yield from self._emit(np.pad(rest, ((0, max(missing, 0)), (0, 0))))

    def _hear(self, block: np.ndarray) -> None:
        self.num_heard += len(block)
        self.waiting_input.push(block)

    def _up(self, estimates: np.ndarray) -> np.ndarray:
        """Model-rate estimates to what is ready of them at the stream's rate, `[time, num_active * channels]`."""
        return self.up.process(_stacked(estimates if self.notes is None else self.notes.push(estimates)))

    def _next_chunk(self) -> np.ndarray:
        """Separates the next chunk, every channel by itself: `[num_active, time, channels]` at the model's rate."""
        chunk = self.waiting_input.peek(self.plan.num_input_samples)
        self.waiting_input.drop(self.plan.hop_samples)
        num_new = min(self.plan.hop_samples, self.num_heard - self.num_separated)
        self.num_separated += num_new
        channels = [
            self.model.separate_chunk(chunk[:, channel], self.label_vector)[self.active, :num_new]
            for channel in range(self.num_channels)
        ]
        return np.stack(channels, axis=-1)

    def _emit(self, stacked: np.ndarray) -> Iterator[SeparatedBlock]:
        stacked = stacked[: len(self.waiting_mixture)]
        if not len(stacked):
            return
        mixture = self.waiting_mixture.take(len(stacked))
        estimates = stacked.reshape(len(stacked), len(self.active), self.num_channels).transpose(1, 0, 2)
        if self.mixture_consistency:
            estimates = share_difference(estimates, mixture)
        yield SeparatedBlock(mixture, np.ascontiguousarray(estimates, np.float32))


def _stacked(estimates: np.ndarray) -> np.ndarray:
    """`[num_active, time, channels]` to `[time, num_active * channels]`, as the converters of rates take it."""
    num_active, num_samples, num_channels = estimates.shape
    return estimates.transpose(1, 0, 2).reshape(num_samples, num_active * num_channels)
