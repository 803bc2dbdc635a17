"""The command line: it parses, shows progress and turns errors into one line and an exit code.

Exit codes: 0 done, 2 something the user can mend (a file, an argument), 1 anything else, 130 interrupted.
Nothing heavy is imported before a command has been chosen and its arguments parsed.
"""

import json
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from av_sep import __version__
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import URMP_13
from pipelines.progress import TerminalProgress
from pipelines.quiet import silence_native_libraries

if TYPE_CHECKING:
    from pipelines.batch import BatchOutcome

USER_MISTAKE, OTHER_FAILURE, INTERRUPTED = 2, 1, 130


def _shared_options(command: Callable) -> Callable:
    options = [
        click.option("--detector", default="embedded", show_default=True, help="embedded, or hub:<handle or folder>."),
        click.option("--threshold", type=click.FloatRange(0, 1), help="Confidence that an instrument must reach."),
        click.option("--fps", default=1.0, show_default=True, help="Pictures looked at per second of video."),
        click.option("--overwrite", is_flag=True, help="Replace existing output."),
        click.option("--quiet", is_flag=True, help="Print nothing but errors."),
        click.option("--json", "as_json", is_flag=True, help="Print the results as JSON."),
        click.option("--debug", is_flag=True, help="Show the traceback of an error."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="av-sep")
def main() -> None:
    """Point it at a video of a performance and get every instrument as its own stem."""


def run() -> None:
    """What the installed `av-sep` calls: `main` without the chatter of native libraries."""
    if "--debug" not in sys.argv:
        silence_native_libraries()
    # Being asked to end is no reason to leave half-written folders behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    main(prog_name="av-sep")


@main.command()
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", "output_dir", default="out", show_default=True, type=click.Path(path_type=Path))
@click.option("--instruments", help="What plays, e.g. vn,vc,fl, instead of looking.")
@click.option("--all", "all_instruments", is_flag=True, help="Assume that any of the 13 instruments may play.")
@click.option("--model", default="default", show_default=True, help="A model's name (av-sep models) or a .keras file.")
@click.option("--format", "file_format", default="wav", show_default=True, type=click.Choice(["wav", "flac", "mp3"]))
@click.option("--bit-depth", default="32", show_default=True, type=click.Choice(["16", "24", "32"]), help="32: float.")
@click.option("--sample-rate", type=int, help="Of the stems in Hz; the input's by default.")
@click.option("--residual", is_flag=True, help="Write what no stem explains instead of sharing it among the stems.")
@click.option("--dry-run", is_flag=True, help="Look and say what would be written.")
@_shared_options
def separate(inputs, output_dir, instruments, quiet, as_json, debug, **options) -> None:
    """Separate performance videos (or sound files, with --instruments) into one stem per instrument.

    Folders are searched for media files. Stems, a manifest and a report page go to OUTPUT/<name of the input>/.
    """
    from pipelines.config import SeparateConfig

    settings = {
        "bit_depth": int(options.pop("bit_depth")),
        "sample_rate_hz": options.pop("sample_rate"),
        "frames_per_second": options.pop("fps"),
        **options,
    }

    def make_runner():
        names = None if instruments is None else URMP_13.parse_list(instruments)
        from pipelines.separate import SeparationRunner

        return SeparationRunner(SeparateConfig(instruments=names, **settings))

    _run_all(inputs, output_dir, make_runner, _describe_separation, quiet=quiet, as_json=as_json, debug=debug)


@main.command()
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", "output_dir", default="labels", show_default=True, type=click.Path(path_type=Path))
@click.option("--formats", default="json,csv,coco", show_default=True, help="Which label files to write.")
@click.option("--overlay", is_flag=True, help="Also write a sheet of pictures with boxes.")
@_shared_options
def annotate(inputs, output_dir, formats, quiet, as_json, debug, **options) -> None:
    """Detect instruments only: write labels with times, boxes and confidences for every video."""
    from pipelines.config import AnnotateConfig

    names = tuple(name.strip() for name in formats.split(",") if name.strip())
    settings = {"formats": names, "frames_per_second": options.pop("fps"), **options}

    def make_runner():
        from pipelines.annotate import AnnotationRunner

        return AnnotationRunner(AnnotateConfig(**settings))

    _run_all(inputs, output_dir, make_runner, _describe_annotation, quiet=quiet, as_json=as_json, debug=debug)


@main.command()
def models() -> None:
    """List the models that come with the program."""
    from audio.models import DEFAULT_MODEL, packaged_models

    for entry in packaged_models():
        mark = " (default)" if entry.name == DEFAULT_MODEL else ""
        click.echo(f"{entry.name}{mark}: {entry.description}")


@main.command()
@click.argument("recipe")
@click.option("--data", "bank_dir", required=True, type=click.Path(path_type=Path), help="Folder with a bank of solos.")
@click.option("-o", "--output", "output_dir", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def train(recipe, bank_dir, output_dir, debug) -> None:
    """Train a model by its RECIPE, or go on where a run in the same folder stopped."""
    from pipelines.configs import RECIPES

    def run() -> None:
        if recipe not in RECIPES:
            raise ParameterError(f"Expected a recipe among {', '.join(RECIPES)}. Received: {recipe!r}")
        from pipelines.train import train as run_training

        click.echo(str(run_training(RECIPES[recipe](), bank_dir, output_dir)))

    _one_line_errors(run, debug=debug)


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
                click.echo(describe(result))
            return result

        outcome = run_batch(paths, run_one)
        if as_json:
            failed = [{"input": str(f.input_path), "error": _one_line(f.error)} for f in outcome.failures]
            click.echo(json.dumps([*map(_as_json, outcome.results), *failed], indent=2))
        _report_failures(outcome, len(paths), debug=debug)

    _one_line_errors(run, debug=debug)


def _report_failures(outcome: "BatchOutcome", num_inputs: int, *, debug: bool) -> None:
    if not outcome.failures:
        return
    if num_inputs > 1:
        click.echo(f"{len(outcome.failures)} of {num_inputs} inputs failed:", err=True)
    for failure in outcome.failures:
        one_of_many = f"{failure.input_path}: {_one_line(failure.error)}"
        click.echo(one_of_many if num_inputs > 1 else _prefixed(failure.error), err=True)
        if debug:
            click.echo("".join(traceback.format_exception(failure.error)), err=True)
    sys.exit(USER_MISTAKE if all(failure.is_users for failure in outcome.failures) else OTHER_FAILURE)


def _one_line_errors(run: Callable[[], None], *, debug: bool) -> None:
    """Runs a command; an error becomes one line and an exit code, unless the traceback is asked for."""
    try:
        run()
    except (MediaError, ParameterError) as error:
        if debug:
            raise
        click.echo(_prefixed(error), err=True)
        sys.exit(USER_MISTAKE)
    except KeyboardInterrupt:
        click.echo("Interrupted; nothing half-finished was left behind.", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last line of defence: the user sees one line, --debug the rest
        if debug:
            raise
        click.echo(_prefixed(error), err=True)
        sys.exit(OTHER_FAILURE)


def _prefixed(error: Exception) -> str:
    return f"av-sep: {_one_line(error)}"


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, (MediaError, ParameterError)):
        return text
    return f"unexpected {type(error).__name__}: {text} (run again with --debug to see where)"


def _describe_separation(result) -> str:
    names = [path.name for path in (*result.stems.values(), result.residual) if path]
    lines = [f"{result.input_path.name}: {', '.join(names)}"]
    if result.labels.origin == "detected":
        lines.append(f"  seen:   {_describe_labels(result.labels)}")
    if len(result.stems) == 1 and not result.residual:
        lines.append("  note:   one instrument alone, so its stem is the recording itself")
    if not result.report.exists():
        return "\n".join([*lines, f"  folder: {result.output_dir} (dry run: nothing was written)"])
    return "\n".join([*lines, f"  folder: {result.output_dir}", f"  page:   {result.report}"])


def _describe_labels(labels) -> str:
    confidences = dict(zip(labels.taxonomy, labels.label_vector))
    return ", ".join(f"{name} {confidences[name]:.2f}" for name in labels.instruments)


def _describe_annotation(result) -> str:
    found = _describe_labels(result.labels)
    files = ", ".join(map(str, result.files.values()))
    return f"{result.input_path.name}: {found or 'no instrument above the threshold'}\n  files: {files}"


def _as_json(result) -> dict:
    from pipelines.look import confidences

    described = {
        "input": str(result.input_path),
        "instruments": list(result.labels.instruments),
        "label_vector": confidences(result.labels),
    }
    if hasattr(result, "stems"):
        stems = {name: str(path) for name, path in result.stems.items()}
        residual = str(result.residual) if result.residual else None
        files = {"output_dir": str(result.output_dir), "stems": stems, "residual": residual}
        return {**described, **files, "manifest": str(result.manifest), "report": str(result.report)}
    return {**described, "files": {kind: str(path) for kind, path in result.files.items()}}
