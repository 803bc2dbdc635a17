"""Errors as the user is told them: one line each, and whether they are the user's to mend."""

import errno
import os
from typing import TypeGuard

from av_sep.errors import MediaError, ParameterError, shown


# A disk or a quota is full, a file may not grow, a disk may not be written to.
_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS))


class WorkFailed(RuntimeError):
    """Items of work ended in errors that are not all the user's to mend.

    Args:
        text: what to tell the user, of lines that `error_line` made where the work was done.
        details: the first unexpected error's traceback; shown where this one's own is.
    """

    def __init__(self, text: str, details: str):
        super().__init__(text)
        self.__cause__ = RuntimeError(f"\n{details}")


def is_users(error: BaseException) -> bool:
    """Whether the user can mend it (a file, an argument, a permission, a full disk) rather than we."""
    return isinstance(error, (MediaError, ParameterError, PermissionError)) or _lacks_room(error) or _is_adrift(error)


def error_line(error: BaseException) -> str:
    """What to tell the user; an error that is not the user's to mend is called unexpected, with its type (once)."""
    if isinstance(error, PermissionError) and (received := _received(error)):
        return f"No permission to reach this; grant it, or choose another place{received}"
    if _lacks_room(error):
        return f"Cannot write: {error.strerror}; make room, or choose another place{_received(error)}"
    if _is_adrift(error):
        return "The current folder has been removed; change to another one"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if is_users(error) or isinstance(error, WorkFailed) else f"unexpected {type(error).__name__}: {text}"


def _lacks_room(error: BaseException) -> TypeGuard[OSError]:
    return isinstance(error, OSError) and not isinstance(error, MediaError) and error.errno in _NO_ROOM


def _is_adrift(error: BaseException) -> bool:
    """Whether a path could not be completed since the current folder is gone; that names no file."""
    if not isinstance(error, FileNotFoundError) or error.filename is not None:
        return False
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _received(error: OSError) -> str:
    """The end of a message that names the error's file, if it has one: writing to an open file tells none."""
    named = isinstance(error.filename, (str, bytes, os.PathLike))
    return f". Received: {shown(os.fsdecode(error.filename))}" if named else ""
