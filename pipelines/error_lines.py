"""Errors as the user is told them: one line each, and whether they are the user's to mend."""

import os

from av_sep.errors import MediaError, ParameterError, shown


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
    """Whether the user can mend it (a file, an argument, a permission) rather than we."""
    return isinstance(error, (MediaError, ParameterError, PermissionError))


def error_line(error: BaseException) -> str:
    """What to tell the user; an error that is not the user's to mend is called unexpected, with its type (once)."""
    if isinstance(error, PermissionError) and isinstance(error.filename, (str, bytes, os.PathLike)):
        place = shown(os.fsdecode(error.filename))
        return f"No permission to reach this; grant it, or choose another place. Received: {place}"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if is_users(error) or isinstance(error, WorkFailed) else f"unexpected {type(error).__name__}: {text}"
