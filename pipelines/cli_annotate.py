"""`av-sep annotate`."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from av_sep.errors import shown
from pipelines.cli_errors import OTHER_FAILURE, USER_MISTAKE, one_line_errors
from pipelines.cli_options import DETECTORS, debug_option, json_option, quiet_option, threshold_option
from pipelines.cli_output import say
from pipelines.cli_paths import LOCATION
from pipelines.cli_workers import make_workers, worker_options
from pipelines.progress import TerminalProgress

if TYPE_CHECKING:
    from pipelines.annotate_many import AnnotationTask
    from pipelines.workers import Outcome, Workers

_LABELS_HELP = "Who says what plays: eyes, or eyes and ears."
_OVERWRITE_HELP = "Make everything anew, whatever made the existing files; corrected labels stay as NAME.checked.json."
_FORMATS_HELP = "Which label files to write: any of json,csv,coco,jams."


@click.command(short_help="Labels, boxes and times of instruments in videos.")
@click.argument("inputs", nargs=-1, required=True, type=LOCATION)
@click.option("-o", "--output", "output_dir", default="labels", show_default=True, type=LOCATION, help="Folder or URL.")
@click.option("--detector", default="embedded", show_default=True, help=f"{DETECTORS}.")
@threshold_option
@click.option("--fps", "frames_per_second", default=1.0, show_default=True, help="Pictures taken per second of video.")
@click.option("--labels", default="video", show_default=True, type=click.Choice(["video", "both"]), help=_LABELS_HELP)
@click.option("--scenes", is_flag=True, help="Pass over pictures that look almost like the one before.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), default=0.0, help="Leave less sure boxes out of files.")
@click.option("--formats", default="json,csv,coco", show_default=True, help=_FORMATS_HELP)
@click.option("--overlay", is_flag=True, help="Also write a sheet of pictures with boxes.")
@click.option("--overlay-video", is_flag=True, help="Also write a film of the pictures taken, with boxes and names.")
@click.option("--review", is_flag=True, help="Also write a page on which a person corrects the labels.")
@click.option("--overwrite", is_flag=True, help=_OVERWRITE_HELP)
@quiet_option
@json_option
@debug_option
@worker_options(1)
def annotate(
    inputs, output_dir, formats, quiet, as_json, debug, processes, runner, runner_options, **settings
) -> None:
    """Detect instruments only: write labels with times, boxes and confidences for every video.

    Folders are searched for videos. A run that was stopped goes on with the same command: videos whose files are
    complete and were made alike are passed over. INPUTS and OUTPUT may be URLs where Apache Beam is installed;
    --processes and --runner spread many videos.
    """
    names = tuple(name.strip() for name in formats.split(",") if name.strip())

    def run() -> None:
        from pipelines.annotate_many import annotation_tasks, write_review
        from pipelines.config import AnnotateConfig

        workers = make_workers(processes, runner, runner_options)
        tasks = annotation_tasks(inputs, output_dir, AnnotateConfig(formats=names, **settings), workers)
        outcomes = _annotate_shown(tasks, workers, shown=not quiet and sys.stderr.isatty())
        _print_results(tasks, outcomes, quiet=quiet, as_json=as_json)
        if settings["review"]:
            pages = write_review(tasks, outcomes)
            if not quiet and not as_json:
                for page in pages:
                    say(f"page: {page}")
        _exit_for([outcome for outcome in outcomes if outcome.error], debug=debug)

    one_line_errors(run, debug=debug)


def _annotate_shown(tasks: "list[AnnotationTask]", workers: "Workers", *, shown: bool) -> "list[Outcome]":
    """Annotates with a bar for each video, or one for all of them where other processes do the work."""
    from pipelines.annotate_many import annotate_many
    from pipelines.workers import LOCAL

    if workers.runner == LOCAL and workers.num_processes == 1:
        with _BarPerVideo(tasks, shown=shown) as bars:
            return annotate_many(tasks, workers, lambda done, total: None, bars.of)
    with TerminalProgress("annotate", shown=shown, unit="videos") as bar:
        return annotate_many(tasks, workers, lambda done, total: bar("looking", float(done), float(total)))


class _BarPerVideo:
    """One terminal bar after the other, each saying which video of how many it is about.

    Args:
        tasks: all of them, in the order of work.
        shown: False to say nothing.
    """

    def __init__(self, tasks: "list[AnnotationTask]", *, shown: bool):
        self._names = {task: f"{number}/{len(tasks)} {task.name}" for number, task in enumerate(tasks, start=1)}
        self._shown = shown
        self._bar = TerminalProgress("", shown=False)

    def of(self, task: "AnnotationTask") -> TerminalProgress:
        """The bar of a video; the one before is closed."""
        self.__exit__()
        self._bar = TerminalProgress(self._names[task], shown=self._shown)
        return self._bar

    def __enter__(self) -> "_BarPerVideo":
        return self

    def __exit__(self, *exception: Any) -> None:
        self._bar.__exit__(*exception)


def _print_results(
    tasks: "list[AnnotationTask]", outcomes: "list[Outcome]", *, quiet: bool, as_json: bool
) -> None:
    """What came of the videos, as JSON or as lines; errors always."""
    results = [o.value or {"input": tasks[o.index].location, "error": o.error} for o in outcomes]
    if as_json:
        say(json.dumps(results, indent=2))
    for result in results:
        if "error" in result:
            name = "av-sep" if len(results) == 1 else shown(result["input"])
            say(f"{name}: {result['error']}", err=True)
        elif not quiet and not as_json:
            found = ", ".join(f"{name} {result['label_vector'][name]:.2f}" for name in result["instruments"])
            remade = f"; {', '.join(result['remade'])} made anew of its JSON file" if result["remade"] else ""
            kept = f" (finished earlier{remade})" if result["kept"] else ""
            say(f"{shown(result['input'])}: {found or 'no instrument above the threshold'}{kept}")


def _exit_for(failures: "list[Outcome]", *, debug: bool) -> None:
    if debug:
        say("".join(failure.details or "" for failure in failures), err=True)
    if failures:
        sys.exit(USER_MISTAKE if all(failure.is_users for failure in failures) else OTHER_FAILURE)
