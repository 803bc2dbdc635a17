"""A bank of solo lines on disk: `<split>/<instrument>/<source>.npy`, int16, one channel, and `bank.json` beside them.

Conventions: waveforms are float32 `[time]` in [-1, 1]; a source is a sound library, soundfont or recording. Lines of
the source `ensembles` are as long as each other and lie on one time axis: what they hold at one time was played
together, and who does not play then is exactly silent.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from av_sep.errors import MediaError

INT16_SCALE = 32768.0
ENSEMBLES = "ensembles"


@dataclass(frozen=True)
class SoloBank:
    """Solo lines of one split, memory-mapped: nothing is read before it is used.

    Attributes:
        sample_rate_hz: of every line.
        lines: instrument -> source -> int16 `[time]`.
    """

    sample_rate_hz: int
    lines: Mapping[str, Mapping[str, np.ndarray]]

    @property
    def instruments(self) -> tuple[str, ...]:
        """Instruments that have at least one source, sorted."""
        return tuple(sorted(self.lines))

    def solos(self, instrument: str) -> dict[str, np.ndarray]:
        """Source -> line of an instrument's sources but the ensembles; empty where there are none."""
        return {source: line for source, line in self.lines.get(instrument, {}).items() if source != ENSEMBLES}

    def crop(self, instrument: str, source: str, start: int, num_samples: int) -> np.ndarray:
        """Float32 `[num_samples]` from a line, repeated from its beginning where it is too short."""
        line = self.lines[instrument][source]
        if 0 <= start <= len(line) - num_samples:
            stretch = line[start : start + num_samples]
        else:
            stretch = np.take(line, np.arange(start, start + num_samples), mode="wrap")
        return stretch.astype(np.float32) / INT16_SCALE


def save_line(
    directory: Path, split: str, instrument: str, source: str, waveform: np.ndarray, sample_rate_hz: int
) -> dict[str, object]:
    """Writes a line `[time]`, clipped to full scale, and returns its entry in the bank's list of files."""
    path = directory / split / instrument / f"{source}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.round(np.clip(waveform, -1.0, 1.0) * 32767.0).astype(np.int16))
    seconds = round(len(waveform) / sample_rate_hz, 3)
    return {"instrument": instrument, "source": source, "split": split, "seconds": seconds}


def open_bank(directory: Path, split: str = "train") -> SoloBank:
    """Opens one split of a bank.

    Raises:
        MediaError: if the folder is not a bank, the split is empty, or a file is damaged.
    """
    index = Path(directory) / "bank.json"
    if not index.is_file():
        raise MediaError(f"Expected a bank of solo lines with a bank.json; make one first. Received: {directory}")
    sample_rate_hz = _read_rate(index)
    lines: dict[str, dict[str, np.ndarray]] = {}
    for path in sorted((Path(directory) / split).glob("*/*.npy")):
        lines.setdefault(path.parent.name, {})[path.stem] = _map_line(path)
    if not lines:
        raise MediaError(f"Expected solo lines under {directory}/{split}/<instrument>/<source>.npy. Received: none")
    return SoloBank(sample_rate_hz, lines)


def _read_rate(index: Path) -> int:
    try:
        sample_rate_hz = json.loads(index.read_text())["sample_rate_hz"]
        if sample_rate_hz > 0:
            return sample_rate_hz
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MediaError(f"Expected a bank.json with a sample_rate_hz. Received: {index}, which is damaged") from error
    raise MediaError(f"Expected a sample_rate_hz above 0. Received: {sample_rate_hz} in {index}")


def _map_line(path: Path) -> np.ndarray:
    try:
        line = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise MediaError(f"Expected a line of a bank. Received: {path}, which is damaged") from error
    if line.dtype != np.int16 or line.ndim != 1 or not len(line):
        raise MediaError(f"Expected a line int16 [time]. Received: {line.dtype} {list(line.shape)} in {path}")
    return line
