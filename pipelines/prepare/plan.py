"""Which tracks go into which shard, decided before anything is written and the same on every run."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audio.records import SCHEMA_VERSION, RecordSpec
from av_sep import __version__
from av_sep.datasets.splits import describe_split
from av_sep.datasets.track import Dataset, Track
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import Taxonomy
from pipelines.detector_files import detector_states
from pipelines.fingerprint import fingerprint
from pipelines.prepare.config import PrepareConfig
from pipelines.prepare.pictures import KNOWN
from pipelines.prepare.shards import ShardTask, Source
from pipelines.prepare.source import FileState

MADE_BY = "av-sep"


@dataclass(frozen=True)
class Plan:
    """What a run of `prepare` will do.

    Attributes:
        tasks: the shards, training first.
        spec: how records are laid out.
        split: name of the split.
        description: how many tracks and compositions the split puts where, and what is odd about it.
        splits: names of all splits of the dataset.
        unsolved: problems because of which a run would refuse.
        header: what the manifest says before any shard is made: dataset, settings, versions, what is left out.
        fingerprint: of settings and states of the source files and of the detector's; a run may go on only where it is
            the same.
    """

    tasks: tuple[ShardTask, ...]
    spec: RecordSpec
    split: str
    description: str
    splits: tuple[str, ...]
    unsolved: tuple[str, ...]
    header: dict[str, Any]
    fingerprint: str


def make_plan(dataset: Dataset, config: PrepareConfig, source: Source, state_of: FileState, output: str) -> Plan:
    """Plans the shards of a dataset.

    Args:
        dataset: its index.
        config: the settings.
        source: where its files are.
        state_of: what tells whether one of its files has changed.
        output: path or URL of the output folder.

    Raises:
        ParameterError: for an unknown split or a track to leave out that does not exist.
        MediaError: where no track is left, or a file cannot be looked at.
    """
    _require_known(dataset, config)
    split = next(iter(dataset.splits)) if config.split is None else config.split
    sides = {
        side: tuple(track for track in tracks if track.name not in config.leave_out)
        for side, tracks in dataset.split(split).items()
    }
    chosen = {track.name for tracks in sides.values() for track in tracks}
    if not chosen:
        raise MediaError(f"The split {split!r} leaves no track of {len(dataset.tracks)} in {dataset.root}")
    spec = record_spec(dataset.taxonomy, config)
    tasks = tuple(
        task for side, tracks in sides.items() for task in _tasks(side, tracks, dataset, config, source, output, spec)
    )
    left_out = {
        "by request": sorted(config.leave_out),
        "by the split": [t.name for t in dataset.tracks if t.name not in chosen and t.name not in config.leave_out],
        "because of problems": list(dataset.problems),
    }
    header = {
        "made_by": MADE_BY,
        "av_sep_version": __version__,
        "schema_version": SCHEMA_VERSION,
        "dataset": dataset.name,
        "split": split,
        "record_spec": spec.to_dict(),
        "settings": _settings(config),
        "remarks": [*dataset.remarks, *_empty_sides(split, sides)],
        "left_out": left_out,
    }
    fingerprint = _fingerprint(header, tasks, source, state_of, _detector_states(config))
    unsolved = tuple(unsolved_problems(dataset, config))
    description = describe_split(dataset, split)
    return Plan(tasks, spec, split, description, tuple(dataset.splits), unsolved, header, fingerprint)


def _empty_sides(split: str, sides: Mapping[str, Sequence[Track]]) -> list[str]:
    if split.startswith("all_"):
        return []
    return [f"the split {split!r} leaves the {side} side empty" for side, tracks in sides.items() if not tracks]


def record_spec(taxonomy: Taxonomy, config: PrepareConfig) -> RecordSpec:
    """How the records of a taxonomy are laid out under these settings."""
    return RecordSpec(
        schema=config.schema,
        source_names=taxonomy.names,
        abbreviations=tuple(instrument.abbreviation for instrument in taxonomy.instruments),
        sample_rate_hz=config.sample_rate_hz,
        num_channels=config.num_channels,
    )


def _require_known(dataset: Dataset, config: PrepareConfig) -> None:
    known = [*(track.name for track in dataset.tracks), *(problem.split(":")[0] for problem in dataset.problems)]
    for name in config.leave_out:
        if not dataset.knows(name):
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            raise ParameterError(f"Expected a track of the dataset to leave out.{hint} Received: {name!r}")


def unsolved_problems(dataset: Dataset, config: PrepareConfig) -> list[str]:
    """Problems of a dataset that its user has not said how to take."""
    if config.allow_problems:
        return []
    return dataset.problems_besides(config.leave_out)


def require_usable(dataset: Dataset, config: PrepareConfig) -> None:
    """Raises MediaError where something of the dataset cannot be used and the settings do not allow for that."""
    problems = unsolved_problems(dataset, config)
    if problems:
        rest = f" (and {len(problems) - 1} more; --dry-run lists all)" if len(problems) > 1 else ""
        raise MediaError(
            f"{problems[0]}{rest}. Mend it, leave the track out with --leave-out, or go on without what cannot be used"
            " with --allow-problems; the manifest will say so"
        )


def _tasks(
    side: str, tracks: Sequence[Track], dataset: Dataset, config: PrepareConfig, source: Source, output: str,
    spec: RecordSpec,
) -> list[ShardTask]:  # fmt: skip
    # Neighbours in a dataset are alike (arrangements, one player, one room), so a shard takes every n-th track.
    num_shards = -(-len(tracks) // config.resolved_tracks_per_shard)
    groups = [tuple(tracks[i::num_shards]) for i in range(num_shards)]
    return [
        ShardTask(
            name=f"{side}-{i:05d}-of-{num_shards:05d}.tfrecord",
            side=side,
            tracks=group,
            instruments=tuple(dataset.instruments(track) for track in group),
            source=source,
            output=output,
            spec=spec,
            pictures=config.pictures,
        )
        for i, group in enumerate(groups)
    ]


def _settings(config: PrepareConfig) -> dict[str, Any]:
    settings = dataclasses.asdict(config)
    del settings["overwrite"]
    return settings


def _detector_states(config: PrepareConfig) -> list[dict[str, Any]]:
    """Of what looks at the pictures, where anything does: its name says nothing of what is in its files."""
    name = config.pictures.detector if config.pictures else None
    return [] if name in (None, KNOWN) else detector_states(str(name))


def _fingerprint(
    header: Mapping[str, Any], tasks: Sequence[ShardTask], source: Source, state_of: FileState,
    detector: Sequence[Mapping[str, Any]],
) -> str:  # fmt: skip
    tracks = [track for task in tasks for track in task.tracks]
    # The root stays out: a dataset may be moved.
    files = [(path.relative_to(source.root).as_posix(), state_of(path)) for track in tracks for path in track.files]
    # Instruments need not be in the files' names: a dataset's own words about itself may be corrected.
    parts = [(track.name, [part.instrument for part in track.parts]) for track in tracks]
    shards = [(task.name, [track.name for track in task.tracks]) for task in tasks]
    content: dict[str, Any] = {"header": header, "shards": shards, "parts": parts, "files": files}
    if detector:
        content["detector"] = detector
    return fingerprint(content)
