"""The two kinds of error a user can cause, and how their messages name a path.

Messages name what was expected, what came ("Received: ...") and what to do next, in one line, because the command line
prints them as they are.
"""

import os


class ParameterError(ValueError):
    """An argument, option or model that cannot be used as given."""


class MediaError(OSError):
    """A media file that cannot be read, or a place that cannot be written."""


def shown(path: str | os.PathLike[str]) -> str:
    """A path as messages print it: on one line, and printable even where the name is not valid UTF-8."""
    try:
        text = os.fsencode(path).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        # No name of a file, but what somebody wrote for one.
        text = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
