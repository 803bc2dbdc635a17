"""WAV files of any length, written as they come.

libsndfile must be told beforehand whether a file will outgrow WAV's 4 GB, and a stream does not know. So, as EBU Tech
3306 recommends, room is left in the header, and a file that did outgrow it is turned into RF64 when it is completed.
"""

import struct
from pathlib import Path
from types import TracebackType

_PCM, _FLOAT = 1, 3
_UNKNOWN_SIZE = 2**32 - 1
_DS64_BYTES = 28


class WavFile:
    """A WAV file being written from little-endian samples; as a context manager it completes its header at the end."""

    def __init__(self, path: Path, sample_rate_hz: int, num_channels: int, bit_depth: int):
        """Open the file; `bit_depth` 16 and 24 are integers, 32 is float."""
        self._format = (sample_rate_hz, num_channels, bit_depth)
        self._num_data_bytes = 0
        self._file = path.open("wb")

    def write(self, data: bytes) -> None:
        """Append samples, interleaved."""
        self._file.write(data)
        self._num_data_bytes += len(data)

    def __enter__(self) -> "WavFile":
        self._file.write(wav_header(0, *self._format))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                # Chunks start at even places.
                self._file.write(b"\0" * (self._num_data_bytes % 2))
                self._file.seek(0)
                self._file.write(wav_header(self._num_data_bytes, *self._format))


def wav_header(num_data_bytes: int, sample_rate_hz: int, num_channels: int, bit_depth: int) -> bytes:
    """Everything before the samples; equally long for all sizes.

    Layout: RIFF, JUNK (room for ds64), fmt, fact (floats only, as the standard asks), data; above 4 GB RF64 and ds64
    stand in for RIFF and JUNK, and the 32-bit sizes say "see there".
    """
    bytes_per_time = num_channels * bit_depth // 8
    num_samples = num_data_bytes // bytes_per_time
    is_float = bit_depth == 32
    fmt = struct.pack(
        "<HHIIHH",
        _FLOAT if is_float else _PCM,
        num_channels,
        sample_rate_hz,
        min(sample_rate_hz * bytes_per_time, _UNKNOWN_SIZE),
        min(bytes_per_time, 2**16 - 1),
        bit_depth,
    )
    chunks = _chunk(b"fmt ", fmt + b"\0\0" if is_float else fmt)
    if is_float:
        chunks += _chunk(b"fact", struct.pack("<I", min(num_samples, _UNKNOWN_SIZE)))
    riff_bytes = 4 + (8 + _DS64_BYTES) + len(chunks) + 8 + num_data_bytes + num_data_bytes % 2
    if riff_bytes < _UNKNOWN_SIZE:
        start = struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE") + _chunk(b"JUNK", bytes(_DS64_BYTES))
        return start + chunks + struct.pack("<4sI", b"data", num_data_bytes)
    ds64 = struct.pack("<QQQI", riff_bytes, num_data_bytes, num_samples, 0)
    start = struct.pack("<4sI4s", b"RF64", _UNKNOWN_SIZE, b"WAVE") + _chunk(b"ds64", ds64)
    return start + chunks + struct.pack("<4sI", b"data", _UNKNOWN_SIZE)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content
