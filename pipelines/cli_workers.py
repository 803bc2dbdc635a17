"""The options of every command that can spread its work."""

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from av_sep.errors import ParameterError

if TYPE_CHECKING:
    from pipelines.workers import Workers


def worker_options(default_processes: int | None) -> Callable[[Callable], Callable]:
    """Adds --processes, --runner and --runner-options to a command.

    Args:
        default_processes: how many local processes there are where nothing is said; None for one per core.
    """
    shown_default = str(default_processes or "one per core")
    runner_help = "local, or an Apache Beam runner (DirectRunner, FlinkRunner, SparkRunner, DataflowRunner, ...)."
    options = [
        click.option("--processes", type=click.IntRange(1), default=default_processes, show_default=shown_default,
                     help="How many local processes share the work."),
        click.option("--runner", default="local", show_default=True, help=f"Who does the work: {runner_help}"),
        click.option("--runner-options", default="", help="The Beam runner's own options, in one pair of quotes."),
    ]

    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def make_workers(processes: int | None, runner: str, runner_options: str) -> "Workers":
    """The workers that the options ask for.

    Raises:
        ParameterError: for options that do not go together.
    """
    from pipelines.workers import Workers, available_cores

    try:
        split_options = tuple(shlex.split(runner_options))
    except ValueError as error:
        raise ParameterError(f"Cannot split the runner's options ({error}). Received: {runner_options!r}") from error
    return Workers(runner, processes or available_cores(), split_options)
