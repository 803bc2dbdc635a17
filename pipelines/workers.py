"""One function over many items: in processes of this machine, or wherever an Apache Beam runner takes it.

What runs is the same function in both cases; this module only carries items there and outcomes back. An item that
fails does not stop the others. Functions and items must pickle; results must be JSON-safe, because they come back
through files where a runner has no other way.
"""

import json
import logging
import os
import tempfile
import traceback
from collections.abc import Callable, Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

from av_sep.errors import MediaError, ParameterError
from av_sep.processes import Function, run_in_processes
from pipelines.error_lines import error_line, is_users
from pipelines.quiet import collected_warnings, silence_native_libraries

_log = logging.getLogger(__name__)

LOCAL = "local"
Call = tuple[Function, int, Any]
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Outcome:
    """What came of one item.

    Attributes:
        index: the item's position.
        value: what the function returned; None where it failed.
        error: what to tell the user; None where it went well.
        is_users: whether the user can mend the error.
        details: the error's traceback.
        warnings: what this program warned of meanwhile where another process worked, one line each.
    """

    index: int
    value: Any = None
    error: str | None = None
    is_users: bool = False
    details: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Workers:
    """Who does the work.

    Attributes:
        runner: "local", or the name of a Beam runner: DirectRunner, FlinkRunner, SparkRunner, DataflowRunner, …
        num_processes: of a local run; 1 stays in this process.
        runner_options: Beam's own options as it takes them on a command line.
    """

    runner: str = LOCAL
    num_processes: int = 1
    runner_options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.num_processes < 1:
            raise ParameterError(f"Expected at least one process. Received: {self.num_processes}")
        if self.runner == LOCAL and self.runner_options:
            received = " ".join(self.runner_options)
            raise ParameterError(f"Runner options are a Beam runner's: name one with --runner. Received: {received}")


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_everywhere(
    function: Function, items: Sequence[Any], workers: Workers, report: Report, *, exchange: str | None = None
) -> list[Outcome]:
    """Applies a function to every item.

    Args:
        function: a function of a module's top level; called once for each item.
        items: what to work on.
        workers: who does it.
        report: called as `report(done, total)`; with a Beam runner only at the start and the end.
        exchange: where a Beam runner leaves the outcomes: a path or URL prefix that its workers and this process both
            reach; a temporary folder of this machine where None.

    Returns:
        One outcome for each item, in the items' order.

    Raises:
        ParameterError: where the runner is unknown or Beam is missing.
        MediaError: where a worker was killed or the runner failed as a whole.
    """
    report(0, len(items))
    if workers.runner != LOCAL:
        outcomes = _through_beam(function, items, workers, exchange)
        report(len(items), len(items))
    else:
        calls = [(function, i, item) for i, item in enumerate(items)]
        outcomes = []
        with closing(_here(calls) if workers.num_processes == 1 else _in_processes(calls, workers)) as finished:
            for outcome in finished:
                outcomes.append(outcome)
                report(len(outcomes), len(items))
    for warning in dict.fromkeys(warning for outcome in outcomes for warning in outcome.warnings):
        _log.warning("%s", warning)
    return sorted(outcomes, key=lambda outcome: outcome.index)


def _attempt(call: Call) -> Outcome:
    function, index, item = call
    try:
        return Outcome(index, function(item))
    # Whatever goes wrong with one item must not cost the others; it is reported with its kind at the end.
    except Exception as error:  # noqa: BLE001
        return Outcome(index, None, error_line(error), is_users(error), "".join(traceback.format_exception(error)))


def _here(calls: Sequence[Call]) -> Generator[Outcome, None, None]:
    yield from map(_attempt, calls)


def _in_processes(calls: Sequence[Call], workers: Workers) -> Generator[Outcome, None, None]:
    """Outcomes as they come; a worker that is killed ends the run, because nobody knows what it left behind."""
    begin = silence_native_libraries
    try:
        with closing(run_in_processes(_attempt_elsewhere, calls, workers.num_processes, begin)) as finished:
            yield from (outcome for _, outcome in finished)
    except BrokenProcessPool as error:
        raise MediaError("A worker process was killed (out of memory?); run again with fewer --processes") from error


def _attempt_elsewhere(call: Call) -> Outcome:
    """An outcome that brings its warnings along: what a worker prints goes nowhere, or to another machine's log."""
    with collected_warnings() as warnings:
        outcome = _attempt(call)
    return replace(outcome, warnings=tuple(warnings))


def _through_beam(
    function: Function, items: Sequence[Any], workers: Workers, exchange: str | None
) -> list[Outcome]:
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ParameterError(
            f"The runner {workers.runner} needs Apache Beam; try: pip install '.[beam]' in av-sep's checkout"
        ) from error
    with tempfile.TemporaryDirectory() as temporary:
        prefix = exchange or os.path.join(temporary, "outcomes")
        options = PipelineOptions(["--runner", workers.runner, *workers.runner_options])
        calls = [(function, i, item) for i, item in enumerate(items)]
        try:
            with beam.Pipeline(options=options) as pipeline:
                (
                    pipeline
                    | "items" >> beam.Create(calls)
                    # Without it a runner would fuse the steps and give everything to one worker.
                    | "spread" >> beam.Reshuffle()
                    | "work" >> beam.Map(_attempt_as_json)
                    | "outcomes" >> beam.io.WriteToText(prefix, file_name_suffix=".jsonl")
                )
        except Exception as error:  # noqa: BLE001 - a runner's own failure, of any type
            raise MediaError(f"{workers.runner} failed: {_last_line(error)}") from error
        return _collect(prefix, len(items))


def _attempt_as_json(call: Call) -> str:
    return json.dumps(asdict(_attempt_elsewhere(call)))


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _collect(prefix: str, num_items: int) -> list[Outcome]:
    """Outcomes from the files that the runner left, which are deleted."""
    from apache_beam.io.filesystems import FileSystems

    (matched,) = FileSystems.match([f"{prefix}*.jsonl"])
    paths = [found.path for found in matched.metadata_list]
    outcomes = {}
    for path in paths:
        with FileSystems.open(path) as file:
            for line in file.read().decode().splitlines():
                outcome = Outcome(**json.loads(line))
                # A runner may work on an item twice; any of its equal outcomes will do.
                outcomes[outcome.index] = outcome
    FileSystems.delete(paths)
    if len(outcomes) != num_items:
        raise MediaError(f"Expected outcomes of {num_items} items from the runner. Received: {len(outcomes)}")
    return list(outcomes.values())
