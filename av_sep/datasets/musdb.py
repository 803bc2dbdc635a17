"""MUSDB18 and MUSDB18-HQ: 150 songs as mixture, drums, bass, other and vocals.

Layout: folders `train` and `test` under the root, and in them

    MUSDB18       Artist - Title.stem.mp4                    five sound streams: mixture, drums, bass, other, vocals
    MUSDB18-HQ    Artist - Title/mixture.wav, drums.wav, bass.wav, other.wav, vocals.wav

A track's composition is its artist, so that whatever splits by composition keeps an artist's songs together.

Splits:
    "musdb" (default): the published one: the folders `train` and `test`, and for validation the 14 training songs that
        the authors set apart. Some artists stand on both sides of it.
    "artist": about 70 / 10 / 20 % of the artists, all songs of an artist on one side.

References:
    Z. Rafii, A. Liutkus, F.-R. Stoeter, S. I. Mimilakis, R. Bittner, "The MUSDB18 corpus for music separation", 2017.
    The names of the validation songs are those of the authors' package `musdb` (MIT licence), configs/mus.yaml.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from av_sep.datasets.building import Finding, build_dataset, labelled_track, unusable
from av_sep.datasets.label_tables import MUSDB, Labels, LabelTable, label_table
from av_sep.datasets.splits import by_composition, split_by
from av_sep.datasets.track import Dataset, Sound, Track
from av_sep.datasets.tree import (
    Listing,
    Notices,
    distinct_folders,
    is_paper,
    list_folder,
    name_list,
    printable,
)
from av_sep.errors import MediaError, shown
from av_sep.instruments import MUSDB_4
from av_sep.media import SOUND_EXTENSIONS

VALIDATION_TRACKS = (
    "Actions - One Minute Smile",
    "Clara Berry And Wooldog - Waltz For My Victims",
    "Johnny Lokke - Promises & Lies",
    "Patrick Talbot - A Reason To Leave",
    "Triviul - Angelsaint",
    "Alexander Ross - Goodbye Bolero",
    "Fergessen - Nos Palpitants",
    "Leaf - Summerghost",
    "Skelpolu - Human Mistakes",
    "Young Griffo - Pennies",
    "ANiMAL - Rockshow",
    "James May - On The Line",
    "Meaxic - Take A Step",
    "Traffic Experiment - Sirens",
)
NUM_TRACKS = {"train": 100, "test": 50}

_STEM_SUFFIX = ".stem.mp4"
_MIXTURE = "mixture"
# Sums that decoders of MUSDB18 may have written beside the stems.
_SUMS = ("accompaniment", "linear_mixture")


def open_musdb18(root: str | os.PathLike[str], *, labels: Labels = None) -> Dataset:
    """Index MUSDB18: `train/*.stem.mp4` and `test/*.stem.mp4`.

    Args:
        root: the folder that holds `train` and `test`.
        labels: another table from the names of the stems to instruments, or a CSV file that extends it.

    Raises:
        MediaError: for a folder that cannot be read or holds no *.stem.mp4 files in these folders.
    """
    root, table = Path(root), label_table("musdb", MUSDB_4.name, labels)
    sides, notices = _sides(root)
    found: dict[str, list[Finding]] = {}
    for side, listing in sides.items():
        songs = [path for path in listing.files if path.name.lower().endswith(_STEM_SUFFIX)]
        found[side] = [_song_of_streams(path, table) for path in songs]
        others = [path for path in (*listing.folders, *listing.files) if path not in songs and not is_paper(path)]
        notices.add_strays(others, f"is no *{_STEM_SUFFIX} file")
    if not any(found.values()):
        hint = " (folders of WAV files are musdb18hq)" if any(listing.folders for listing in sides.values()) else ""
        raise MediaError(f"Expected MUSDB18: train/*.stem.mp4 and test/*.stem.mp4{hint}. Received: {shown(root)}")
    return _dataset("musdb18", root, table, found, notices)


def open_musdb18hq(root: str | os.PathLike[str], *, labels: Labels = None) -> Dataset:
    """Index MUSDB18-HQ: `train/<song>/{mixture,drums,bass,other,vocals}.wav`, likewise `test`.

    Args:
        root: the folder that holds `train` and `test`.
        labels: another table from the names of the stems to instruments, or a CSV file that extends it.

    Raises:
        MediaError: for a folder that cannot be read or holds no songs in these folders.
    """
    root, table = Path(root), label_table("musdb", MUSDB_4.name, labels)
    sides, notices = _sides(root)
    found: dict[str, list[Finding]] = {}
    for side, listing in sides.items():
        songs = distinct_folders(root / side, listing.folders, notices)
        found[side] = [_song_of_files(folder, table) for folder in songs]
        notices.add_strays([path for path in listing.files if not is_paper(path)], "is no folder of a song")
    if not any(found.values()):
        stems = any(path.name.endswith(_STEM_SUFFIX) for listing in sides.values() for path in listing.files)
        hint = " (*.stem.mp4 files are musdb18)" if stems else ""
        raise MediaError(f"Expected MUSDB18-HQ: train/<song>/mixture.wav and so on{hint}. Received: {shown(root)}")
    return _dataset("musdb18hq", root, table, found, notices)


def _sides(root: Path) -> tuple[dict[str, Listing], Notices]:
    """What lies in `train` and `test`, and lines about the rest of the root."""
    listing = list_folder(root)
    folders = {path.name: path for path in listing.folders}
    notices = Notices()
    notices.add_unusable(listing)
    others = [path for path in listing.folders if path.name not in NUM_TRACKS]
    others += [path for path in listing.files if not is_paper(path)]
    notices.add_strays(others, "is neither the folder train nor test")
    notices.problems += [f"the folder {side} is missing in {shown(root)}" for side in NUM_TRACKS if side not in folders]
    sides = {side: list_folder(folders[side]) for side in NUM_TRACKS if side in folders}
    for side, inner in sides.items():
        notices.add_unusable(inner, f"{side}/")
    return sides, notices


def _artist(name: str) -> str:
    return name.split(" - ")[0]


def _song_of_streams(path: Path, table: LabelTable) -> Finding:
    name = printable(path.name[: -len(_STEM_SUFFIX)])
    sounds = [([label], Sound(path, i)) for i, label in enumerate(MUSDB.instruments, start=1)]
    return labelled_track(Track(name, _artist(name), (), mixture=Sound(path, 0)), sounds, table, shown(path.parent))


def _song_of_files(folder: Path, table: LabelTable) -> Finding:
    name, listing = printable(folder.name), list_folder(folder)
    files: dict[str, list[Path]] = {}
    for path in listing.files:
        if path.suffix.lower() in SOUND_EXTENSIONS:
            files.setdefault(path.stem.lower(), []).append(path)
    faults = [f"{name_list(paths)} are the same stem twice: keep one" for paths in files.values() if len(paths) > 1]
    faults += [f"{label}.wav is missing" for label in MUSDB.instruments if label not in files]
    if faults:
        return unusable(name, shown(folder), [*faults, *listing.unusable])
    mixture = Sound(files[_MIXTURE][0]) if _MIXTURE in files else None
    track = Track(name, _artist(name), (), mixture=mixture, remarks=tuple(_song_remarks(listing, mixture is None)))
    sounds = [([label], Sound(files[label][0])) for label in MUSDB.instruments]
    return labelled_track(track, sounds, table, shown(folder))


def _song_remarks(listing: Listing, no_mixture: bool) -> list[str]:
    used = {_MIXTURE, *_SUMS, *MUSDB.instruments}
    others = [path for path in listing.files if path.stem.lower() not in used and not is_paper(path)]
    remarks = [f"{shown(path.name)} is no file of MUSDB18-HQ's; not used" for path in (*listing.folders, *others)]
    remarks += [f"{line}; not used" for line in listing.unusable]
    return remarks + ["mixture.wav is missing: the sum of the stems stands for it"] * no_mixture


def _dataset(
    name: str, root: Path, table: LabelTable, found: Mapping[str, Sequence[Finding]], notices: Notices
) -> Dataset:
    notices.problems += _missing_songs(found)

    def published_side(track: Track) -> str:
        sound = track.parts[0].sound
        folder = sound.path.parent if name == "musdb18" else sound.path.parent.parent
        return "validation" if folder.name == "train" and track.name in VALIDATION_TRACKS else folder.name

    splits = {"musdb": split_by(published_side), "artist": by_composition()}
    everything = [result for results in found.values() for result in results]
    return build_dataset(name, root, table.taxonomy, everything, notices, splits)


def _missing_songs(found: Mapping[str, Sequence[Finding]]) -> list[str]:
    counts = {side: len(found.get(side, ())) for side in NUM_TRACKS}
    return [
        f"MUSDB18 has {whole} tracks in {side}, here are {counts[side]}"
        for side, whole in NUM_TRACKS.items()
        if counts[side] != whole
    ]
