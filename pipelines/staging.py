"""Output folders that appear under their final name only when everything in them is complete."""

import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from av_sep.errors import MediaError, ParameterError, shown
from av_sep.part_folders import part_folder, remove_left_parts

_log = logging.getLogger(__name__)


# What a finished folder of ours holds. Nothing else is ever replaced or taken for one.
RESULT_FILES = ("manifest.json", "report.html")
# What file managers leave in every folder that somebody opens; nobody misses it.
_OF_FILE_MANAGERS = (".DS_Store", "Thumbs.db", "desktop.ini")


def is_result(folder: Path) -> bool:
    """Whether a folder is a finished output of ours; not one that cannot be looked into."""
    return all(os.path.isfile(folder / name) for name in RESULT_FILES)


def _first_foreign(folder: Path) -> str | None:
    """Name of the first entry of a result's folder that its manifest does not name; None where all are ours."""
    try:
        content = json.loads((folder / RESULT_FILES[0]).read_bytes())
        stems = {str(stem["file"]) for stem in content["stems"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        stems = set()
    ours = {*RESULT_FILES, *stems, *_OF_FILE_MANAGERS}
    return min((entry.name for entry in folder.iterdir() if entry.name not in ours or entry.is_dir()), default=None)


def require_free(path: Path, *, overwrite: bool) -> None:
    """Refuses a place that holds something already.

    Raises:
        ParameterError: if it exists, is not an empty folder, and may not be replaced.
        MediaError: where that cannot be told, because the place cannot be reached.
    """
    if overwrite or not _is_taken(path):
        return
    raise ParameterError(f"The output exists already; add --overwrite to replace it. Received: {path}")


def require_own(directory: Path, *, overwrite: bool) -> None:
    """As `require_free`, for a folder of results: whatever is not one is not replaced, even where that is asked for.

    A result beside which somebody keeps files of his own is refused, too: a new result would have to take them over,
    and could then no longer appear at once.

    Raises:
        ParameterError: if something else has its name, a finished one that may not be replaced, or one that holds more
            than its manifest names.
        MediaError: as `require_free`.
    """
    if _is_taken(directory) and not is_result(directory):
        raise ParameterError(
            "Expected a new place for the output, or one with an earlier result; choose another folder with -o."
            f" Received: {directory}, which is something else"
        )
    require_free(directory, overwrite=overwrite)
    # Of a link nothing but the link is replaced.
    if directory.is_symlink() or not _is_taken(directory):
        return
    foreign = _first_foreign(directory)
    if foreign is not None:
        raise ParameterError(
            "Expected an earlier result with nothing else in its folder; move what is yours away, or choose another"
            f" folder with -o. Received: {shown(directory / foreign)}, which is not of that result"
        )


def _is_taken(path: Path) -> bool:
    try:
        return path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir())))
    except OSError as error:
        raise _cannot_write_to(path, error) from error


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, where they are missing.

    Raises:
        MediaError: where that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write_to(folder, error) from error


def require_writable(folder: Path) -> None:
    """Raises MediaError where it can be told beforehand that a folder cannot be made or written to."""
    try:
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    except OSError as error:
        raise _cannot_write_to(folder, error) from error
    if not nearest.is_dir():
        raise MediaError(f"Cannot write to {folder}: {nearest} is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise MediaError(f"Cannot write to {folder}: no permission")


def _cannot_write_to(folder: Path, error: OSError) -> MediaError:
    return MediaError(f"Cannot write to {folder}: {error.strerror or error}")


@contextmanager
def staged_folder(directory: Path, *, overwrite: bool) -> Iterator[Path]:
    """A hidden folder beside `directory` to write to; it takes the final name only if the body ends well.

    An earlier result of that name stays as it was until then, and if the name cannot be taken. Where the name is a link
    to an earlier result, the link is replaced and what it leads to stays. Hidden folders that killed runs have left
    there are removed.

    Raises:
        ParameterError: see `require_own`; also at the end, for what has taken the name since the beginning.
        MediaError: where the folder cannot be made or given its name.
    """
    require_own(directory, overwrite=overwrite)
    # The deepest first.
    new_parents = [folder for folder in directory.parents if not os.path.lexists(folder)]
    try:
        make_folder(directory.parent)
        remove_left_parts(directory.parent)
        with ExitStack() as stack:
            try:
                staging = stack.enter_context(part_folder(directory.parent))
            except OSError as error:
                raise _cannot_write_to(directory.parent, error) from error
            yield staging
            _take_name(staging, directory, overwrite=overwrite)
    finally:
        for folder in new_parents:
            # Refused by the system where the result is in it, or something else by now.
            with suppress(OSError):
                folder.rmdir()


def _take_name(staging: Path, directory: Path, *, overwrite: bool) -> None:
    # Hours may have passed since it was free.
    require_own(directory, overwrite=overwrite)
    try:
        if not _is_taken(directory):
            # Refused by the system if somebody fills the place at this moment.
            os.replace(staging, directory)
            return
        old = directory.with_name(f".{secrets.token_hex(8)}.old")
        os.replace(directory, old)
        try:
            os.replace(staging, directory)
        # Being asked to end, too, must not cost the earlier result its name.
        except BaseException:
            _give_back(old, directory)
            raise
    except MediaError:
        raise
    except OSError as error:
        raise MediaError(f"Cannot write {directory}: {error.strerror or error}") from error
    _remove(old)


def _give_back(old: Path, directory: Path) -> None:
    try:
        os.replace(old, directory)
    except OSError as error:
        reason = error.strerror or error
        raise MediaError(f"Cannot write {directory}: {reason}; the earlier result is kept as {old}") from error


def _remove(old: Path) -> None:
    # What a link leads to is not ours to remove, and `rmtree` leaves the link itself.
    if old.is_symlink():
        with suppress(OSError):
            old.unlink()
        return
    # A folder that was made read-only is no less to be replaced than its name was.
    with suppress(OSError):
        old.chmod(0o700)
    shutil.rmtree(old, ignore_errors=True)
    if old.exists():
        _log.warning("the earlier result could not be removed altogether; what is left is in %s", shown(old))
