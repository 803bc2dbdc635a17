"""The command line: it parses, shows progress and turns errors into one line and an exit code.

Nothing heavy is imported before a command has been chosen and its arguments parsed.
"""

import functools
import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from av_sep import __version__
from av_sep.ending import exit_when_asked
from av_sep.errors import MediaError, shown
from pipelines.cli_annotate import annotate
from pipelines.cli_errors import OTHER_FAILURE, USER_MISTAKE, one_line, one_line_errors, prefixed
from pipelines.cli_evaluate import evaluate
from pipelines.cli_options import DETECTORS, debug_option, fps_option, json_option, quiet_option, threshold_option
from pipelines.cli_output import say
from pipelines.cli_prepare import prepare
from pipelines.cli_train import export, recipes, train
from pipelines.cli_paths import PATH
from pipelines.progress import TerminalProgress
from pipelines.quiet import replace_closed_streams, silence_native_libraries

if TYPE_CHECKING:
    from pipelines.batch import BatchOutcome


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="av-sep")
def main() -> None:
    """Point it at a video of a performance and get every instrument as its own stem."""


def run() -> None:
    """What the installed `av-sep` calls: `main` without the chatter of native libraries."""
    if "--debug" in sys.argv:
        replace_closed_streams()
    else:
        # Nothing but errors is what --quiet promises, and a manifest holds the warnings about its recording.
        silence_native_libraries(own_warnings="--quiet" not in sys.argv)
    # Names of files need not be valid UTF-8, and a success must not end in a failure to print it.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    # Being asked to end is no reason to leave half-written folders behind.
    exit_when_asked()
    # Commands tell their errors themselves; this is for what is printed before one begins.
    one_line_errors(functools.partial(main, prog_name="av-sep"), debug="--debug" in sys.argv)


@main.command(short_help="One stem per instrument from a performance.")
@click.argument("inputs", nargs=-1, required=True, type=PATH)
@click.option("-o", "--output", "output_dir", default="out", show_default=True, type=PATH)
@click.option("--instruments", help="What plays, e.g. vn,vc,fl, instead of looking.")
@click.option("--all", "all_instruments", is_flag=True, help="Assume that any of the model's instruments may play.")
@click.option(
    "--labels", type=click.Choice(["video", "audio", "both"]),
    help="Who says what plays where you do not: eyes, ears or both.  [default: both for films]",
)
@click.option("--model", default="default", show_default=True, help="A model's name (av-sep models) or a .keras file.")
@click.option("--detector", help=f"{DETECTORS}; by default what the model brings with it, else embedded.")
@click.option(
    "--gate-rests/--no-gate-rests", default=True,
    help="Silence stems while their player rests.  [default: on]",
)
@click.option("--format", "file_format", default="wav", show_default=True, type=click.Choice(["wav", "flac", "mp3"]))
@click.option(
    "--bit-depth", default="32", show_default=True, type=click.Choice(["16", "24", "32"]),
    help="32 is float in wav, 24-bit in flac.",
)
@click.option("--sample-rate", type=int, help="Of the stems in Hz; the input's by default.")
@click.option(
    "--residual", is_flag=True,
    help="Write what the estimates leave of the recording, instead of sharing it among them.",
)
@click.option("--dry-run", is_flag=True, help="Look and say what would be written.")
@threshold_option
@fps_option
@click.option("--overwrite", is_flag=True, help="Replace an earlier result.")
@quiet_option
@json_option
@debug_option
def separate(inputs, output_dir, instruments, quiet, as_json, debug, **options) -> None:
    """Separate performance videos (sound files with --instruments, --labels audio or both) into stems.

    Folders are searched for media files. Stems, a manifest and a report page go to OUTPUT/<name of the input>/.
    """
    from pipelines.config import SeparateConfig

    settings = {
        "bit_depth": int(options.pop("bit_depth")),
        "sample_rate_hz": options.pop("sample_rate"),
        **options,
    }

    def make_runner():
        from pipelines.separate import SeparationRunner

        return SeparationRunner(SeparateConfig(instruments=instruments, **settings))

    describe = functools.partial(_describe_separation, dry_run=settings["dry_run"])
    _run_all(inputs, output_dir, make_runner, describe, quiet=quiet, as_json=as_json, debug=debug)


@main.command()
def models() -> None:
    """List the models that come with the program."""
    from audio.models import DEFAULT_MODEL, available_models

    for entry in available_models():
        mark = " (default)" if entry.name == DEFAULT_MODEL else ""
        say(f"{entry.name}{mark}: {entry.description}")


def _run_all(inputs, output_dir, make_runner, describe, *, quiet: bool, as_json: bool, debug: bool) -> None:
    def run() -> None:
        from pipelines.batch import expand_folders, run_batch

        paths = expand_folders(inputs)
        if not paths:
            received = ", ".join(map(str, inputs))
            raise MediaError(f"Expected video or sound files. Received: {received}, with none inside")
        runner = make_runner()

        def run_one(path: Path) -> Any:
            with TerminalProgress(path.name, shown=not quiet and sys.stderr.isatty()) as bar:
                result = runner.run(path, output_dir, bar)
            if not quiet and not as_json:
                say(describe(result))
            return result

        outcome = run_batch(paths, run_one)
        if as_json:
            failed = [{"input": str(f.input_path), "error": one_line(f.error)} for f in outcome.failures]
            say(json.dumps([*map(_as_json, outcome.results), *failed], indent=2))
        _report_failures(outcome, len(paths), debug=debug)

    one_line_errors(run, debug=debug)


def _report_failures(outcome: "BatchOutcome", num_inputs: int, *, debug: bool) -> None:
    if not outcome.failures:
        return
    if num_inputs > 1:
        say(f"{len(outcome.failures)} of {num_inputs} inputs failed:", err=True)
    for failure in outcome.failures:
        one_of_many = f"{shown(failure.input_path)}: {one_line(failure.error)}"
        say(one_of_many if num_inputs > 1 else prefixed(failure.error), err=True)
        if debug:
            say("".join(traceback.format_exception(failure.error)), err=True)
    sys.exit(USER_MISTAKE if all(failure.is_users for failure in outcome.failures) else OTHER_FAILURE)


def _describe_separation(result, *, dry_run: bool) -> str:
    names = [shown(path.name) for path in (*result.stems.values(), result.residual) if path]
    lines = [f"{shown(result.input_path.name)}: {', '.join(names)}"]
    if result.labels.origin == "detected":
        lines.append(f"  found:  {_describe_labels(result.labels)}")
    if len(result.stems) == 1 and not result.residual:
        lines.append("  note:   one instrument alone, so its stem is the recording itself")
    if dry_run:
        return "\n".join([*lines, f"  folder: {shown(result.output_dir)} (dry run: nothing was written)"])
    return "\n".join([*lines, f"  folder: {shown(result.output_dir)}", f"  page:   {shown(result.report)}"])


def _describe_labels(labels) -> str:
    confidences = dict(zip(labels.taxonomy, labels.label_vector))
    return ", ".join(f"{name} {confidences[name]:.2f}" for name in labels.instruments)


def _as_json(result) -> dict:
    from pipelines.look import confidences

    return {
        "input": str(result.input_path),
        "instruments": list(result.labels.instruments),
        "label_vector": confidences(result.labels),
        "output_dir": str(result.output_dir),
        "stems": {name: str(path) for name, path in result.stems.items()},
        "residual": str(result.residual) if result.residual else None,
        "manifest": str(result.manifest),
        "report": str(result.report),
    }


for command in (annotate, prepare, train, recipes, export, evaluate):
    main.add_command(command)
