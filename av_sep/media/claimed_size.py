"""How many bytes a file says it has, for containers in which ffmpeg takes what is left of a file for the whole.

References:
    WAV, AVI: Microsoft's RIFF; RF64: EBU Tech 3306; W64: Sony Pictures Digital, "Sony Wave64", with 64-bit sizes that
    count their own header; CAF: Apple, "Core Audio Format Specification 1.0"; WMA, WMV: Microsoft, "Advanced Systems
    Format (ASF) Specification", 3.2.
"""

import struct
from pathlib import Path
from typing import BinaryIO

# Programs that write into a pipe put about the largest number there is, signed or not, where they cannot know the size.
_PLACEHOLDER_BYTES = 2**31
_PLACEHOLDER_MARGIN_BYTES = 2**16
_LARGEST_BYTES = 2**62
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BROADCAST = 1
# Healthy files have a handful; a broken one must not be walked through in steps of a few bytes.
_MAX_CHUNKS = 1000


def promised_bytes_ratio(path: Path) -> float:
    """The size that a file claims for itself over the size it has; 1.0 where it is whole or makes no claim."""
    size = path.stat().st_size
    with path.open("rb") as file:
        claimed = _claimed_bytes(file, size)
    return max(1.0, claimed / size) if claimed < _LARGEST_BYTES else 1.0


def _claimed_bytes(file: BinaryIO, size: int) -> int:
    """0 where there is no claim; what a file does not hold reads as nothing, and numbers made of nothing are 0."""
    start = file.read(28)
    if start[:4] == b"RIFF":
        return _riff_bytes(start)
    if start[:4] == b"RF64" and start[12:16] == b"ds64":
        return 8 + int.from_bytes(start[20:28], "little")
    if start[:16] == _W64_RIFF:
        return int.from_bytes(start[16:24], "little")
    if start[:4] == b"caff":
        return _caf_bytes(file, size)
    if start[:16] == _ASF_HEADER:
        return _asf_bytes(file, size)
    return 0


def _riff_bytes(start: bytes) -> int:
    num_bytes = 8 + int.from_bytes(start[4:8], "little")
    margin = _PLACEHOLDER_MARGIN_BYTES
    return 0 if (num_bytes + margin) % _PLACEHOLDER_BYTES < 2 * margin else num_bytes


def _caf_bytes(file: BinaryIO, size: int) -> int:
    """End of the sound's chunk; a size of -1 says that it goes on to the end of the file, wherever that is."""
    position = 8
    for _ in range(_MAX_CHUNKS):
        if position + 12 > size:
            return 0
        file.seek(position)
        name, num_bytes = struct.unpack(">4sq", file.read(12))
        if num_bytes < 0:
            return 0
        position += 12 + num_bytes
        if name == b"data":
            return position
    return 0


def _asf_bytes(file: BinaryIO, size: int) -> int:
    """What the file's properties say, unless they belong to a broadcast, which cannot know."""
    position = 30
    for _ in range(_MAX_CHUNKS):
        if position + 92 > size:
            return 0
        file.seek(position)
        entry = file.read(92)
        if entry[:16] == _ASF_FILE_PROPERTIES:
            return 0 if entry[88] & _ASF_BROADCAST else int.from_bytes(entry[40:48], "little")
        # An object counts its own name and size.
        position += max(24, int.from_bytes(entry[16:24], "little"))
    return 0
