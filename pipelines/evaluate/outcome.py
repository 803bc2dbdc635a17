"""What an evaluation leaves for people: tables, figures and the page that holds them all."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from av_sep.errors import ParameterError
from av_sep.instruments import TAXONOMIES, Taxonomy
from av_sep.media import replace_when_complete
from pipelines.evaluate.collect import ScoreTables
from pipelines.evaluate.config import EvaluateConfig
from pipelines.evaluate.examples import make_examples
from pipelines.evaluate.figures import evaluation_figures
from pipelines.evaluate.page import PageContent, PageTable, VisionSection, write_page
from pipelines.evaluate.plan import EvaluationPlan
from pipelines.evaluate.tables import TABLE_SUFFIXES, label_cost, summarize, write_tables
from pipelines.evaluate.track_work import read_judgement
from pipelines.evaluate.units import WORK, TrackTask
from pipelines.evaluate.vision_figures import vision_figures
from pipelines.evaluate.vision_tables import VisionTables, vision_tables

SETTINGS, PAGE = "settings.json", "report.html"
_COST = "seconds_per_minute"
_VISION_CAPTIONS = {
    "by_instrument": ("Labels by instrument", "Counts are of films."),
    "by_family": ("Labels by family", "A family is there where any of its instruments is."),
    "overall": ("Labels over all", "micro: all decisions together; macro: mean of the instruments; samples: of films."),
    "measures": ("Single numbers", ""),
    "average_precision": ("Players' boxes", "Average precision at half overlap, where players' places are known."),
    "calibration": ("Confidence and truth", "Of instruments with such a confidence, how many really play."),
}  # fmt: skip


def write_outcome(
    plan: EvaluationPlan,
    tasks: Sequence[TrackTask],
    scores: ScoreTables,
    problems: Sequence[str],
    config: EvaluateConfig,
    output: Path,
) -> pd.DataFrame:
    """Writes tables, figures and page.

    Args:
        plan: what was to be done.
        tasks: the tracks that were finished.
        scores: of these.
        problems: why the others were not, one line each.
        config: the settings.
        output: where to.

    Returns:
        The summary.
    """
    systems = [spec.info for spec in plan.systems]
    summary, cost = summarize(scores.tracks), label_cost(scores.tracks)
    vision = _vision(tasks, plan.taxonomy_names)
    segments = {f"segments_{method.removesuffix('_segment')}": rows for method, rows in scores.segments.items()}
    tables = {"tracks": scores.tracks, **segments, "summary": summary, "costs": scores.costs}
    tables.update({"label_cost": cost} if len(cost) else {})
    tables.update(vision.named() if vision else {})
    figures = evaluation_figures(summary, segments.get("segments_v3"), systems)
    pictures = {f"{figure.title.lower().replace(' ', '_')}.png": figure.png for figure in figures}
    _remove_earlier(output, [*(f"{name}{suffix}" for name in tables for suffix in TABLE_SUFFIXES), *pictures])
    write_tables(output, tables)
    for name, png in pictures.items():
        with replace_when_complete(output / name) as temporary:
            temporary.write_bytes(png)
    examples = make_examples(scores.tracks, tasks, plan.systems) if config.num_examples else ()
    content = PageContent(
        title=plan.title,
        tracks=scores.tracks,
        summary=_with_costs(summary, scores),
        label_cost=cost if len(cost) else None,
        systems=systems,
        facts=_facts(plan, tasks, scores, config),
        figures=figures,
        vision=_vision_section(vision) if vision else None,
        examples=examples,
        remarks=[*(f"not scored: {problem}" for problem in problems), *plan.remarks, *scores.remarks],
        settings=json.loads((output / SETTINGS).read_text()),
    )
    write_page(output / PAGE, content)
    return summary


def _remove_earlier(output: Path, names: Sequence[str]) -> None:
    """Removes what an evaluation of other systems or metrics left, which would pass for a part of this one.

    Only what was written by name is removed: whoever keeps notes beside the tables keeps them.

    Args:
        output: the evaluation's folder.
        names: files that are going to be written in it.
    """
    written = output / WORK / "written.json"
    earlier = json.loads(written.read_text()) if written.is_file() else []
    for name in set(earlier) - set(names):
        (output / name).unlink(missing_ok=True)
    with replace_when_complete(written) as temporary:
        temporary.write_text(json.dumps(sorted(names)) + "\n")


def _with_costs(summary: pd.DataFrame, scores: ScoreTables) -> pd.DataFrame:
    """The summary and, for the page alone, what each system costs: times differ from run to run, scores do not."""
    keys = ["track", "system", "labels"]
    priced = scores.tracks.merge(scores.costs[[*keys, _COST]], on=keys)
    costs = summarize(priced)
    return pd.concat([summary, costs[costs["metric"] == _COST]], ignore_index=True)


def _facts(
    plan: EvaluationPlan, tasks: Sequence[TrackTask], scores: ScoreTables, config: EvaluateConfig
) -> dict[str, object]:
    seconds = scores.costs.drop_duplicates("track")["sound_seconds"].sum()
    return {
        "data": plan.title,
        "scored": f"{len(tasks)} tracks, {seconds / 60:.1f} minutes of sound",
        "at": f"{config.sample_rate_hz} Hz, {config.num_channels} channel{'s' if config.num_channels > 1 else ''}",
        "labels": ", ".join(config.labels),
    }


def _vision(tasks: Sequence[TrackTask], names: tuple[str, ...]) -> VisionTables | None:
    judgements = [judgement for judgement in map(read_judgement, tasks) if judgement is not None]
    return vision_tables(judgements, _taxonomy(names)) if judgements else None


def _taxonomy(names: tuple[str, ...]) -> Taxonomy:
    for taxonomy in TAXONOMIES.values():
        if taxonomy.names == names:
            return taxonomy
    raise ParameterError(f"Expected a taxonomy that the vision stage knows. Received: {', '.join(names)}")


def _vision_section(vision: VisionTables) -> VisionSection:
    tables = [
        PageTable(title, caption, getattr(vision, name))
        for name, (title, caption) in _VISION_CAPTIONS.items()
        if len(getattr(vision, name))
    ]
    introduction = "Labels as the vision stage gave them, film by film, beside what really plays."
    return VisionSection(introduction, tables, vision_figures(vision))
