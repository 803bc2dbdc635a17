"""How the command line fails: one line and an exit code.

Exit codes: 0 done, 2 something the user can mend (a file, an argument, a permission), 1 anything else, 130 interrupted;
143 and 129 asked to end, see `av_sep.ending`.
"""

import sys
from collections.abc import Callable

from pipelines.cli_output import say
from pipelines.error_lines import error_line, is_users

USER_MISTAKE, OTHER_FAILURE, INTERRUPTED = 2, 1, 130


def one_line_errors(run: Callable[[], None], *, debug: bool) -> None:
    """Runs a command; an error becomes one line and an exit code, unless the traceback is asked for."""
    try:
        run()
    except KeyboardInterrupt:
        say("Interrupted; what was finished stays, nothing half-finished does.", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last line of defence: the user sees one line, --debug the rest
        if debug:
            raise
        say(prefixed(error), err=True)
        sys.exit(USER_MISTAKE if is_users(error) else OTHER_FAILURE)


def prefixed(error: Exception) -> str:
    return f"av-sep: {one_line(error)}"


def one_line(error: Exception) -> str:
    return error_line(error) if is_users(error) else f"{error_line(error)} (run again with --debug to see where)"
