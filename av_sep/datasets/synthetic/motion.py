"""How a player moves with the notes he plays.

Conventions:
    `sway` is the lean of the whole body and `stroke` the way of the bow, the slide or the instrument, both in [-1, 1]
    and 0 at rest; float `[num_pictures]`, picture k is shown from k / pictures_per_second on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from av_sep.datasets.melodies import Note

# A gap shorter than this is part of the phrasing; in a longer one the player comes to rest.
_REST_SECONDS = 0.35
_SETTLE_SECONDS = 0.3
# Nobody sways with sixteenths: a new turn of the body waits at least so long.
_TURN_SECONDS = 0.5
_FULL_STROKE_SECONDS = 0.6
# A level so far from the line's mean moves the bow twice as far, or half.
_DOUBLING_DB = 12.0


@dataclass(frozen=True, eq=False)
class Motion:
    """Sway and stroke, float `[num_pictures]` in [-1, 1]."""

    sway: np.ndarray
    stroke: np.ndarray


def motion(notes: Sequence[Note], num_pictures: int, pictures_per_second: float) -> Motion:
    """The motion that belongs to a line: a bow stroke for each note, longer for long and loud ones, and a sway with
    the slower onsets; before, after and in rests the player is still.
    """
    times = np.arange(num_pictures) / pictures_per_second
    if not notes:
        return Motion(np.zeros(num_pictures), np.zeros(num_pictures))
    notes = sorted(notes, key=lambda note: note.start_seconds)
    activity = _activity(notes, times)
    return Motion(activity * _sway(notes, times), activity * _stroke(notes, times))


def _activity(notes: Sequence[Note], times: np.ndarray) -> np.ndarray:
    """1 while playing, 0 in rests, straight lines between."""
    stretches: list[list[float]] = []
    for note in notes:
        end = note.start_seconds + note.duration_seconds
        if stretches and note.start_seconds - stretches[-1][1] <= _REST_SECONDS:
            stretches[-1][1] = max(stretches[-1][1], end)
        else:
            stretches.append([note.start_seconds, end])
    result = np.zeros(len(times))
    for start, end in stretches:
        rise, fall = (times - start) / _SETTLE_SECONDS, (end + _SETTLE_SECONDS - times) / _SETTLE_SECONDS
        result = np.maximum(result, np.clip(np.minimum(rise, fall), 0.0, 1.0))
    return result


def _sway(notes: Sequence[Note], times: np.ndarray) -> np.ndarray:
    turns = [notes[0].start_seconds]
    for note in notes:
        if note.start_seconds - turns[-1] >= _TURN_SECONDS:
            turns.append(note.start_seconds)
    turns.append(turns[-1] + 2 * _TURN_SECONDS)
    return np.cos(np.pi * np.interp(times, turns, np.arange(len(turns))))


def _stroke(notes: Sequence[Note], times: np.ndarray) -> np.ndarray:
    """From one end at an onset to the other at the next: the direction changes with each note."""
    last = notes[-1]
    ends = [note.start_seconds for note in notes] + [last.start_seconds + last.duration_seconds]
    lengths = [
        np.sqrt(min(1.0, note.duration_seconds / _FULL_STROKE_SECONDS)) * 2.0 ** (note.level_db / _DOUBLING_DB)
        for note in notes
    ]
    length = np.clip(np.interp(times, ends, [*lengths, lengths[-1]]), 0.1, 1.0)
    return length * np.cos(np.pi * np.interp(times, ends, np.arange(len(ends))))
