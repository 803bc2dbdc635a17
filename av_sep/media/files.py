"""Files and folders: finding media, naming files in messages, and writing so that no half-written file is ever seen."""

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from av_sep.errors import MediaError, shown

VIDEO_EXTENSIONS = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .m2ts .mts .wmv .flv .3gp .ogv .vob".split()
)
SOUND_EXTENSIONS = frozenset(".wav .flac .mp3 .m4a .aac .ogg .oga .opus .aif .aiff .wma .w64 .rf64 .caf .au".split())
MEDIA_EXTENSIONS = VIDEO_EXTENSIONS | SOUND_EXTENSIONS


def require_readable(path: str | os.PathLike[str]) -> Path:
    """The path, once it is known to be a file with something in it that may be read.

    Raises:
        MediaError: for a missing file, a folder, a pipe or device, an empty file and one without permission.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise MediaError(f"Expected a media file, not a folder. Received: {shown(path)}")
        if not stat.S_ISREG(mode):
            raise MediaError(f"Expected a media file, not a pipe or device. Received: {shown(path)}")
        with path.open("rb") as file:
            if not file.read(1):
                raise MediaError(f"The file is empty (0 bytes). Received: {shown(path)}")
    except FileNotFoundError:
        raise MediaError(f"There is no such file. Received: {shown(path)}") from None
    except PermissionError:
        raise MediaError(f"No permission to read this file. Received: {shown(path)}") from None
    except MediaError:
        raise
    except OSError as error:
        raise MediaError(f"Cannot read this file ({error.strerror}). Received: {shown(path)}") from None
    return path


def cannot_write(path: str | os.PathLike[str], error: OSError) -> MediaError:
    """The one-line error for a file that could not be written, from what the system said."""
    return MediaError(f"Cannot write {shown(path)}: {error.strerror or error}")


@contextmanager
def replace_when_complete(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the final name only if the body ends without an exception.

    So a reader never meets half a file, and an earlier file survives a failed attempt. The temporary name is hidden,
    keeps the suffix (writers that choose a format by it need that), and is gone afterwards in every case. The file
    exists already when the body starts, with the permissions that `open` would give it.

    Raises:
        MediaError: where the folder is missing or not writable, the disk is full, or `path` is a folder.
    """
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(8)}.part{path.suffix}")
    if path.is_dir():
        raise MediaError(f"Cannot write {shown(path)}: a folder of that name is in the way")
    try:
        try:
            temporary.touch(exist_ok=False)
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except MediaError:
        raise
    except OSError as error:
        # A full disk names no file; an error that names another file is not about this one.
        if error.filename not in (None, temporary, str(temporary)):
            raise
        raise cannot_write(path, error) from error


def find_media(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Media files for what a person typed: files as they are, folders searched through with all their subfolders.

    In folders only `MEDIA_EXTENSIONS` count (in any case), hidden files and folders are passed over, links to folders
    are followed once, and the order is that of the sorted relative paths. A file met twice is listed once.

    Raises:
        MediaError: for a path that does not exist and a folder that cannot be searched.
    """
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except OSError as error:
            raise MediaError(f"Cannot open this ({error.strerror}). Received: {shown(path)}") from error
        for file in _media_in_folder(path) if is_folder else [path]:
            found.setdefault(os.path.abspath(file), file)
    return list(found.values())


def _media_in_folder(root: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise MediaError(f"Cannot search this folder ({error.strerror}). Received: {shown(error.filename)}") from error

    visited = set()
    files = []
    for folder, subfolders, names in os.walk(root, onerror=refuse, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in visited:
            subfolders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        candidates = (Path(folder, name) for name in names if not name.startswith("."))
        files += [path for path in candidates if path.suffix.lower() in MEDIA_EXTENSIONS and path.is_file()]
    return sorted(files)
