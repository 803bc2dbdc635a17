"""From what lies in a dataset's folders to a `Dataset`: parts by instrument, distinct names, lines about the rest.

Conventions:
    A finding is what came of one folder or file that has the layout of a track: the track and no lines, or None and a
    line for each reason why it cannot be used. A line about a track starts with the track's name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from av_sep.datasets.label_tables import LabelTable
from av_sep.datasets.splits import one_sided
from av_sep.datasets.track import Dataset, Part, Sound, Split, Track
from av_sep.datasets.tree import Notices
from av_sep.instruments import Taxonomy

Finding = tuple[Track | None, list[str]]


def unusable(name: str, folder: str, reasons: Iterable[str]) -> Finding:
    """The finding of a track that cannot be used, with a line for each reason."""
    return None, [f"{name}: {reason} ({folder})" for reason in reasons]


def labelled_track(
    track: Track, sounds: Sequence[tuple[Sequence[str], Sound]], table: LabelTable, folder: str
) -> Finding:
    """A track whose parts come from sounds with the dataset's labels.

    Where some sounds stand for no instrument of the taxonomy, the recorded mixture holds more than the stems do: the
    track does without it, and says so. Where none stands for one, the track cannot be used.

    Args:
        track: everything but the parts.
        sounds: labels and sound of each, in order. Several labels on one sound must stand for the same instrument.
        table: what the labels stand for.
        folder: where the track lies, for messages.
    """
    parts, left_out = [], []
    for labels, sound in sounds:
        instruments = {table.instrument(label) for label in labels} or {None}
        instrument = instruments.pop() if len(instruments) == 1 else None
        if instrument is None:
            left_out.append(" + ".join(labels) or "no label")
        else:
            parts.append(Part(instrument, sound))
    if not parts:
        reason = f"none of its labels stands for an instrument of {table.taxonomy.name}: {', '.join(left_out)}"
        return unusable(track.name, folder, [reason])
    if not left_out:
        return replace(track, parts=tuple(parts)), []
    remark = f"left out, as {table.taxonomy.name} has no such instrument: {', '.join(left_out)}"
    remark += "; the sum of the other stems stands for the mixture"
    return replace(track, parts=tuple(parts), mixture=None, remarks=(*track.remarks, remark)), []


def uniquely_named(tracks: Iterable[Track]) -> tuple[Track, ...]:
    """Tracks ordered by name; one whose name is taken, in upper or lower case, gets a number and says so."""
    taken: set[str] = set()
    named = []
    for track in sorted(tracks, key=lambda track: track.name):
        name, number = track.name, 1
        while name.casefold() in taken:
            number += 1
            name = f"{track.name}-{number}"
        taken.add(name.casefold())
        if name != track.name:
            remark = f"called {name} here, as another track is called {track.name}"
            track = replace(track, name=name, remarks=(*track.remarks, remark))
        named.append(track)
    return tuple(sorted(named, key=lambda track: track.name))


def build_dataset(
    name: str,
    root: Path,
    taxonomy: Taxonomy,
    findings: Iterable[Finding],
    notices: Notices,
    splits: Mapping[str, Split],
) -> Dataset:
    """A dataset from what was found in its folders.

    Args:
        name: of the kind of dataset.
        root: its folder, as it was given.
        taxonomy: which instruments its parts are named by.
        findings: what came of each folder or file that has the layout of a track.
        notices: lines about everything else.
        splits: as `Dataset.splits`, without those that every dataset has.
    """
    tracks, problems = [], list(notices.problems)
    for track, faults in findings:
        problems += faults
        if track is not None:
            tracks.append(track)
    splits = {**splits, **one_sided()}
    return Dataset(name, root, taxonomy, uniquely_named(tracks), splits, tuple(problems), tuple(notices.remarks))
