"""Note, fundamental frequency and player box annotations as pandas frames.

Conventions:
    Times are seconds from the start of the recording, frequencies Hz, 0 Hz means that nothing is played. Rows keep the
    file's order.

References:
    URMP: `Notes_*.txt` hold onset, frequency and duration of each note, `F0s_*.txt` the frequency every 10 ms.
    Bach10: Z. Duan, B. Pardo, C. Zhang, IEEE Trans. Audio, Speech, Language Process. 18(8), 2010. `*-GTNotes.mat` and
    `*-GTF0s.mat` hold MIDI numbers in frames of 46 ms, 10 ms apart, the first one around 23 ms.
"""

import csv
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from av_sep.errors import MediaError, shown
from av_sep.instruments import URMP_13
from av_sep.media.files import require_readable

if TYPE_CHECKING:
    import pandas

NOTE_COLUMNS = ("onset_seconds", "pitch_hz", "duration_seconds")
F0_COLUMNS = ("time_seconds", "f0_hz")
BOX_COLUMNS = ("time_seconds", "player", "instrument", "x1", "y1", "x2", "y2")

_BACH10_FIRST_FRAME_SECONDS = 0.023
_BACH10_HOP_SECONDS = 0.010


def read_notes(path: str | os.PathLike[str], row: int = 0) -> "pandas.DataFrame":
    """Notes of one part.

    Args:
        path: URMP's `Notes_*.txt` or Bach10's `*-GTNotes.mat`.
        row: which of the parts that share the file (`Part.annotation_row`); text files hold one.

    Returns:
        A frame with the columns `onset_seconds, pitch_hz, duration_seconds`. Bach10's pitch is the median over the
        note's frames.

    Raises:
        MediaError: for a file that cannot be read, with the line that is malformed.
    """
    path = require_readable(path)
    if path.suffix.lower() == ".mat":
        return _frame(_bach10_notes(path, row), NOTE_COLUMNS)
    return _frame(_numbers(path, NOTE_COLUMNS, _note_fault), NOTE_COLUMNS)


def read_f0s(path: str | os.PathLike[str], row: int = 0) -> "pandas.DataFrame":
    """Fundamental frequency of one part over time, 0 where it is silent.

    Args:
        path: URMP's `F0s_*.txt` or Bach10's `*-GTF0s.mat`.
        row: which of the parts that share the file (`Part.annotation_row`); text files hold one.

    Returns:
        A frame with the columns `time_seconds, f0_hz`.

    Raises:
        MediaError: for a file that cannot be read, with the line that is malformed.
    """
    path = require_readable(path)
    if path.suffix.lower() == ".mat":
        return _frame(_bach10_f0s(path, row), F0_COLUMNS)
    return _frame(_numbers(path, F0_COLUMNS, _f0_fault), F0_COLUMNS)


def read_boxes(path: str | os.PathLike[str]) -> "pandas.DataFrame":
    """Known player boxes (`Track.boxes`): `time_seconds, player, instrument, x1, y1, x2, y2`, boxes in pixels.

    Raises:
        MediaError: for a file that cannot be read, other columns, lines with more or fewer values, values that are no
        numbers, or instruments that are none of URMP's, by their long names.
    """
    import pandas

    path = require_readable(path)
    try:
        _require_box_columns(path)
        boxes = pandas.read_csv(path)
    except (csv.Error, pandas.errors.ParserError, UnicodeDecodeError) as error:
        raise MediaError(f"Expected a CSV table ({_one_line(error)}). Received: {shown(path)}") from error
    numbers = boxes[[name for name in BOX_COLUMNS if name not in ("player", "instrument")]]
    finite = np.isfinite(numbers.apply(pandas.to_numeric, errors="coerce").to_numpy(float)).all(axis=1)
    if not finite.all():
        line = int(np.argmin(finite)) + 2
        raise MediaError(f"{shown(path)}, line {line}: Expected numbers. Received: {_row_text(numbers, line - 2)}")
    boxes["instrument"] = boxes["instrument"].astype(str).str.strip()
    unknown = ~boxes["instrument"].isin(URMP_13.names)
    if unknown.any():
        position = int(np.argmax(unknown))
        name = boxes["instrument"].iloc[position]
        names = ", ".join(URMP_13.names)
        raise MediaError(f"{shown(path)}, line {position + 2}: Expected one of {names}. Received: {_one_line(name)!r}")
    return boxes


