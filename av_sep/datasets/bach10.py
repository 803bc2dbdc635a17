"""Bach10: ten four-part chorales, each part recorded alone on violin, clarinet, saxophone and bassoon.

Layout, under the root:

    01-AchGottundHerr/
        01-AchGottundHerr.wav               the mixture
        01-AchGottundHerr-violin.wav        a part alone; likewise -clarinet, -bassoon, and -saxphone, spelled so
        01-AchGottundHerr-GTNotes.mat       notes of all parts
        01-AchGottundHerr-GTF0s.mat         fundamental frequencies of all parts
        01-AchGottundHerr.mid, .txt         score, and its alignment with the sound (not used)

There is no video. Both annotation files hold one row for each part, in the order above (`Part.annotation_row`).

Splits: "composition" (default): about 70 / 10 / 20 % of the chorales. Ten are few: see `describe_split`.

References:
    Z. Duan, B. Pardo, C. Zhang, "Multiple fundamental frequency estimation by modeling spectral peaks and non-peak
    regions", IEEE Trans. Audio, Speech, Language Process. 18(8), 2010.
"""

import os
import re
from pathlib import Path

from av_sep.datasets.building import Finding, build_dataset, unusable
from av_sep.datasets.label_tables import BACH10
from av_sep.datasets.splits import by_composition
from av_sep.datasets.track import Dataset, Part, Sound, Track
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
from av_sep.media import SOUND_EXTENSIONS

NUM_PIECES = 10

_PIECE = re.compile(r"(\d+)-(.+)")
_ANNOTATIONS = {"-GTNotes.mat": "notes", "-GTF0s.mat": "f0s"}
_NOT_USED = (".mid", ".midi", ".mat")
_EXTRA_FOLDERS = frozenset({"code"})


def open_bach10(root: str | os.PathLike[str]) -> Dataset:
    """Index Bach10.

    Args:
        root: the folder that holds the ten pieces.

    Raises:
        MediaError: for a folder that cannot be read or holds no piece.
    """
    root = Path(root)
    listing = list_folder(root)
    notices = Notices()
    pieces = distinct_folders(root, [path for path in listing.folders if _PIECE.fullmatch(path.name)], notices)
    if not pieces:
        raise MediaError(f"Expected Bach10: folders such as 01-AchGottundHerr. Received: {shown(root)}")
    notices.add_unusable(listing)
    others = [path for path in listing.folders if not _PIECE.fullmatch(path.name)]
    others = [path for path in others if path.name.lower() not in _EXTRA_FOLDERS]
    others += [path for path in listing.files if not is_paper(path)]
    notices.add_strays(others, "is not a folder NN-<Name>")
    if len(pieces) != NUM_PIECES:
        notices.problems.append(f"Bach10 has {NUM_PIECES} pieces, here are {len(pieces)}")
    found = [_piece(folder) for folder in pieces]
    return build_dataset("bach10", root, BACH10.taxonomy, found, notices, {"composition": by_composition()})


def _piece(folder: Path) -> Finding:
    name, listing = printable(folder.name), list_folder(folder)
    sounds, mixtures, remarks = _sounds(folder, listing)
    # Several labels may stand for one instrument, "saxophone" and "saxphone": one of them is enough.
    instruments = tuple(dict.fromkeys(filter(None, BACH10.instruments.values())))
    faults = [f"{name_list(paths)} are the same part twice: keep one" for paths in sounds.values() if len(paths) > 1]
    faults += [f"{shown(folder.name)}-{i}.wav is missing" for i in instruments if i not in sounds]
    faults += [f"{name_list(mixtures)} are the same mixture twice: keep one"] if len(mixtures) > 1 else []
    if faults:
        return unusable(name, shown(folder), [*faults, *listing.unusable])
    annotations = _annotations(folder, listing)
    remarks += [f"{shown(folder.name)}{end} is missing" for end, kind in _ANNOTATIONS.items() if not annotations[kind]]
    remarks += [] if mixtures else [f"{shown(folder.name)}.wav is missing: the sum of the parts stands for the mixture"]
    parts = tuple(
        Part(instrument, Sound(sounds[instrument][0]), **annotations, annotation_row=row)
        for row, instrument in enumerate(instruments)
    )
    composition = printable(folder.name).split("-", 1)[1]
    mixture = Sound(mixtures[0]) if mixtures else None
    return Track(name, composition, parts, mixture=mixture, remarks=tuple(remarks)), []


def _sounds(folder: Path, listing: Listing) -> tuple[dict[str, list[Path]], list[Path], list[str]]:
    """Recordings by instrument, the mixture's, and remarks on everything else."""
    sounds: dict[str, list[Path]] = {}
    mixtures: list[Path] = []
    remarks = [f"{line}; not used" for line in listing.unusable]
    remarks += [f"{shown(path.name)} is a folder; not used" for path in listing.folders]
    for path in listing.files:
        instrument = BACH10.instrument(path.stem.rsplit("-", 1)[-1]) if path.stem != folder.name else None
        if path.suffix.lower() in SOUND_EXTENSIONS and path.stem == folder.name:
            mixtures.append(path)
        elif path.suffix.lower() in SOUND_EXTENSIONS and instrument is not None:
            sounds.setdefault(instrument, []).append(path)
        elif path.suffix.lower() not in _NOT_USED and not is_paper(path):
            remarks.append(f"{shown(path.name)} is no file of Bach10's; not used")
    return sounds, mixtures, remarks


def _annotations(folder: Path, listing: Listing) -> dict[str, Path | None]:
    files = {path.name: path for path in listing.files}
    return {kind: files.get(f"{folder.name}{end}") for end, kind in _ANNOTATIONS.items()}
