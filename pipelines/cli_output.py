"""What commands print."""

import sys

import click

from pipelines.quiet import send_nowhere


def say(text: str, *, err: bool = False) -> None:
    """Prints, unless whoever read it has gone (`av-sep … | head -1`).

    A command is there for its work: it goes on without a word, and its exit code is that of the work and not of a pipe.

    Args:
        text: without the line's end.
        err: print to where errors go.
    """
    try:
        click.echo(text, err=err)
    except BrokenPipeError:
        send_nowhere(sys.stderr if err else sys.stdout)
