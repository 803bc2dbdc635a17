"""A track, block by block, into records. Memory holds one record's stretch, however long the track is."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from audio.records.encode import encode_record
from audio.records.spec import RecordPicture, RecordSpec
from av_sep.errors import ParameterError

Block = tuple[np.ndarray, Mapping[str, np.ndarray]]


def track_records(
    name: bytes, blocks: Iterable[Block], spec: RecordSpec, pictures: Iterable[RecordPicture] = ()
) -> Iterator[bytes]:
    """Cuts a track into serialised records. The bytes do not depend on how the track was cut into blocks.

    Args:
        name: of the track.
        blocks: (mixture float32 `[time, channels]`, instrument -> source `[time, channels]`) in order, of any length;
            the instruments are those present in the track, the same in every block.
        spec: of the shard.
        pictures: ordered by time; each goes to the record that covers its time, those outside the sound to none. They
            are taken as the sound proceeds, so they may be decoded on the way.

    Yields:
        Serialised examples, at least one.

    Raises:
        ParameterError: for blocks of other shapes or instruments, samples that are not finite, pictures out of order,
            and a track without a sample.
    """
    blocks = iter(blocks)
    first = next(blocks, None)
    if first is None:
        raise ParameterError(f"Expected at least one block of sound. Received: none for track {_shown(name)}")
    present = [source for source in spec.source_names if source in first[1]]
    slots = [spec.source_names.index(source) for source in present]
    waiting = _PictureQueue(pictures)
    num_records = 0
    signals = (_signals(block, present, spec, name) for block in _chain(first, blocks))
    for index, (window, covered) in enumerate(_windows(signals, len(present), spec)):
        start_seconds = index * spec.covered_samples / spec.sample_rate_hz
        end_seconds = (index * spec.covered_samples + covered) / spec.sample_rate_hz
        inside = [picture for picture in waiting.before(end_seconds) if picture.time_seconds >= start_seconds]
        yield encode_record(name, index, window, covered, slots, inside, spec)
        num_records += 1
    if not num_records:
        raise ParameterError(f"Expected at least one sample of sound. Received: none for track {_shown(name)}")


def _chain(first: Block, others: Iterator[Block]) -> Iterator[Block]:
    yield first
    yield from others


def _windows(signals: Iterable[np.ndarray], num_present: int, spec: RecordSpec) -> Iterator[tuple[np.ndarray, int]]:
    """(window `[1 + num_present, time, channels]`, samples covered) per record; a window is valid until the next."""
    hop, context = spec.covered_samples, spec.context_samples
    size = hop + 2 * context
    window = np.zeros((1 + num_present, size, spec.num_channels), np.float32)
    filled, total, start = context, 0, 0
    for block in signals:
        total += block.shape[1]
        while block.shape[1]:
            taken = min(size - filled, block.shape[1])
            window[:, filled : filled + taken] = block[:, :taken]
            block, filled = block[:, taken:], filled + taken
            if filled == size:
                yield window, hop
                window[:, : size - hop] = window[:, hop:].copy()
                filled, start = size - hop, start + hop
    while start < total:
        window[:, filled:] = 0
        yield window, min(hop, total - start)
        window[:, : size - hop] = window[:, hop:].copy()
        filled, start = max(filled - hop, 0), start + hop


def _signals(block: Block, present: list[str], spec: RecordSpec, name: bytes) -> np.ndarray:
    """Mixture and sources of a block as `[1 + num_present, time, channels]`."""
    mixture, sources = block
    if not present or set(sources) != set(present):
        raise ParameterError(
            f"Expected instruments of the taxonomy, the same in every block of track {_shown(name)}"
            f" ({', '.join(present) or 'none of its first block is known'}). Received: {', '.join(sources) or 'none'}"
        )
    shape = (len(mixture), spec.num_channels)
    for label, waveform in (("mixture", mixture), *sources.items()):
        if waveform.shape != shape or waveform.dtype != np.float32:
            raise ParameterError(
                f"Expected float32 samples {list(shape)} of {label} in track {_shown(name)}."
                f" Received: {waveform.dtype} {list(waveform.shape)}"
            )
    signals = np.stack([mixture, *(sources[source] for source in present)])
    if not np.isfinite(signals).all():
        raise ParameterError(f"Expected finite samples. Received: NaN or infinite ones in track {_shown(name)}")
    return signals


class _PictureQueue:
    """Pictures taken from their iterator no earlier than the sound reaches them, so that few are held at a time."""

    def __init__(self, pictures: Iterable[RecordPicture]):
        self._pictures = iter(pictures)
        self._next = next(self._pictures, None)

    def before(self, end_seconds: float) -> list[RecordPicture]:
        """The pictures not given yet whose time is less than `end_seconds`."""
        taken: list[RecordPicture] = []
        while self._next is not None and self._next.time_seconds < end_seconds:
            taken.append(self._next)
            self._next = next(self._pictures, None)
            if self._next is not None and self._next.time_seconds < taken[-1].time_seconds:
                raise ParameterError(
                    "Expected pictures ordered by time."
                    f" Received: {self._next.time_seconds} s after {taken[-1].time_seconds} s"
                )
        return taken


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
