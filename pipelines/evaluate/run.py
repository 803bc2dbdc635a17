"""The run: plan, score what is not scored yet, tables, figures, page."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from av_sep.errors import MediaError, ParameterError
from av_sep.media import replace_when_complete
from pipelines.error_lines import WorkFailed
from pipelines.evaluate.collect import ScoreTables, collect
from pipelines.evaluate.config import EvaluateConfig, Listed, as_tuple
from pipelines.evaluate.outcome import PAGE, SETTINGS, write_outcome
from pipelines.evaluate.plan import EvaluationPlan, plan_dataset, plan_folders
from pipelines.evaluate.systems import ALWAYS
from pipelines.evaluate.tables import SystemInfo
from pipelines.evaluate.track_work import evaluate_track
from pipelines.evaluate.units import WORK
from pipelines.joint.files import require_detector
from pipelines.look import Looker
from pipelines.manifest import versions
from pipelines.progress import Progress, silent
from pipelines.staging import make_folder
from pipelines.workers import Outcome, Workers, run_everywhere

MADE_BY = "av-sep evaluate"
_MOST_ERRORS = 3


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` made.

    Attributes:
        output: its folder.
        systems: what was compared, in the order of the tables.
        page: the page that holds everything.
        tables: the scores, by stem and by segment.
        summary: medians with intervals, in long form; see `pipelines.evaluate.tables.summarize`.
        num_kept: units that an earlier run had scored.
        num_units: all of them.
        problems: tracks that could not be read and systems that were scored on none, one line each.
    """

    output: Path
    systems: tuple[SystemInfo, ...]
    page: Path
    tables: ScoreTables
    summary: pd.DataFrame
    num_kept: int
    num_units: int
    problems: tuple[str, ...] = ()


def evaluate(
    dataset: str, location: str | Path, output: str | Path, *, workers: Workers = Workers(),
    progress: Progress = silent, **settings: Any,
) -> Evaluation:  # fmt: skip
    """Scores models on a dataset beside the mixture, static Wiener filters and an oracle; goes on where it stopped.

    Args:
        dataset: kind of dataset, see `av_sep.datasets.index.DATASETS`.
        location: the dataset's folder.
        output: folder for tables, figures and page.
        workers: who does the work, a track at a time.
        progress: told how many tracks are finished, as `progress("tracks", done, total)`.
        **settings: fields of `EvaluateConfig`.

    Returns:
        The scores; what could not be scored is among its `problems`.

    Raises:
        ParameterError: for settings that cannot be used, or an output folder with something else in it.
        MediaError: where no track could be scored, or the output cannot be written.
    """
    config = EvaluateConfig(**settings)
    output = Path(output)
    return _run(plan_dataset(dataset, location, output, config), output, config, workers, progress)


def evaluate_stems(
    estimates: str | Path | Sequence[str | Path], references: str | Path, output: str | Path, *,
    workers: Workers = Workers(), progress: Progress = silent, models: Listed = (), **settings: Any,
) -> Evaluation:  # fmt: skip
    """Scores stems that anyone made; see `pipelines.evaluate.folders` for the layout, `evaluate` for the rest.

    Args:
        estimates: a folder of stems, or several, each a system in the tables.
        references: folder of the true stems.
        models: models to be scored beside them.
    """
    config = EvaluateConfig(models=as_tuple(models), **settings)
    output = Path(output)
    estimates = [estimates] if isinstance(estimates, (str, os.PathLike)) else estimates
    plan = plan_folders(estimates, references, output, config)
    return _run(plan, output, config, workers, progress)


def _run(
    plan: EvaluationPlan, output: Path, config: EvaluateConfig, workers: Workers, progress: Progress
) -> Evaluation:
    if "detected" in config.labels:
        _require_eyes(plan, config)
    _begin(plan, output, config)
    outcomes = run_everywhere(
        evaluate_track, plan.tasks, workers, lambda done, total: progress("tracks", float(done), float(total))
    )
    finished = [(task, outcome.value) for task, outcome in zip(plan.tasks, outcomes) if not outcome.error]
    problems = tuple(f"{plan.tasks[o.index].track.name}: {o.error}" for o in outcomes if o.error)
    if not finished:
        raise _failure(outcomes, problems)
    scores = collect([task for task, _ in finished])
    if scores.tracks.empty:
        raise MediaError(f"Nothing could be scored: {'; '.join(scores.remarks)}")
    problems += _unscored(plan, scores)
    summary = write_outcome(plan, [task for task, _ in finished], scores, problems, config, output)
    return Evaluation(
        output=output,
        systems=tuple(spec.info for spec in plan.systems),
        page=output / PAGE,
        tables=scores,
        summary=summary,
        num_kept=sum(value["num_kept"] for _, value in finished),
        num_units=sum(len(task.units) for task in plan.tasks),
        problems=problems,
    )


def _require_eyes(plan: EvaluationPlan, config: EvaluateConfig) -> None:
    """Who cannot look, or not for what plays, is told before anything slow begins, not track by track or at the end."""
    looker = Looker(config.detector, frames_per_second=config.frames_per_second, threshold=config.threshold)
    require_detector(config.detector)
    if all(task.track.video is None for task in plan.tasks):
        return
    unknown = [name for name in looker.detector.taxonomy.names if name not in plan.taxonomy_names]
    if unknown:
        raise ParameterError(
            f"Expected a detector of the dataset's instruments ({', '.join(plan.taxonomy_names)}); leave 'detected' out"
            f" of the labels, or choose another taxonomy. Received: {config.detector}, which sees {', '.join(unknown)}"
        )


def _unscored(plan: EvaluationPlan, scores: ScoreTables) -> tuple[str, ...]:
    """Systems that somebody asked for and that nothing came of, with the reasons."""
    names = set(scores.tracks["system"])
    titles = [s.info.title for s in plan.systems if s.info.name not in names and s.source not in ALWAYS]
    return tuple(remark for remark in scores.remarks for title in titles if remark.startswith(f"{title} ("))


def _begin(plan: EvaluationPlan, output: Path, config: EvaluateConfig) -> None:
    """Takes the folder, and says in it what is going to be done."""
    others = [path.name for path in output.iterdir()] if output.is_dir() else []
    if others and not _is_own(output):
        raise ParameterError(
            f"Expected a new folder, or one of an earlier evaluation. Received: {output}, which holds {others[0]}"
        )
    make_folder(output)
    if config.overwrite:
        for task in plan.tasks:
            for path in (*map(task.path, task.units), task.sighting_path, task.hearing_path):
                path.unlink(missing_ok=True)
    settings = {
        "made_by": MADE_BY,
        "data": plan.title,
        "systems": [{**asdict(spec.info), "sha256": spec.identity or None} for spec in plan.systems],
        "settings": asdict(config),
        "versions": versions(),
    }
    with replace_when_complete(output / SETTINGS) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n")
    make_folder(output / WORK)


def _is_own(folder: Path) -> bool:
    """Whether a folder is an evaluation's: many programs keep a file of this name."""
    try:
        settings = json.loads((folder / SETTINGS).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(settings, dict) and settings.get("made_by") == MADE_BY


def _failure(outcomes: Sequence[Outcome], problems: Sequence[str]) -> Exception:
    rest = f" (and {len(problems) - _MOST_ERRORS} more)" if len(problems) > _MOST_ERRORS else ""
    text = f"No track could be scored: {'; '.join(problems[:_MOST_ERRORS])}{rest}"
    unexpected = [outcome for outcome in outcomes if not outcome.is_users]
    return WorkFailed(text, str(unexpected[0].details)) if unexpected else MediaError(text)
