"""URMP: 44 pieces of chamber music, each player recorded alone, with videos, notes and fundamental frequencies.

Layout, under the root or its folder `Dataset`:

    01_Jupiter_vn_vc/                   number, title, and the players' instruments, left to right on stage
        AuMix_01_Jupiter_vn_vc.wav      the mixture
        AuSep_1_vn_01_Jupiter.wav       part 1 alone
        Notes_1_vn_01_Jupiter.txt       its notes
        F0s_1_vn_01_Jupiter.txt         its fundamental frequency
        Vid_01_Jupiter_vn_vc.mp4        the film
        Sco_01_Jupiter_vn_vc.mid, .pdf  the score
        Boxes_01_Jupiter_vn_vc.csv      where the players are (ensembles made by av-sep only)

Part n plays the n-th instrument of the folder's name, whatever the files are called: in `15_Surprise_tpt_tpt_tbn` the
files of part 3 say `tpt`, but what sounds is the trombone.

Splits:
    "composition" (default): by the piece's title, about 70 / 10 / 20 % of the titles. Several pieces are arrangements
        of one composition and share takes, so two pieces of the same title never stand on different sides. Some titles,
        such as "Fugue" and "Spring", may cover more than one work; taking them for one errs on the safe side.
    "authors": test = pieces 01 09 13 16 18 24 28 31 35 42 44, train = all others but 02 04 05 06, which are left out;
        no validation. Compositions stand on both sides of it (15 and 16 share two takes), so scores are flattered.

Ensembles made by av-sep (a `dataset.json` with `"made_by": "av-sep"` lies beside the pieces) have a composition of
their own each, number and title, and no split by authors.

References:
    B. Li, X. Liu, K. Dinesh, Z. Duan, G. Sharma, "Creating a multitrack classical music performance dataset for
    multimodal music analysis", IEEE Trans. Multimedia 21(2), 2019.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from av_sep.datasets.building import Finding, build_dataset, unusable
from av_sep.datasets.splits import by_composition, split_by
from av_sep.datasets.track import Dataset, Part, Sound, Split, Track
from av_sep.datasets.tree import (
    Notices,
    distinct_folders,
    is_paper,
    list_folder,
    name_list,
    printable,
)
from av_sep.errors import MediaError, ParameterError, shown
from av_sep.instruments import URMP_13
from av_sep.media import SOUND_EXTENSIONS, VIDEO_EXTENSIONS

AUTHORS_TEST = frozenset({1, 9, 13, 16, 18, 24, 28, 31, 35, 42, 44})
AUTHORS_LEFT_OUT = frozenset({2, 4, 5, 6})
NUM_PIECES = 44

_PIECE = re.compile(r"(\d+)_([^_]+)_(.+)")
_PART_FILE = re.compile(r"(AuSep|Notes|F0s)_(\d+)_([^_]+)_(.+)")
_PIECE_FILE = re.compile(r"(AuMix|Vid|Sco|Boxes)_(.+)")
_EXTENSIONS = {
    "AuSep": SOUND_EXTENSIONS,
    "AuMix": SOUND_EXTENSIONS,
    "Vid": VIDEO_EXTENSIONS,
    "Notes": {".txt"},
    "F0s": {".txt"},
    "Boxes": {".csv"},
    "Sco": {".mid", ".midi", ".pdf", ".xml", ".musicxml", ".mxl"},
}
_EXTRA_FOLDERS = frozenset({"Supplementary_Files"})


def open_urmp(root: str | os.PathLike[str]) -> Dataset:
    """Index URMP, or ensembles in its layout.

    Args:
        root: the folder that holds the pieces, or that holds them in a folder `Dataset`.

    Raises:
        MediaError: for a folder that cannot be read or holds no piece, and for a `dataset.json` that is none.
    """
    root = Path(root)
    listing = list_folder(root)
    folder = root
    if not any(map(_is_piece, listing.folders)) and root / "Dataset" in listing.folders:
        folder = root / "Dataset"
        listing = list_folder(folder)
    notices = Notices()
    pieces = distinct_folders(folder, [path for path in listing.folders if _is_piece(path)], notices)
    if not pieces:
        raise MediaError(
            f"Expected URMP: folders such as 01_Jupiter_vn_vc, here or in a folder Dataset. Received: {shown(root)}"
        )
    made = _is_made(folder)
    found = [_piece(path, made) for path in pieces]
    notices.add_unusable(listing)
    others = [path for path in listing.folders if not _is_piece(path) and path.name not in _EXTRA_FOLDERS]
    others += [path for path in listing.files if not is_paper(path) and path.name != "dataset.json"]
    notices.add_strays(others, "is not a folder NN_<Title>_<instrument>_…")
    notices.problems += [] if made else _missing_pieces(pieces)
    return build_dataset("urmp", root, URMP_13, found, notices, _splits(made))


def _is_piece(path: Path) -> bool:
    return _PIECE.fullmatch(path.name) is not None


def _is_made(folder: Path) -> bool:
    """Whether av-sep made these ensembles."""
    try:
        content = json.loads((folder / "dataset.json").read_bytes())
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise MediaError(f"Expected JSON ({error}). Received: {shown(folder / 'dataset.json')}") from error
    return isinstance(content, dict) and content.get("made_by") == "av-sep"


def _missing_pieces(pieces: Iterable[Path]) -> list[str]:
    numbers = {_number(path.name) for path in pieces}
    missing = [f"{number:02d}" for number in range(1, NUM_PIECES + 1) if number not in numbers]
    return [f"URMP has {NUM_PIECES} pieces, not here: {' '.join(missing)}"] if missing else []


def _number(name: str) -> int:
    return int(name.split("_")[0])


def _splits(made: bool) -> dict[str, Split]:
    return {"composition": by_composition()} | ({} if made else {"authors": split_by(_authors_side)})


def _authors_side(track: Track) -> str | None:
    number = _number(track.name)
    if number in AUTHORS_LEFT_OUT:
        return None
    return "test" if number in AUTHORS_TEST else "train"


@dataclass
class _Files:
    """A piece's files by what they are: (kind, part's number or 0) -> files; what is odd about them, what is broken."""

    slots: dict[tuple[str, int], list[Path]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    unusable: tuple[str, ...] = ()

    def get(self, kind: str, number: int = 0) -> Path | None:
        return self.slots.get((kind, number), [None])[0]

    def numbers(self, kind: str) -> list[int]:
        return sorted(number for slot_kind, number in self.slots if slot_kind == kind)


def _piece(folder: Path, made: bool) -> Finding:
    match = _PIECE.fullmatch(folder.name)
    assert match is not None
    number, title, abbreviations = match.groups()
    name = printable(folder.name)
    try:
        instruments = [URMP_13.parse(abbreviation) for abbreviation in abbreviations.split("_")]
    except ParameterError as error:
        return unusable(name, shown(folder), [f"the folder's name must end with the players' instruments: {error}"])
    files = _sorted_files(folder, f"{number}_{title}", instruments)
    faults = _faults(files, instruments)
    if faults:
        return unusable(name, shown(folder), [*faults, *files.unusable])
    composition = printable(f"{number}_{title}" if made else title)
    remarks = [*files.remarks, *(f"{line}; not used" for line in files.unusable)]
    remarks += _missing_extras(files, len(instruments), made)
    mixture = files.get("AuMix")
    track = Track(
        name=name,
        composition=composition,
        parts=tuple(_part(files, i, instrument) for i, instrument in enumerate(instruments, start=1)),
        mixture=Sound(mixture) if mixture else None,
        video=files.get("Vid"),
        boxes=files.get("Boxes"),
        remarks=tuple(remarks),
    )
    return track, []


def _part(files: _Files, number: int, instrument: str) -> Part:
    sound = files.get("AuSep", number)
    assert sound is not None
    return Part(instrument, Sound(sound), files.get("Notes", number), files.get("F0s", number))


def _sorted_files(folder: Path, piece: str, instruments: list[str]) -> _Files:
    listing = list_folder(folder)
    files = _Files(unusable=listing.unusable)
    files.remarks += [f"{shown(path.name)} is a folder; not used" for path in listing.folders]
    for path in listing.files:
        slot, remark = _slot(path, piece, instruments)
        if slot is not None:
            files.slots.setdefault(slot, []).append(path)
        elif not remark and not is_paper(path):
            remark = f"{shown(path.name)} is no file of URMP's; not used"
        if remark:
            files.remarks.append(remark)
    return files


def _slot(path: Path, piece: str, instruments: list[str]) -> tuple[tuple[str, int] | None, str]:
    """What a file is by its name, None where it is nothing of URMP's; and what is odd about the name."""
    part, whole = _PART_FILE.fullmatch(path.stem), _PIECE_FILE.fullmatch(path.stem)
    match = part or whole
    if match is None or path.suffix.lower() not in _EXTENSIONS[match.group(1)]:
        return None, ""
    kind = match.group(1)
    if part is None:
        ours = match.group(2) == piece or match.group(2).startswith(f"{piece}_")
        return (kind, 0), "" if ours else f"{shown(path.name)} names another piece than its folder; taken as this one's"
    number, abbreviation, named_piece = int(part.group(2)), part.group(3), part.group(4)
    remark = ""
    if named_piece != piece:
        remark = f"{shown(path.name)} names another piece than its folder; taken as this one's"
    elif 1 <= number <= len(instruments) and _parsed(abbreviation) != instruments[number - 1]:
        true = URMP_13.instruments[URMP_13.index(instruments[number - 1])].abbreviation
        remark = f"{shown(path.name)} says {shown(abbreviation)}; the directory says {true}, which was taken"
    return (kind, number), remark


