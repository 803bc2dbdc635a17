"""How the command line fails: one line and an exit code.

Exit codes: 0 done, 2 something the user can mend (a file, an argument), 1 anything else, 130 interrupted.
"""

import sys
from collections.abc import Callable

import click

from av_sep.errors import MediaError, ParameterError

USER_MISTAKE, OTHER_FAILURE, INTERRUPTED = 2, 1, 130


def one_line_errors(run: Callable[[], None], *, debug: bool) -> None:
    """Runs a command; an error becomes one line and an exit code, unless the traceback is asked for."""
    try:
        run()
    except (MediaError, ParameterError) as error:
        if debug:
            raise
        click.echo(prefixed(error), err=True)
        sys.exit(USER_MISTAKE)
    except KeyboardInterrupt:
        click.echo("Interrupted; what was finished stays, nothing half-finished does.", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last line of defence: the user sees one line, --debug the rest
        if debug:
            raise
        click.echo(prefixed(error), err=True)
        sys.exit(OTHER_FAILURE)


def prefixed(error: Exception) -> str:
    return f"av-sep: {one_line(error)}"


def one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, (MediaError, ParameterError)):
        return text
    return f"unexpected {type(error).__name__}: {text} (run again with --debug to see where)"
