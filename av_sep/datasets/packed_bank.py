"""A bank of solo lines in a few files small enough to send: FLAC streams and `packed_bank.json` beside them.

A packed bank holds exactly what the bank holds, in half the bytes. Lines follow one another through the streams; a line
that does not fit goes on in the next one.

    packed_bank.json    sample rate, the bank's own bank.json, and for every line its pieces and their CRC-32
    lines-000.flac …    16 bit, one channel

Conventions: lines are int16 `[time]`; a piece is (file, start, num_samples), in samples of that file.
"""

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from av_sep.datasets.solo_bank import SoloBank, open_bank
from av_sep.errors import MediaError, ParameterError

INDEX_NAME = "packed_bank.json"
SPLITS = ("train", "heldout")
MAX_FILE_BYTES = 60_000_000
# What the index must have, and of what kind.
_INDEX = {"bank": dict, "lines": list}
_BANK = {"sample_rate_hz": int}
_LINE = {"split": str, "instrument": str, "source": str, "num_samples": int, "crc32": int, "pieces": list}
_PIECE = {"file": str, "start": int, "num_samples": int}
_BLOCK_SAMPLES = 2**18
# A block that does not compress, its frames' headers and the stream's own.
_LARGEST_BLOCK_BYTES = 2 * _BLOCK_SAMPLES + 2**14


def pack_bank(bank: Path, output: Path, max_file_bytes: int = MAX_FILE_BYTES) -> list[Path]:
    """Writes a packed copy of a bank.

    Args:
        bank: folder of a bank, see `av_sep.datasets.solo_bank`.
        output: folder to make; it must not hold a packed bank.
        max_file_bytes: no file becomes larger.

    Returns:
        Every file, the index last.

    Raises:
        MediaError: if `bank` is not a bank, and for a folder that cannot be written.
        ParameterError: for a limit below 2 MB, and where `output` holds a packed bank.
    """
    if max_file_bytes < 2_000_000:
        raise ParameterError(f"Expected max_file_bytes of at least 2,000,000. Received: {max_file_bytes}")
    if (output / INDEX_NAME).exists():
        raise ParameterError(f"Expected a folder without a packed bank. Received: {output}")
    splits = [split for split in SPLITS if (bank / split).is_dir()] or list(SPLITS[:1])
    banks = {split: open_bank(bank, split) for split in splits}
    try:
        output.mkdir(parents=True, exist_ok=True)
        streams = _Streams(output, banks[splits[0]].sample_rate_hz, max_file_bytes)
        lines = [
            {"split": split, "instrument": instrument, "source": source, **streams.append(line)}
            for split, opened in banks.items()
            for instrument, sources in opened.lines.items()
            for source, line in sources.items()
        ]
        streams.close()
        content = {"bank": json.loads((bank / "bank.json").read_text()), "lines": lines}
        # Last, so that a folder with an index is whole.
        (output / INDEX_NAME).write_text(json.dumps(content, indent=1) + "\n")
    except (OSError, sf.LibsndfileError) as error:
        raise MediaError(f"Cannot write to {output}: {error}") from error
    return [*streams.paths, output / INDEX_NAME]


def unpack_bank(packed: Path, output: Path) -> None:
    """Writes the bank that was packed, sample for sample.

    Raises:
        MediaError: if `packed` is not a packed bank or is damaged, and for a folder that cannot be written.
    """
    index = _read_index(packed)
    try:
        for line, samples in _read_lines(packed, index["lines"]):
            path = output / line["split"] / line["instrument"] / f"{line['source']}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, samples)
        (output / "bank.json").write_text(json.dumps(index["bank"], indent=1) + "\n")
    except MediaError:
        raise
    except OSError as error:
        raise MediaError(f"Cannot write to {output}: {error}") from error


def is_bank(directory: Path) -> bool:
    """Whether a folder holds a bank of solo lines, packed or not."""
    return (directory / "bank.json").is_file() or (directory / INDEX_NAME).is_file()


def open_any_bank(directory: Path, split: str = "train") -> SoloBank:
    """One split of a bank, packed or not; a packed one is read into memory.

    Raises:
        MediaError: if the folder is neither, the split is empty, or a file is damaged.
    """
    directory = Path(directory)
    if not (directory / INDEX_NAME).is_file():
        return open_bank(directory, split)
    index = _read_index(directory)
    lines: dict[str, dict[str, np.ndarray]] = {}
    for line, samples in _read_lines(directory, [line for line in index["lines"] if line["split"] == split]):
        lines.setdefault(line["instrument"], {})[line["source"]] = samples
    if not lines:
        raise MediaError(f"Expected solo lines of the side {split!r} in {directory}. Received: none")
    return SoloBank(index["bank"]["sample_rate_hz"], lines)


