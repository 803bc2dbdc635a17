"""A dataset's folders: what they hold, in a steady order, and what in them cannot be used.

Conventions:
    Folders are listed, sound files are never opened. Hidden entries and what operating systems leave behind are passed
    over. Links are followed one level at a time and never back, so that a loop of links ends. Names that are not valid
    UTF-8 stay as they are in paths and are made printable everywhere else.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from av_sep.errors import MediaError, shown
from av_sep.media import MEDIA_EXTENSIONS, SOUND_EXTENSIONS

_CLUTTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_PAPERS = (".txt", ".md", ".pdf", ".html", ".rtf", ".bib")


@dataclass(frozen=True)
class Listing:
    """What a folder holds, each sorted by name.

    Attributes:
        folders: its subfolders, links to folders included.
        files: its regular files, links to files included.
        unusable: one line for each entry that is neither, or cannot be looked at.
        lost_sounds: those of them that have a sound's name: links to a file that is not there, as a rule.
    """

    folders: tuple[Path, ...]
    files: tuple[Path, ...]
    unusable: tuple[str, ...]
    lost_sounds: tuple[str, ...] = ()


def list_folder(folder: Path) -> Listing:
    """What a folder holds.

    Raises:
        MediaError: for a folder that is missing, is none, or may not be read.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise MediaError(f"Cannot open this folder ({error.strerror}). Received: {shown(folder)}") from error
    folders, files, unusable, lost_sounds = [], [], [], []
    for path in (folder / name for name in names if not name.startswith(".") and name.lower() not in _CLUTTER):
        try:
            mode = path.stat().st_mode
        except OSError as error:
            unusable.append(f"{shown(path.name)} cannot be opened ({error.strerror})")
            lost_sounds += unusable[-1:] if path.suffix.lower() in SOUND_EXTENSIONS else []
            continue
        if stat.S_ISDIR(mode):
            folders.append(path)
        elif stat.S_ISREG(mode):
            files.append(path)
        else:
            unusable.append(f"{shown(path.name)} is neither a file nor a folder")
    return Listing(tuple(folders), tuple(files), tuple(unusable), tuple(lost_sounds))


@dataclass
class Notices:
    """Lines about what in a dataset's folders is no track.

    Attributes:
        problems: about what may be meant for a track, and what is missing.
        remarks: about the rest.
    """

    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add_strays(self, paths: Iterable[Path], reason: str) -> None:
        """A line for each folder and file out of place: a problem where there may be sound or pictures in it."""
        for path in paths:
            is_plain = path.is_file() and path.suffix.lower() not in MEDIA_EXTENSIONS
            (self.remarks if is_plain else self.problems).append(f"{shown(path)} {reason}; left out")

    def add_unusable(self, listing: Listing, where: str = "") -> None:
        """A line for each entry that cannot be used, its name after `where`."""
        self.problems += [f"{where}{line}; left out" for line in listing.unusable]


def distinct_folders(root: Path, folders: Sequence[Path], notices: Notices) -> list[Path]:
    """Folders without those that are only another way to one of them or back to the root; these get a remark.

    A folder itself is kept rather than a link to it.
    """
    seen = {_identity(root): root}
    kept = []
    for folder in sorted(folders, key=lambda path: (path.is_symlink(), path)):
        first = seen.setdefault(_identity(folder), folder)
        if first is folder:
            kept.append(folder)
        else:
            line = f"{printable(folder.name)}: a link to {shown(first)}, which is there already; left out"
            notices.remarks.append(line)
    return sorted(kept)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def is_paper(path: Path) -> bool:
    """Whether a file is a read-me, a licence or the like: part of every download, and no line worth."""
    return path.suffix.lower() in _PAPERS or path.stem.upper() in ("README", "LICENSE", "LICENCE", "COPYING")


def printable(name: str) -> str:
    """A name as tracks have it: printable and usable as a file name on any system, e.g. "Caf\\xe9" as "Caf%xe9"."""
    return shown(name).replace("\\", "%").replace("/", "%")


def name_list(paths: Iterable[Path]) -> str:
    """File names for a message, "a.wav, b.wav"."""
    return ", ".join(shown(path.name) for path in paths)
