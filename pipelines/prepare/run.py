"""The run: plan, resume, make shards, write the manifest."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from av_sep.datasets.track import SPLITS, is_about
from av_sep.errors import MediaError, ParameterError
from pipelines.error_lines import WorkFailed
from pipelines.workers import Outcome, Workers, run_everywhere
from pipelines.prepare.config import PrepareConfig
from pipelines.prepare.plan import MADE_BY, Plan, make_plan, require_usable
from pipelines.prepare.shards import WORK, ShardTask, make_shard
from pipelines.prepare.source import open_source
from pipelines.progress import Progress, silent
from pipelines.staging import make_folder
from pipelines.storage import Folder, LocalFolder, configure_filesystems, is_remote, open_folder

MANIFEST = "manifest.json"
_PLAN = f"{WORK}/plan.json"
_MOST_ERRORS = 5
_LIBRARIES = ("tensorflow", "numpy", "soxr")


@dataclass(frozen=True)
class Prepared:
    """What `prepare` made.

    Attributes:
        output: path or URL of the folder.
        manifest: content of its manifest.json; None for a dry run.
        plan: which tracks went where.
        num_resumed: shards that were finished already.
    """

    output: str
    manifest: Mapping[str, Any] | None
    plan: Plan
    num_resumed: int = 0


def prepare(
    dataset: str, location: str | Path, output: str | Path, config: PrepareConfig = PrepareConfig(), *,
    workers: Workers = Workers(), dry_run: bool = False, progress: Progress = silent,
) -> Prepared:  # fmt: skip
    """Makes TFRecords of a dataset, or goes on where an earlier run with the same settings stopped.

    Args:
        dataset: kind of dataset, see `av_sep.datasets.index.DATASETS`.
        location: the dataset's folder, path or URL.
        output: folder for shards and manifest, path or URL.
        config: the settings.
        workers: who does the work.
        dry_run: plan, write nothing.
        progress: told how many shards are finished, as `progress("shards", done, total)`.

    Raises:
        ParameterError: for settings that cannot be used, or an output folder with something else in it.
        MediaError: where files cannot be read or written; finished shards stay.
    """
    location = str(location)
    configure_filesystems(workers.runner_options, [location, str(output)])
    target = open_folder(str(output))
    options = {} if config.taxonomy is None else {"taxonomy": config.taxonomy}
    with open_source(dataset, location, **options) as (index, source, state_of):
        if not dry_run:
            require_usable(index, config)
        plan = make_plan(index, config, source, state_of, target.url)
        if dry_run:
            return Prepared(target.url, None, plan)
        finished = _begin(target, plan, overwrite=config.overwrite)
        if MANIFEST in target.names():
            return Prepared(target.url, json.loads(target.read(MANIFEST)), plan, len(plan.tasks))
        left = [task for task in plan.tasks if task.name not in finished]
        _make(left, len(finished), workers, target, progress)
    return Prepared(target.url, _complete(target, plan), plan, len(finished))


def _begin(target: Folder, plan: Plan, *, overwrite: bool) -> set[str]:
    """Makes the output folder ready and returns the names of the shards that are finished."""
    if isinstance(target, LocalFolder):
        make_folder(target.path / WORK) if not target.path.exists() else _require_folder(target)
    present = target.names()
    earlier = {name: _read_own(target, name) for name in (MANIFEST, _PLAN) if name in present}
    if not earlier and not all(map(_is_scrap, present)):
        raise ParameterError(f"Expected an empty output folder or one of av-sep prepare. Received: {target.url}")
    if overwrite:
        present = _delete_earlier(target, plan, present, earlier)
    elif earlier:
        _require_same(target, plan, next(iter(earlier.values())))
    if MANIFEST in present:
        _require_whole(earlier[MANIFEST], present)
        _clear_work(target)
        return {task.name for task in plan.tasks}
    for name in filter(_is_scrap, present):
        target.delete(name)
    content = {**plan.header, "fingerprint": plan.fingerprint, "sides": _sides(plan, lambda task: {"file": task.name})}
    target.write(_PLAN, json.dumps(content).encode())
    if MANIFEST in earlier:
        # Not before the new plan is there: whenever a run is killed, one of them says whose the folder is.
        target.delete(MANIFEST)
    return {task.name for task in plan.tasks if _is_finished(task, target, present)}


def _require_folder(target: LocalFolder) -> None:
    if not target.path.is_dir():
        raise ParameterError(f"Expected a folder for the output. Received: {target.url}")


def _is_scrap(name: str) -> bool:
    """Whether a file is what a run leaves that is killed while it writes."""
    return name.startswith(f"{WORK}/") and ".part" in PurePosixPath(name).suffixes


def _read_own(target: Folder, name: str) -> dict[str, Any]:
    """What an earlier run wrote as its manifest or plan; many programs keep a file of such a name."""
    try:
        recorded = json.loads(target.read(name))
        is_own = recorded["made_by"] == MADE_BY and isinstance(recorded["fingerprint"], str)
        _shard_names(recorded)
    except (ValueError, LookupError, TypeError, AttributeError):
        is_own = False
    if not is_own:
        raise ParameterError(
            f"Expected an output folder of av-sep prepare. Received: {target.url}/{name}, which something else wrote"
        )
    return recorded


def _shard_names(recorded: Mapping[str, Any]) -> set[str]:
    return {shard["file"] for side in recorded["sides"].values() for shard in side["shards"]}


def _delete_earlier(
    target: Folder, plan: Plan, present: Mapping[str, int], earlier: Mapping[str, Mapping[str, Any]]
) -> dict[str, int]:
    """Deletes what earlier runs say that they made, but for their manifest and plan; returns what else is there."""
    shards = {name for recorded in earlier.values() for name in _shard_names(recorded)}
    own = {name for name in present if name in shards or name in earlier or name.startswith(f"{WORK}/")}
    others = {name: num_bytes for name, num_bytes in present.items() if name not in own}
    for task in plan.tasks:
        if task.name in others:
            raise ParameterError(
                f"Expected no other file with the name of a shard; move it away. Received: {target.url}/{task.name}"
            )
    for name in sorted(own - set(earlier)):
        target.delete(name)
    return others


def _require_same(target: Folder, plan: Plan, recorded: Mapping[str, Any]) -> None:
    if recorded["fingerprint"] != plan.fingerprint:
        raise ParameterError(
            f"The output folder was begun with other {_differences(recorded, plan.header)}; add --overwrite to replace"
            f" it. Received: {target.url}"
        )


def _differences(recorded: Mapping[str, Any], header: Mapping[str, Any]) -> str:
    """What differs between two headers, as a person would name it."""
    wanted = json.loads(json.dumps(header))
    old, new = recorded.get("settings", {}), wanted["settings"]
    settings = [f"{name} ({old.get(name)} then, {new[name]} now)" for name in new if old.get(name) != new[name]]
    others = [name for name in ("dataset", "split", "av_sep_version") if recorded.get(name) != wanted[name]]
    if others or settings:
        return f"settings: {', '.join([*others, *settings])}"
    return (
        "files: names, instruments, sizes or times of change differ, the dataset's or the detector's (cp -a copies a"
        " dataset with its times)"
    )


def _require_whole(manifest: Mapping[str, Any], present: Mapping[str, int]) -> None:
    """Refuses a folder with a manifest that has lost some of its shards since."""
    for side in manifest["sides"].values():
        for shard in side["shards"]:
            if present.get(shard["file"]) != shard["num_bytes"]:
                raise MediaError(
                    f"The manifest lists {shard['file']} with {shard['num_bytes']} bytes; add --overwrite to make all"
                    f" again. Received: {present.get(shard['file'], 'no such file')}"
                )


def _is_finished(task: ShardTask, target: Folder, present: Mapping[str, int]) -> bool:
    if task.entry_name not in present:
        return False
    return present.get(task.name) == json.loads(target.read(task.entry_name))["num_bytes"]


def _make(
    tasks: Sequence[ShardTask], num_finished: int, workers: Workers, target: Folder, progress: Progress
) -> None:
    def report(done: int, total: int) -> None:
        progress("shards", float(num_finished + done), float(num_finished + total))

    exchange = f"{target.url}/{WORK}/outcomes" if is_remote(target.url) else None
    _require_success(run_everywhere(make_shard, tasks, workers, report, exchange=exchange), tasks)


def _require_success(outcomes: Sequence[Outcome], tasks: Sequence[ShardTask]) -> None:
    # Ours first: it is the one that must be among those that are shown.
    failures = sorted((outcome for outcome in outcomes if outcome.error), key=lambda outcome: outcome.is_users)
    if not failures:
        return
    errors = "; ".join(str(failure.error) for failure in failures[:_MOST_ERRORS])
    more = f"; and {len(failures) - _MOST_ERRORS} more" if len(failures) > _MOST_ERRORS else ""
    kept = f"{len(outcomes) - len(failures)} of {len(outcomes)} shards were made and stay"
    names = {track.name for task in tasks for track in task.tracks}
    about_tracks = any(is_about(str(failure.error), name) for failure in failures for name in names)
    hint = "mend it and run again, or begin anew with --leave-out TRACK --overwrite" if about_tracks else "run again"
    text = f"{errors}{more} ({kept}; {hint})"
    unexpected = [failure for failure in failures if not failure.is_users]
    raise WorkFailed(text, str(unexpected[0].details)) if unexpected else MediaError(text)


def _complete(target: Folder, plan: Plan) -> dict[str, Any]:
    """Puts the entries together into the manifest; what was needed for resuming goes."""
    sides = _sides(plan, lambda task: json.loads(target.read(task.entry_name)))
    for side in sides.values():
        tracks = [track for shard in side["shards"] for track in shard["tracks"]]
        side["num_tracks"] = len(tracks)
        side["num_records"] = sum(shard["num_records"] for shard in side["shards"])
        side["seconds"] = round(sum(track["num_samples"] for track in tracks) / plan.spec.sample_rate_hz, 3)
    versions = {library: version(library) for library in _LIBRARIES}
    manifest = {**plan.header, "versions": versions, "fingerprint": plan.fingerprint, "sides": sides}
    target.write(MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    _clear_work(target)
    return manifest


def _sides(plan: Plan, describe: Callable[[ShardTask], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Shards by side, as plan and manifest list them."""
    return {side: {"shards": [describe(task) for task in plan.tasks if task.side == side]} for side in SPLITS}


def _clear_work(target: Folder) -> None:
    for name in target.names():
        if name.startswith(f"{WORK}/"):
            target.delete(name)
    if isinstance(target, LocalFolder) and (target.path / WORK).is_dir():
        (target.path / WORK).rmdir()
