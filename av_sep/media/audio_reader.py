"""Sound out of any media file, block by block.

ffmpeg decodes one sound stream, the first unless another is asked for, into a pipe in Sun's AU format (big-endian
float32 after a 24-byte header): unlike headerless samples, it says which rate and how many channels really come. Time
zero is the start of the file, as it is for `video_frames`: where the sound starts later than the pictures or than
another sound stream, silence is put before it, and gaps in the timestamps of more than a tenth of a second are filled
likewise, so that sound and pictures stay together.
"""

import operator
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from av_sep.errors import MediaError, ParameterError, shown
from av_sep.media.damage import require_decoder, require_whole
from av_sep.media.ffmpeg import FfmpegProcess, media_input, with_common_start
from av_sep.media.probe import MediaHeaders, read_headers, require_sound_stream

_AU_HEADER = struct.Struct(">4s5I")
_AU_FLOAT32 = 6
_BYTES_PER_SAMPLE = 4


class AudioReader:
    """One sound stream of a media file, decoded while it is read; use it as a context manager.

    Attributes:
        path: the file.
        stream_index: which of the file's sound streams, counted from 0.
        sample_rate_hz: the stream's own.
        num_channels: the stream's own.
        duration_seconds: as the headers promise it, 0.0 where they do not; good for a progress bar, not for allocation.
        num_samples_read: samples per channel that `blocks` has given so far.
        damage: what is to be told of a file that is damaged and was read to its end all the same; else None.
    """

    def __init__(self, path: str | os.PathLike[str], *, block_samples: int = 65536, stream_index: int = 0):
        """Open the file and decode its beginning. See `open_audio`."""
        if block_samples < 1:
            raise ParameterError(f"Expected block_samples of at least 1. Received: {block_samples}")
        self.stream_index = _checked_index(stream_index)
        self._headers = read_headers(path)
        require_sound_stream(self._headers, self.stream_index)
        self.path = Path(path)
        self.duration_seconds = self._headers.info.duration_seconds
        self.num_samples_read = 0
        self.damage: str | None = None
        self._block_samples = block_samples
        self._exhausted = False
        with ExitStack() as stack:
            self._process = stack.enter_context(FfmpegProcess(_sound(self._headers, self.stream_index)))
            self.sample_rate_hz, self.num_channels = self._read_au_header()
            # Read now, so that a file without sound fails here and not after the caller has prepared everything.
            self._first_block: np.ndarray | None = self._read_block()
            if not len(self._first_block):
                raise self._nothing_decoded()
            self._stack = stack.pop_all()

    def blocks(self) -> Iterator[np.ndarray]:
        """The sound from start to end, float32 `[time, channels]` of `block_samples`; only the last may be shorter.

        Can be run through once: open the file again for a second pass.

        Raises:
            MediaError: where samples are not finite, decoding fails, or the sound ends well before its promised end.
            ParameterError: for a second pass.
        """
        if self._exhausted:
            raise ParameterError("The blocks of this file were read already: open it again for another pass.")
        self._exhausted = True
        return self._stream()

    def _stream(self) -> Iterator[np.ndarray]:
        block, self._first_block = self._first_block, None
        while block is not None and len(block):
            self._require_finite(block)
            self.num_samples_read += len(block)
            yield block
            block = self._read_block()
        read_seconds = self.num_samples_read / self.sample_rate_hz
        self.damage = require_whole(self._headers, "sound", read_seconds, self._process)

    def _read_au_header(self) -> tuple[int, int]:
        header = self._process.stdout.read(_AU_HEADER.size)
        if len(header) < _AU_HEADER.size:
            raise self._nothing_decoded()
        magic, data_offset, _, encoding, sample_rate_hz, num_channels = _AU_HEADER.unpack(header)
        if magic != b".snd" or encoding != _AU_FLOAT32:
            raise MediaError(f"ffmpeg did not give AU float samples. Received: {header!r}")
        self._process.stdout.read(data_offset - _AU_HEADER.size)
        return sample_rate_hz, num_channels

    def _read_block(self) -> np.ndarray:
        data = self._process.stdout.read(self._block_samples * self.num_channels * _BYTES_PER_SAMPLE)
        # ffmpeg killed from outside may end in the middle of a sample.
        num_values = len(data) // (_BYTES_PER_SAMPLE * self.num_channels) * self.num_channels
        return np.frombuffer(data, ">f4", num_values).reshape(-1, self.num_channels).astype(np.float32)

    def _nothing_decoded(self) -> MediaError:
        self._process.wait()
        require_decoder(self._headers, "sound", self._process)
        detail = f" ({self._process.reason})" if self._process.messages else ""
        return MediaError(f"The sound stream holds no sound{detail}. Received: {shown(self.path)}")

    def _require_finite(self, block: np.ndarray) -> None:
        finite = np.isfinite(block)
        if finite.all():
            return
        sample, channel = np.argwhere(~finite)[0]
        seconds = (self.num_samples_read + sample) / self.sample_rate_hz
        raise MediaError(
            f"The sound holds {block[sample, channel]} at {seconds:.3f} s (channel {channel + 1}): export it again"
            f" from the program that made it. Received: {shown(self.path)}"
        )

    def close(self) -> None:
        """End decoding. May be called twice."""
        self._stack.close()

    def __enter__(self) -> "AudioReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _checked_index(stream_index: int) -> int:
    try:
        index = operator.index(stream_index)
    except TypeError:
        index = -1
    if index < 0:
        raise ParameterError(f"Expected a stream_index of 0 or more. Received: {stream_index!r}")
    return index


def _sound(headers: MediaHeaders, stream_index: int) -> Any:
    """ffmpeg-python's output node: one sound stream, placed in the file's time."""
    source = media_input(headers.info.path)
    stream = source[f"a:{stream_index}"].filter("aresample", first_pts=0)
    output = stream.output("pipe:", format="au", acodec="pcm_f32be")
    others = ["V:0"] * headers.info.has_video + ["a"] * (headers.num_sound_streams > 1)
    return with_common_start(output, source, *others)


def open_audio(path: str | os.PathLike[str], *, block_samples: int = 65536, stream_index: int = 0) -> AudioReader:
    """Open a sound stream of a media file for reading block by block.

        with open_audio("concert.mp4") as reader:
            for block in reader.blocks():    # float32 [time, channels]
                ...

    Samples beyond full scale come as they are (float WAV files, AAC). Decoders may add or take a few samples at the
    ends of lossy formats (AAC: about a hundred more at the end); WAV and FLAC are sample-exact.

    Args:
        path: any file that ffmpeg can read.
        block_samples: most samples per channel in one block.
        stream_index: which of the file's sound streams, counted from 0 (a MUSDB18 file holds five). All streams of a
            file share one time line: where one starts later than another, silence is put before it.

    Raises:
        MediaError: for a file that cannot be opened, has no such sound stream or no sound in it.
        ParameterError: for `block_samples` below 1 and a `stream_index` below 0.
    """
    return AudioReader(path, block_samples=block_samples, stream_index=stream_index)


def read_audio(path: str | os.PathLike[str], stream_index: int = 0) -> tuple[np.ndarray, int]:
    """The whole sound of a short file: waveform, float32 `[time, channels]`, and its sample rate in Hz.

    Args:
        path: any file that ffmpeg can read.
        stream_index: which of its sound streams, counted from 0.

    Raises:
        MediaError, ParameterError: as `open_audio` and `AudioReader.blocks`.
    """
    with open_audio(path, stream_index=stream_index) as reader:
        return np.concatenate(list(reader.blocks())), reader.sample_rate_hz
