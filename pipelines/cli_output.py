"""What commands print."""

import sys

import click

from av_sep.errors import MediaError
from pipelines.quiet import send_nowhere


def say(text: str, *, err: bool = False) -> None:
    """Prints, unless whoever read it has gone (`av-sep … | head -1`).

    A command is there for its work: it goes on without a word, and its exit code is that of the work and not of a pipe.

    Args:
        text: without the line's end.
        err: print to where errors go.

    Raises:
        MediaError: where what is printed goes to a file that cannot be written, as on a full disk.
    """
    try:
        click.echo(text, err=err)
    except BrokenPipeError:
        send_nowhere(sys.stderr if err else sys.stdout)
    except OSError as error:
        send_nowhere(sys.stderr if err else sys.stdout)
        # Where errors cannot be told there is nobody to tell this either.
        if not err:
            raise MediaError(f"Cannot write what is printed to its place: {error.strerror or error}") from error
