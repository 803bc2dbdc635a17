"""Sound into files, block by block: WAV, FLAC and MP3.

Integer samples are `round(value * 2^(bits - 1))`, the inverse of what reading does, so 16- and 24-bit files survive a
round trip unchanged. Full scale itself (1.0) becomes the largest integer there is.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import ffmpeg
import numpy as np

from av_sep.errors import MediaError, ParameterError
from av_sep.media.encoder_pipe import EncoderPipe
from av_sep.media.ffmpeg import file_url
from av_sep.media.files import cannot_write, replace_when_complete
from av_sep.media.wav import WavFile

AUDIO_FORMATS = ("wav", "flac", "mp3")
BIT_DEPTHS = (16, 24, 32)

MP3_SAMPLE_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MAX_CHANNELS = {"wav": 65535, "flac": 8, "mp3": 2}
# Limits of the formats' own headers: 20 bits in FLAC (of which the last rates have no use), 32 in WAV.
_MAX_SAMPLE_RATE_HZ = {"wav": 2**32 - 1, "flac": 655350, "mp3": 48000}


class _Sink(Protocol):
    """Where encoded blocks go; as a context manager it completes the file, or gives it up after an exception."""

    def write(self, data: bytes) -> None: ...

    def __enter__(self) -> "_Sink": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class AudioWriter:
    """A sound file in the making; use it as a context manager.

        with AudioWriter("violin.wav", 48000, 2) as writer:
            writer.write(block)    # float [time, channels]

    The file appears under its name when the block ends without an exception and not before; otherwise nothing is left
    behind and an earlier file of that name stays as it was.

    Attributes:
        path: the final name.
        bit_depth: what is really stored: 16 or 24 (integers), 32 (float); None in an MP3 file, which has no such thing.
        num_clipped: values beyond full scale that were limited to it so far; always 0 in float files, which keep them.
        num_samples: samples per channel written so far.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate_hz: int,
        num_channels: int,
        *,
        file_format: str = "wav",
        bit_depth: int = 32,
    ):
        """Check the arguments; the file is opened on entering.

        Args:
            path: the file to write; its folder must exist. The format does not depend on its suffix.
            sample_rate_hz: of the blocks to come.
            num_channels: of the blocks to come.
            file_format: one of `AUDIO_FORMATS`. WAV files above 4 GB become RF64, as EBU Tech 3306 has it.
            bit_depth: one of `BIT_DEPTHS`. 32 stands for the best that the format holds: 32-bit float in WAV, 24-bit in
                FLAC (which has no float). MP3 ignores it: its quality is the encoder's best variable bit rate.

        Raises:
            ParameterError: for a format, depth, rate or number of channels that cannot be stored, saying which can.
        """
        _check(file_format, bit_depth, sample_rate_hz, num_channels)
        self.path = Path(path)
        self.sample_rate_hz = int(sample_rate_hz)
        self.num_channels = int(num_channels)
        self.file_format = file_format
        self.bit_depth = {"wav": bit_depth, "flac": min(bit_depth, 24), "mp3": None}[file_format]
        self.num_clipped = 0
        self.num_samples = 0
        self._stack = ExitStack()
        self._sink: _Sink | None = None

    def write(self, block: np.ndarray) -> None:
        """Append float `[time, channels]`, full scale 1.0.

        Raises:
            ParameterError: for a block of another shape or type, and for values that are not finite.
            MediaError: where the disk is full or fails otherwise.
        """
        if self._sink is None:
            raise ParameterError("An AudioWriter takes blocks only inside its `with` statement.")
        block = np.asarray(block)
        if block.ndim != 2 or block.shape[1] != self.num_channels or not np.issubdtype(block.dtype, np.floating):
            raise ParameterError(
                f"Expected float samples [time, {self.num_channels}]. Received: {block.dtype} {list(block.shape)}"
            )
        if not np.isfinite(block).all():
            raise ParameterError("Expected finite samples. Received: NaN or infinite values")
        data = self._encode(block)
        try:
            self._sink.write(data)
        except MediaError:
            raise
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.num_samples += len(block)

    def _encode(self, block: np.ndarray) -> bytes:
        if self.bit_depth == 32:
            return block.astype("<f4").tobytes()
        self.num_clipped += int(np.count_nonzero(np.abs(block) > 1.0))
        block = np.clip(block, -1.0, 1.0)
        return _quantize(block, self.bit_depth) if self.bit_depth else block.astype("<f4").tobytes()

    def __enter__(self) -> "AudioWriter":
        # Ends in reverse order: first the file is completed, then it takes its name.
        with ExitStack() as stack:
            temporary = stack.enter_context(replace_when_complete(self.path))
            self._sink = stack.enter_context(self._open_sink(temporary))
            self._stack = stack.pop_all()
        return self

    def _open_sink(self, temporary: Path) -> _Sink:
        if self.file_format == "wav":
            assert self.bit_depth is not None
            return WavFile(temporary, self.sample_rate_hz, self.num_channels, self.bit_depth)
        return EncoderPipe(_encoding(self, temporary), self.path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink = None
        self._stack.__exit__(kind, error, trace)


def _encoding(writer: AudioWriter, temporary: Path) -> Any:
    """ffmpeg-python's output node for FLAC or MP3; it is told the finished samples and only packs them."""
    raw_format = {16: "s16le", 24: "s24le", None: "f32le"}[writer.bit_depth]
    samples = ffmpeg.input("pipe:", format=raw_format, ar=writer.sample_rate_hz, ac=writer.num_channels)
    options: dict[str, dict[str, object]] = {
        # Left to itself, the encoder takes a very short first block for its block size, and FLAC has a least one.
        "flac": {"acodec": "flac", "sample_fmt": "s16" if writer.bit_depth == 16 else "s32", "frame_size": 4096},
        "mp3": {"acodec": "libmp3lame", "q:a": 0},
    }
    return samples.output(file_url(temporary), format=writer.file_format, **options[writer.file_format])


def _quantize(block: np.ndarray, bit_depth: int) -> bytes:
    """Little-endian integers of values in [-1, 1]; `[time, channels]`."""
    scale = 2.0 ** (bit_depth - 1)
    integers = np.minimum(np.rint(block.astype(np.float64) * scale), scale - 1.0).astype("<i4")
    if bit_depth == 16:
        return integers.astype("<i2").tobytes()
    return np.ascontiguousarray(integers).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def _check(file_format: str, bit_depth: int, sample_rate_hz: int, num_channels: int) -> None:
    if file_format not in AUDIO_FORMATS:
        raise ParameterError(f"Expected file_format to be one of {', '.join(AUDIO_FORMATS)}. Received: {file_format!r}")
    if bit_depth not in BIT_DEPTHS:
        raise ParameterError(f"Expected bit_depth to be 16, 24 or 32. Received: {bit_depth!r}")
    if not 1 <= num_channels <= _MAX_CHANNELS[file_format]:
        raise ParameterError(
            f"A {file_format} file holds 1 to {_MAX_CHANNELS[file_format]} channels; choose wav for more."
            f" Received: {num_channels}"
        )
    if file_format == "mp3" and sample_rate_hz not in MP3_SAMPLE_RATES_HZ:
        rates = ", ".join(map(str, MP3_SAMPLE_RATES_HZ))
        raise ParameterError(f"An mp3 file holds {rates} Hz; choose wav or flac for others. Received: {sample_rate_hz}")
    if not 1 <= sample_rate_hz <= _MAX_SAMPLE_RATE_HZ[file_format]:
        raise ParameterError(
            f"A {file_format} file holds sample rates of 1 to {_MAX_SAMPLE_RATE_HZ[file_format]} Hz."
            f" Received: {sample_rate_hz}"
        )


def write_audio(
    path: str | os.PathLike[str],
    waveform: np.ndarray,
    sample_rate_hz: int,
    *,
    file_format: str | None = None,
    bit_depth: int = 32,
) -> int:
    """Write a whole waveform, float `[time, channels]`; returns how many values were clipped.

    Args:
        path: the file to write; without `file_format` its suffix chooses the format, WAV where it is none of ours.
        waveform: full scale is 1.0.
        sample_rate_hz: of the waveform.
        file_format: as in `AudioWriter`.
        bit_depth: as in `AudioWriter`.

    Raises:
        ParameterError: for arguments that cannot be stored.
        MediaError: where the file cannot be written.
    """
    waveform = np.asarray(waveform)
    if waveform.ndim != 2:
        raise ParameterError(f"Expected a waveform [time, channels]. Received: {list(waveform.shape)}")
    suffix = Path(path).suffix.lower().lstrip(".")
    file_format = file_format or (suffix if suffix in AUDIO_FORMATS else "wav")
    with AudioWriter(path, sample_rate_hz, waveform.shape[1], file_format=file_format, bit_depth=bit_depth) as writer:
        writer.write(waveform)
    return writer.num_clipped
