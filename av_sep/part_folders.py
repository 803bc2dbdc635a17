"""Hidden folders to fill, which are named when they are complete, and the removal of those that killed runs have left.

A part is locked by the process that fills it, and the system drops a process's locks when it ends, whatever ended it.
So a part that can be locked is nobody's any more. Where the disk knows no locks (some network drives, Windows), parts
that were left stay.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

_PART = re.compile(r"\.[0-9a-f]{16}\.part")


@contextmanager
def part_folder(root: Path) -> Iterator[Path]:
    """A hidden folder in another to fill and to give a name while the body runs; it is gone afterwards without one.

    Raises:
        OSError: where it cannot be made.
    """
    # Renamed once it is locked, so that nobody takes it for a part that was left.
    unlocked = root / f".{secrets.token_hex(8)}.new"
    part = unlocked.with_suffix(".part")
    try:
        unlocked.mkdir()
        with _lock(unlocked):
            unlocked.rename(part)
            yield part
    finally:
        for path in (unlocked, part):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def filled_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder beside `folder` to fill; it takes that name, an earlier one's too, only if the body ends well.

    Raises:
        OSError: where that is not possible.
    """
    with part_folder(folder.parent) as part:
        yield part
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)


def remove_left_parts(root: Path) -> None:
    """Removes the parts in a folder that no living process fills; nothing is said of those that cannot be removed."""
    with suppress(OSError):
        for part in [Path(entry) for entry in os.scandir(root) if _PART.fullmatch(entry.name)]:
            with _lock(part) as is_ours:
                if is_ours:
                    shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Locks a folder while the body runs, if it can be; tells whether it is locked."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        yield _try_to_lock(descriptor)
    finally:
        os.close(descriptor)


def _try_to_lock(descriptor: int) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
