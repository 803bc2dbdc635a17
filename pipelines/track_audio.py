"""A track's sound as records want it: one rate, so many channels, mixture and stems side by side, block by block.

Parts of the same instrument are summed. A missing mixture is the stems' sum, on which the index has remarked. Sounds of
unequal length all go on to the end of the longest, as silence. Whatever else was mended is a remark, to be shown beside
the records: a dataset is never silently other than its files.

Conventions: blocks are `(mixture, {instrument: stem})`, float32 `[time, channels]`, full scale 1.0.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import zip_longest

import numpy as np

from audio.resampling import StreamResampler
from av_sep.datasets.track import Sound, Track
from av_sep.errors import shown
from av_sep.media import AudioReader, open_audio

Block = tuple[np.ndarray, dict[str, np.ndarray]]

# Ten minutes of 32 parts at 48 kHz would be several gigabytes; a block of each is some megabytes.
_BLOCK_SAMPLES = 2**16
# Below the noise of any microphone: nothing was recorded.
_SILENT_PEAK = 10 ** (-80 / 20)
# Decoders of lossy formats add or take some samples at the end; that is not worth a remark.
_SHORTEST_GAP_SECONDS = 0.01
# Mastering and lossy coding leave more than this between a mixture and the sum of its stems; rounding leaves less.
_LARGEST_REST_DB = -40.0


class TrackAudio:
    """Reads one track; use `blocks` once, then what it tells is known.

    Args:
        track: what to read.
        instruments: its instruments, in the order that stems shall have.
        sample_rate_hz: wanted rate.
        num_channels: wanted channels: 1 averages all; as many as the file's are kept; more repeat the average.

    Attributes:
        remarks: what was mended on the way, one line each.
        num_samples: length at the wanted rate.
        lengths: of each part's sound and, at the end, the mixture's, before silence was added; as far as was read.
    """

    def __init__(self, track: Track, instruments: Sequence[str], *, sample_rate_hz: int, num_channels: int):
        self.track = track
        self.instruments = tuple(instruments)
        self.sample_rate_hz = sample_rate_hz
        self.num_channels = num_channels
        self.remarks: list[str] = []
        self.num_samples = 0
        self.lengths: list[int] = []

    def blocks(self) -> Iterator[Block]:
        """Mixture and stems from start to end, in memory that does not grow with the track.

        Raises:
            MediaError: where a file cannot be read or is damaged.
        """
        sounds = [part.sound for part in self.track.parts]
        if self.track.mixture is not None:
            sounds.append(self.track.mixture)
        self.lengths, peaks = [0] * len(sounds), {name: 0.0 for name in self.instruments}
        mixture_energy = rest_energy = 0.0
        with ExitStack() as stack:
            readers = [stack.enter_context(open_audio(sound.path, stream_index=sound.stream_index)) for sound in sounds]
            self._compare_rates(sounds, readers)
            for pieces in zip_longest(*(self._converted(reader) for reader in readers)):
                longest = max(len(piece) for piece in pieces if piece is not None)
                read = [0 if piece is None else len(piece) for piece in pieces]
                self.lengths = [length + more for length, more in zip(self.lengths, read)]
                block = self._block([_padded(piece, longest, self.num_channels) for piece in pieces])
                peaks = {name: max(peak, float(np.abs(block[1][name]).max())) for name, peak in peaks.items()}
                self.num_samples += longest
                mixture_energy += float(np.sum(np.square(block[0])))
                rest_energy += float(np.sum(np.square(block[0] - sum_of(list(block[1].values())))))
                yield block
            self.remarks += [f"{_shown(s)} is {r.damage}" for s, r in zip(sounds, readers) if r.damage is not None]
        self._compare_lengths(sounds)
        self._compare_mixture(mixture_energy, rest_energy)
        self.remarks += [f"the stem of {name} is silent throughout" for name in peaks if peaks[name] < _SILENT_PEAK]

    def _block(self, pieces: list[np.ndarray]) -> Block:
        parts = list(zip(self.track.parts, pieces))
        stems = {name: sum_of([piece for part, piece in parts if part.instrument == name]) for name in self.instruments}
        return (sum_of(list(stems.values())) if self.track.mixture is None else pieces[-1]), stems

    def _converted(self, reader: AudioReader) -> Iterator[np.ndarray]:
        """The sound at the wanted rate and channels in blocks of one size, the last one shorter."""
        resampler = StreamResampler(reader.sample_rate_hz, self.sample_rate_hz, self.num_channels)
        held = np.zeros((0, self.num_channels), np.float32)
        for last, block in _marking_the_last(reader.blocks()):
            ready = resampler.process(_with_channels(block, self.num_channels), last=last)
            held = np.concatenate([held, ready])
            while len(held) >= _BLOCK_SAMPLES:
                yield held[:_BLOCK_SAMPLES]
                held = held[_BLOCK_SAMPLES:]
        if len(held):
            yield held

    def _compare_rates(self, sounds: list[Sound], readers: list[AudioReader]) -> None:
        if len({reader.sample_rate_hz for reader in readers}) > 1:
            rates = ", ".join(f"{_shown(s)} {r.sample_rate_hz} Hz" for s, r in zip(sounds, readers))
            self.remarks.append(f"sounds of unequal rate, all brought to {self.sample_rate_hz} Hz: {rates}")

    def _compare_mixture(self, mixture_energy: float, rest_energy: float) -> None:
        rest_db = 10 * math.log10(max(rest_energy, 1e-30) / max(mixture_energy, 1e-30))
        if rest_db > _LARGEST_REST_DB:
            self.remarks.append(f"what the stems leave of the recorded mixture is at {rest_db:.1f} dB of it")

    def _compare_lengths(self, sounds: list[Sound]) -> None:
        for sound, length in zip(sounds, self.lengths):
            missing_seconds = (self.num_samples - length) / self.sample_rate_hz
            if missing_seconds > _SHORTEST_GAP_SECONDS:
                self.remarks.append(
                    f"{_shown(sound)} ends {missing_seconds:.3f} s before the longest sound of the track and goes on as"
                    " silence"
                )


def sum_of(waveforms: list[np.ndarray]) -> np.ndarray:
    """Sum of equally long waveforms `[time, channels]`, float32."""
    return waveforms[0] if len(waveforms) == 1 else np.stack(waveforms).sum(axis=0, dtype=np.float32)


def _with_channels(block: np.ndarray, num_channels: int) -> np.ndarray:
    if block.shape[1] == num_channels:
        return block
    return np.repeat(block.mean(axis=1, keepdims=True, dtype=np.float32), num_channels, axis=1)


def _padded(piece: np.ndarray | None, length: int, num_channels: int) -> np.ndarray:
    if piece is None:
        return np.zeros((length, num_channels), np.float32)
    return piece if len(piece) == length else np.pad(piece, ((0, length - len(piece)), (0, 0)))


def _marking_the_last(blocks: Iterator[np.ndarray]) -> Iterator[tuple[bool, np.ndarray]]:
    held = next(blocks)
    for block in blocks:
        yield False, held
        held = block
    yield True, held


def _shown(sound: Sound) -> str:
    number = f" (sound stream {sound.stream_index + 1})" if sound.stream_index else ""
    return f"{shown(sound.path.name)}{number}"
