"""`av-sep evaluate`."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from av_sep.errors import MediaError, ParameterError
from pipelines.cli_errors import one_line_errors
from pipelines.cli_options import DETECTORS, debug_option, fps_option, quiet_option, threshold_option
from pipelines.cli_output import say
from pipelines.cli_paths import LOCATION, PATH
from pipelines.cli_workers import make_workers, worker_options
from pipelines.progress import TerminalProgress

if TYPE_CHECKING:
    from pipelines.evaluate import Evaluation

_DETECTOR_HELP = f"Whose eyes --labels detected means: {DETECTORS}."
_HEADLINE = ("si_sdr_improvement", "sdr_v4", "sdr_v3_segment")


@click.command(short_help="Score models, or anyone's stems.")
@click.argument("dataset", required=False)
@click.argument("location", metavar="[DIR]", required=False, type=LOCATION)
@click.option("-o", "--output", required=True, type=PATH, help="A stopped run there goes on.")
@click.option("--models", help="Names, .keras files, and groups: floors, classics, oracles.  [default: default]")
@click.option("--labels", default="true", show_default=True, help="Who says what plays: any of true,detected,none,all.")
@click.option("--estimates", multiple=True, type=PATH, help="Folder of stems; may be repeated.")
@click.option("--references", type=PATH, help="The true stems, <track>/<instrument>.wav.")
@click.option("--split", help="The dataset's default if not given.")
@click.option("--side", default="test", show_default=True, help="train, validation, test, or all for every track.")
@click.option("--tracks", "max_tracks", type=click.IntRange(1), help="So many at most, evenly spread.")
@click.option("--seconds", "max_seconds", type=float, help="So many of every track at most.")
@click.option("--sample-rate", "sample_rate_hz", default=22050, show_default=True, help="At which all is scored, Hz.")
@click.option("--channels", "num_channels", default=1, show_default=True, type=click.IntRange(1, 2))
@click.option("--metrics", "segment_metrics", default="v3_segment,v4", show_default=True, help="Beside SI-SDR and SDR.")
@click.option("--detector", default="embedded", show_default=True, help=_DETECTOR_HELP)
@click.option("--witnesses", type=click.Choice(["video", "both"]), help="Who detects labels.  [default: both]")
@click.option("--gate-rests/--no-gate-rests", default=True, help="As in separate; networks only.  [default: on]")
@fps_option
@threshold_option
@click.option("--taxonomy", help="For medleydb and folder: urmp13 (the default) or musdb4.")
@click.option("--leave-out", multiple=True, metavar="TRACK", help="May be repeated; the page says so.")
@click.option("--allow-problems", is_flag=True, help="Leave out tracks that cannot be used; the page says so.")
@click.option("--examples/--no-examples", default=True, help="Best, median and worst stem to be heard on the page.")
@click.option("--overwrite", is_flag=True, help="Score everything anew.")
@quiet_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@debug_option
@worker_options(None)
def evaluate(
    dataset, location, output, models, estimates, references, examples, quiet, as_json, debug, processes, runner,
    runner_options, **settings,
) -> None:  # fmt: skip
    """Score models on DATASET (urmp, musdb18, musdb18hq, medleydb, bach10, folder) in DIR, or anyone's stems.

    Every table carries the mixture, static Wiener filters and the ideal ratio mask. A run that was stopped goes on with
    the same command; with a longer list of models only the new ones are scored.
    """

    def run() -> None:
        _require_one_kind(dataset, location, models, estimates, references)
        from pipelines.evaluate import evaluate as evaluate_models
        from pipelines.evaluate import evaluate_stems

        workers = make_workers(processes, runner, runner_options)
        settings["num_examples"] = 3 if examples else 0
        with TerminalProgress("evaluate", shown=not quiet and sys.stderr.isatty(), unit="tracks") as bar:
            if references is None:
                chosen = {"models": models or "default", **settings}
                done = evaluate_models(dataset, location, output, workers=workers, progress=bar, **chosen)
            else:
                chosen = {"models": models or (), **settings}
                done = evaluate_stems(estimates, references, output, workers=workers, progress=bar, **chosen)
        if as_json:
            say(_json(done))
        elif not quiet:
            say(_described(done))
        if done.problems:
            raise MediaError(f"Not everything could be scored: {_some(done.problems, 5, '; ')}")

    one_line_errors(run, debug=debug)


def _require_one_kind(dataset, location, models, estimates, references) -> None:
    if references is not None:
        if dataset is not None:
            raise ParameterError(f"Expected either a dataset or --references. Received: both ({dataset})")
        return
    if models == "":
        raise ParameterError("Expected models, e.g. --models default,classics. Received: an empty list")
    if estimates:
        raise ParameterError("Expected --references beside --estimates. Received: --estimates alone")
    if dataset is None or location is None:
        raise ParameterError("Expected a dataset and its folder, e.g. urmp /data/URMP, or --estimates and --references")


def _some(items: Sequence[str], most: int, separator: str) -> str:
    rest = f"{separator}and {len(items) - most} more, all on the page" if len(items) > most else ""
    return separator.join(items[:most]) + rest


def _described(done: "Evaluation") -> str:
    from pipelines.evaluate.tables import headline

    table = headline(done.summary, *_HEADLINE, systems=done.systems)
    table.insert(2, "tracks", _track_counts(done))
    lines = [table.to_string(index=False), "medians over stems [95 % intervals]; higher is better"]
    lines += ["  " + _some(done.tables.remarks, 12, "\n  ")] if done.tables.remarks else []
    if done.num_kept:
        lines.append(f"{done.num_kept} of {done.num_units} scores were there already")
    return "\n".join([*lines, f"page: {done.page}"])


def _track_counts(done: "Evaluation") -> list[int]:
    """How many tracks each row of the table speaks of: sources of labels may cover different ones."""
    from pipelines.evaluate.tables import headline

    rows = done.summary[done.summary["metric"] == "si_sdr_improvement"]
    counts = rows.assign(median=rows["num_tracks"].astype(float), low=float("nan"), high=float("nan"))
    column = headline(counts, "si_sdr_improvement", systems=done.systems).iloc[:, 2]
    return [round(float(count)) for count in column]


def _json(done: "Evaluation") -> str:
    from pipelines.evaluate.tables import strict_json

    summary = json.loads(strict_json(done.summary))
    told = {"problems": list(done.problems), "remarks": list(done.tables.remarks)}
    return json.dumps({"output": str(done.output), "page": str(done.page), **told, "summary": summary})