class _Streams:
    """Numbered FLAC files, the next begun when one is full.

    Args:
        folder: where they are written.
        sample_rate_hz: of every line.
        max_file_bytes: no file becomes larger.
    """

    def __init__(self, folder: Path, sample_rate_hz: int, max_file_bytes: int):
        self.folder, self.sample_rate_hz, self.max_file_bytes = folder, sample_rate_hz, max_file_bytes
        self.paths: list[Path] = []
        self.file: sf.SoundFile | None = None
        self.num_written = 0

    def append(self, line: np.ndarray) -> dict[str, Any]:
        """Writes a line; returns its pieces and CRC-32."""
        pieces: list[dict[str, Any]] = []
        checksum = 0
        for begin in range(0, len(line), _BLOCK_SAMPLES):
            block = np.ascontiguousarray(line[begin : begin + _BLOCK_SAMPLES])
            self._with_room().write(block)
            checksum = zlib.crc32(block.data, checksum)
            name = self.paths[-1].name
            if pieces and pieces[-1]["file"] == name:
                pieces[-1]["num_samples"] += len(block)
            else:
                pieces.append({"file": name, "start": self.num_written, "num_samples": len(block)})
            self.num_written += len(block)
        return {"num_samples": len(line), "crc32": checksum, "pieces": pieces}

    def close(self) -> None:
        """Ends the last file."""
        if self.file is not None:
            self.file.close()

    def _with_room(self) -> sf.SoundFile:
        # What the encoder holds back is part of a block, so there must be room for two.
        if self.file is None or os.path.getsize(self.paths[-1]) + 2 * _LARGEST_BLOCK_BYTES > self.max_file_bytes:
            self.close()
            self.paths.append(self.folder / f"lines-{len(self.paths):03d}.flac")
            self.file = sf.SoundFile(self.paths[-1], "w", self.sample_rate_hz, 1, "PCM_16", format="FLAC")
            self.num_written = 0
        return self.file


def _read_index(packed: Path) -> dict[str, Any]:
    path = packed / INDEX_NAME
    if not path.is_file():
        raise MediaError(f"Expected a packed bank with a {INDEX_NAME}; make one first. Received: {packed}")
    damaged = f"Expected the index of a packed bank. Received: {path}, which is damaged"
    try:
        index = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise MediaError(damaged) from error
    if not _has(index, _INDEX):
        raise MediaError(f"{damaged} (it needs a bank and lines)")
    if not _has(index["bank"], _BANK) or index["bank"]["sample_rate_hz"] <= 0:
        raise MediaError(f"{damaged} (the bank needs a sample_rate_hz above 0)")
    for number, line in enumerate(index["lines"]):
        if not _has(line, _LINE) or line["num_samples"] < 1 or not all(_has(piece, _PIECE) for piece in line["pieces"]):
            raise MediaError(f"{damaged} (line {number} is not what pack_bank writes)")
        # They become paths, which must not leave the folders they belong in.
        for name in (line["split"], line["instrument"], line["source"], *(piece["file"] for piece in line["pieces"])):
            if Path(name).name != name or name in ("", ".."):
                raise MediaError(f"{damaged} (line {number} has {name!r} for a name)")
    return index


def _has(value: Any, kinds: Mapping[str, type]) -> bool:
    """Whether a value from JSON is an object with entries of these kinds, and perhaps others."""
    # JSON's true and false count among Python's whole numbers, and harm nobody.
    return isinstance(value, dict) and all(isinstance(value.get(name), kind) for name, kind in kinds.items())


def _read_lines(packed: Path, lines: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """The lines of an index with their samples; files are decoded side by side, whole."""
    names = sorted({piece["file"] for line in lines for piece in line["pieces"]})
    with ThreadPoolExecutor() as threads:
        files = dict(zip(names, threads.map(lambda name: _decode(packed / name), names), strict=True))
    for line in lines:
        yield line, _join(packed, line, files)


def _join(packed: Path, line: dict[str, Any], files: Mapping[str, np.ndarray]) -> np.ndarray:
    parts = [files[piece["file"]][piece["start"] : piece["start"] + piece["num_samples"]] for piece in line["pieces"]]
    # A copy in any case: a view would keep the whole file in memory.
    samples = np.concatenate([np.zeros(0, np.int16), *parts])
    if len(samples) != line["num_samples"] or zlib.crc32(samples.data) != line["crc32"]:
        which = f"{line['split']}/{line['instrument']}/{line['source']}"
        raise MediaError(f"Expected the line {which} of {packed} as it was packed. Received: a damaged one")
    return samples


def _decode(path: Path) -> np.ndarray:
    try:
        samples = sf.read(path, dtype="int16")[0]
    except (OSError, sf.LibsndfileError) as error:
        raise MediaError(f"Expected a file of a packed bank. Received: {path}, which cannot be read") from error
    if samples.ndim != 1:
        raise MediaError(f"Expected a file of a packed bank, of one channel. Received: {path}, of {samples.shape[1]}")
    return samples