def _require_box_columns(path: Path) -> None:
    """Said of every line, as pandas takes the first value of longer ones for their name and moves all others."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if tuple(header) != BOX_COLUMNS:
            columns = _one_line(", ".join(header))
            raise MediaError(f"Expected the columns {', '.join(BOX_COLUMNS)}. Received: {columns} in {shown(path)}")
        for row in rows:
            if row and len(row) != len(BOX_COLUMNS):
                raise MediaError(
                    f"{shown(path)}, line {rows.line_num}: Expected {len(BOX_COLUMNS)} values. Received: {len(row)}"
                )


def _frame(rows: np.ndarray, columns: tuple[str, ...]) -> "pandas.DataFrame":
    import pandas

    return pandas.DataFrame(rows, columns=list(columns))


def _numbers(path: Path, columns: tuple[str, ...], fault: Callable[[list[float]], str]) -> np.ndarray:
    """Numbers of a text file, float64 `[num_lines, num_columns]`; blank lines are passed over."""
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        values = [_number(field) for field in fields]
        wrong = fault(values) if len(values) == len(columns) and all(map(math.isfinite, values)) else "numbers"
        if wrong:
            text = line.decode("utf-8", "backslashreplace").strip()
            raise MediaError(
                f"{shown(path)}, line {number}: Expected {wrong}: {', '.join(columns)}. Received: {_one_line(text)!r}"
            )
        rows.append(values)
    return np.array(rows, float).reshape(-1, len(columns))


def _number(field: bytes) -> float:
    try:
        return float(field)
    except ValueError:
        return math.nan


def _note_fault(values: list[float]) -> str:
    onset_seconds, pitch_hz, duration_seconds = values
    return "" if onset_seconds >= 0 and pitch_hz > 0 and duration_seconds >= 0 else "a pitch above 0, no negative times"


def _f0_fault(values: list[float]) -> str:
    return "" if min(values) >= 0 else "nothing below 0"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())[:200]


def _row_text(numbers: "pandas.DataFrame", position: int) -> str:
    return ", ".join(map(str, numbers.iloc[position]))


def _bach10_f0s(path: Path, row: int) -> np.ndarray:
    pitches = np.asarray(_mat_variable(path, "GTF0s"))
    if pitches.ndim != 2 or not np.issubdtype(pitches.dtype, np.number) or not 0 <= row < len(pitches):
        raise MediaError(
            f"Expected MIDI numbers [parts, frames] with a row {row}. Received: {pitches.dtype} {list(pitches.shape)}"
            f" in {shown(path)}"
        )
    seconds = _BACH10_FIRST_FRAME_SECONDS + _BACH10_HOP_SECONDS * np.arange(pitches.shape[1])
    voiced = pitches[row] > 0
    return np.stack([seconds, np.where(voiced, _hz(pitches[row].astype(float)), 0.0)], axis=1)


def _bach10_notes(path: Path, row: int) -> np.ndarray:
    parts = np.asarray(_mat_variable(path, "GTNotes"), object).reshape(-1)
    if not 0 <= row < len(parts):
        raise MediaError(f"Expected the notes of a part {row}. Received: {len(parts)} parts in {shown(path)}")
    notes = [_bach10_note(note, path) for note in np.asarray(parts[row], object).reshape(-1)]
    return np.array(notes, float).reshape(-1, len(NOTE_COLUMNS))


def _bach10_note(frames: Any, path: Path) -> tuple[float, float, float]:
    """Onset, pitch and duration of a note from its frames `[2, num_frames]`: numbers from 1 on, and MIDI numbers."""
    values = np.asarray(frames)
    if values.ndim != 2 or len(values) != 2 or values.shape[1] < 1 or not np.issubdtype(values.dtype, np.number):
        raise MediaError(
            f"Expected a note as [2, frames]. Received: {values.dtype} {list(values.shape)} in {shown(path)}"
        )
    first, last = float(values[0, 0]), float(values[0, -1])
    onset_seconds = _BACH10_FIRST_FRAME_SECONDS + _BACH10_HOP_SECONDS * (first - 1)
    pitch_hz = float(_hz(np.median(values[1].astype(float))))
    return onset_seconds, pitch_hz, _BACH10_HOP_SECONDS * (last - first + 1)


def _hz(midi_pitch: Any) -> Any:
    return 440.0 * 2.0 ** ((midi_pitch - 69.0) / 12.0)


def _mat_variable(path: Path, name: str) -> Any:
    from scipy.io import loadmat

    try:
        variables = loadmat(path)
    except Exception as error:
        # Damage makes scipy fail in whatever way it leads to: IndexError, zlib.error, MemoryError, UnboundLocalError, …
        raise MediaError(f"Expected a MATLAB file ({_one_line(error)}). Received: {shown(path)}") from error
    if name not in variables:
        found = ", ".join(key for key in variables if not key.startswith("__"))
        raise MediaError(f"Expected a variable {name}. Received: {found or 'none'} in {shown(path)}")
    return variables[name]