def _parsed(abbreviation: str) -> str | None:
    try:
        return URMP_13.parse(abbreviation)
    except ParameterError:
        return None


def _faults(files: _Files, instruments: list[str]) -> list[str]:
    """Why the piece cannot be used."""
    faults = [
        f"{name_list(paths)} are the same thing twice: keep one"
        for (kind, _), paths in files.slots.items()
        if len(paths) > 1 and kind != "Sco"
    ]
    present = files.numbers("AuSep")
    if not present:
        return [*faults, "there is not one AuSep_* file"]
    missing = [number for number in range(1, len(instruments) + 1) if number not in present]
    faults += [f"AuSep_{number}_* ({instruments[number - 1]}) is missing" for number in missing]
    beyond = [number for number in present if not 1 <= number <= len(instruments)]
    surplus = [path for number in beyond for path in files.slots["AuSep", number]]
    if surplus:
        faults.append(f"the directory names {len(instruments)} players, but there is {name_list(surplus)}")
    return faults


def _missing_extras(files: _Files, num_parts: int, made: bool) -> list[str]:
    """Remarks on what a piece can do without. Made ensembles have the annotations that their maker wrote."""
    remarks = []
    if files.get("AuMix") is None:
        remarks.append("AuMix_* is missing: the sum of the parts stands for the mixture")
    if files.get("Vid") is None:
        remarks.append("Vid_* is missing: no video")
    for kind in ("Notes", "F0s"):
        numbers = files.numbers(kind)
        missing = [str(number) for number in range(1, num_parts + 1) if number not in numbers]
        if missing and (numbers or not made):
            remarks.append(f"{kind}_* is missing for part {', '.join(missing)}")
        surplus = [path for number in numbers if not 1 <= number <= num_parts for path in files.slots[kind, number]]
        remarks += [f"{shown(path.name)} belongs to no part; not used" for path in surplus]
    return remarks
