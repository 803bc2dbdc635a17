"""What an evaluation will do: which tracks, which systems, by whose labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from av_sep.datasets.index import open_dataset
from av_sep.datasets.splits import describe_split
from av_sep.datasets.track import Dataset, Track
from av_sep.errors import MediaError, ParameterError
from pipelines.evaluate.config import WHOLE_DATASET, EvaluateConfig
from pipelines.evaluate.folders import open_estimates, open_references
from pipelines.evaluate.systems import SystemSpec, find_systems, folder_system
from pipelines.evaluate.tables import in_order
from pipelines.evaluate.units import WORK, TrackTask, Unit


@dataclass(frozen=True)
class EvaluationPlan:
    """A planned evaluation.

    Attributes:
        title: what is evaluated.
        tasks: one per track.
        systems: in the order of the tables.
        taxonomy_names: instruments in order.
        remarks: what is odd about data and choice, one line each.
    """

    title: str
    tasks: tuple[TrackTask, ...]
    systems: tuple[SystemSpec, ...]
    taxonomy_names: tuple[str, ...]
    remarks: tuple[str, ...]


def plan_dataset(dataset: str, location: str | Path, output: Path, config: EvaluateConfig) -> EvaluationPlan:
    """Plans the evaluation of a dataset.

    Raises:
        ParameterError: for unknown names.
        MediaError: where the dataset cannot be used, or has nothing on that side of the split.
    """
    systems = find_systems(config.models)
    options = {} if config.taxonomy is None else {"taxonomy": config.taxonomy}
    index = open_dataset(dataset, location, **options)
    _require_usable(index, config)
    split = next(iter(index.splits)) if config.split is None else config.split
    tracks = _side(index, split, config)
    remarks = [*index.remarks, *(f"left out, not usable: {problem}" for problem in index.problems)]
    remarks += [f"left out by request: {', '.join(config.leave_out)}"] if config.leave_out else []
    of = "all tracks" if config.side == WHOLE_DATASET else f"the {config.side} side of the split {split!r}"
    if config.side != WHOLE_DATASET:
        remarks.append(describe_split(index, split))
    tracks = _evenly(tracks, config.max_tracks)
    instruments = [index.instruments(track) for track in tracks]
    tasks = _tasks(tracks, instruments, systems, output, config)
    title = f"{index.name}: {num_tracks(len(tracks))}, {of}"
    return EvaluationPlan(title, tasks, systems, index.taxonomy.names, tuple(remarks))


def plan_folders(
    estimates: Sequence[str | Path], references: str | Path, output: Path, config: EvaluateConfig
) -> EvaluationPlan:
    """Plans the scoring of anyone's stems.

    Args:
        estimates: folders of stems, each a system.
        references: folder of the true stems.
        output: folder of the evaluation.
        config: the settings.

    Raises:
        ParameterError: for unknown names.
        MediaError: where folders hold no stems.
    """
    _require_no_dataset_settings(config)
    found, naming = open_references(references)
    for name in config.leave_out:
        if name not in {track.name for track in found}:
            raise ParameterError(f"Expected a track of the references to leave out. Received: {name!r}")
    tracks = tuple(track for track in found if track.name not in config.leave_out)
    opened = [open_estimates(root, tracks, naming) for root in estimates]
    folders = [folder_system(root, stems) for root, (stems, _) in zip(estimates, opened)]
    systems = find_systems(config.models, folders)
    tracks = _evenly(tracks, config.max_tracks)
    instruments = [tuple(track.stems) for track in tracks]
    names = tuple(in_order([name for some in instruments for name in some]))
    tasks = _tasks(tracks, instruments, systems, output, config)
    title = f"{Path(references).resolve().name}: {num_tracks(len(tracks))}"
    remarks = [f"left out by request: {', '.join(config.leave_out)}"] if config.leave_out else []
    remarks += [remark for _, some in opened for remark in some]
    return EvaluationPlan(title, tasks, systems, names, tuple(remarks))


def _require_no_dataset_settings(config: EvaluateConfig) -> None:
    usual = EvaluateConfig()
    for name in ("split", "side", "taxonomy", "allow_problems"):
        # All of the references are taken in any case.
        if getattr(config, name) not in (getattr(usual, name), WHOLE_DATASET):
            raise ParameterError(f"Expected {name} beside a dataset only. Received: {getattr(config, name)!r}")


def _tasks(
    tracks: Sequence[Track], instruments: Iterable[tuple[str, ...]], systems: Sequence[SystemSpec], output: Path,
    config: EvaluateConfig,
) -> tuple[TrackTask, ...]:  # fmt: skip
    units = tuple(Unit(spec, labels) for spec in systems for labels in spec.label_sources(config.labels))
    return tuple(
        TrackTask(track, names, units, output / WORK / track.name, config) for track, names in zip(tracks, instruments)
    )


def _side(index: Dataset, split: str, config: EvaluateConfig) -> tuple[Track, ...]:
    tracks = index.tracks if config.side == WHOLE_DATASET else index.split(split)[config.side]
    for name in config.leave_out:
        if not index.knows(name):
            raise ParameterError(f"Expected a track of the dataset to leave out. Received: {name!r}")
    tracks = tuple(track for track in tracks if track.name not in config.leave_out)
    if not tracks:
        raise MediaError(
            f"The {config.side} side of the split {split!r} leaves no track of {len(index.tracks)}; choose another with"
            f" --split or --side ({WHOLE_DATASET} takes every track). Received: {index.root}"
        )
    return tracks


def _require_usable(index: Dataset, config: EvaluateConfig) -> None:
    problems = index.problems_besides(config.leave_out)
    if problems and not config.allow_problems:
        rest = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise MediaError(
            f"{problems[0]}{rest}. Mend it, leave the track out with --leave-out, or go on without what cannot be used"
            " with --allow-problems; the page will say so"
        )


def num_tracks(count: int) -> str:
    """ "1 track", "2 tracks"."""
    return f"{count} track{'' if count == 1 else 's'}"


def _evenly(tracks: Sequence[Track], limit: int | None) -> tuple[Track, ...]:
    if limit is None or len(tracks) <= limit:
        return tuple(tracks)
    return tuple(tracks[i * len(tracks) // limit] for i in range(limit))
