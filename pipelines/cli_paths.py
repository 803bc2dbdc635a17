"""What the command line takes for files and folders: anything but nothing.

The empty string is what a shell variable gives that was never set; `pathlib` takes it for the folder that one is in,
so a command would work on every recording there.
"""

from pathlib import Path

import click

_EMPTY = "Expected the name of a file or folder. Received: ''"


class _Path(click.Path):
    """A `pathlib.Path`; the empty string is refused."""

    def __init__(self) -> None:
        # What cannot be read is told by who reads it, in one line; an output is not read at all.
        super().__init__(path_type=Path, readable=False)

    def convert(self, value, param, ctx):
        return super().convert(_not_empty(self, value, param, ctx), param, ctx)


class _Location(click.ParamType):
    """A path or a URL, as it is written; the empty string is refused."""

    name = "path or url"

    def convert(self, value, param, ctx):
        return _not_empty(self, value, param, ctx)


PATH, LOCATION = _Path(), _Location()


def _not_empty(kind: click.ParamType, value, param, ctx):
    if value == "":
        kind.fail(_EMPTY, param, ctx)
    return value
