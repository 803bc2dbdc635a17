"""`av-sep prepare`: datasets into TFRecords, and a dataset for those who have none."""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from av_sep.errors import MediaError, ParameterError
from pipelines.cli_errors import one_line_errors
from pipelines.cli_options import debug_option, quiet_option
from pipelines.cli_output import say
from pipelines.cli_paths import LOCATION
from pipelines.cli_synthetic import synthetic
from pipelines.cli_workers import make_workers, worker_options
from pipelines.progress import TerminalProgress

if TYPE_CHECKING:
    from pipelines.prepare import Prepared

_MAX_REMARKS = 12
# The openers' first lines would say it too, but reading them costs importing them.
_DATASETS = {
    "urmp": "URMP chamber music, or an ensemble dataset in its layout (`prepare synthetic` makes one).",
    "musdb18": "MUSDB18, stems in *.stem.mp4.",
    "musdb18hq": "MUSDB18-HQ, stems in wav files.",
    "medleydb": "MedleyDB.",
    "bach10": "Bach10.",
    "folder": "Any folder of <track>/{mixture,<instrument>}.wav, with or without video.",
}


@click.group()
def prepare() -> None:
    """Make TFRecords of a dataset, or make a dataset (synthetic)."""


def _taxonomy_option(dataset: str) -> Callable:
    if dataset in ("medleydb", "folder"):
        return click.option("--taxonomy", help="urmp13 (the default) or musdb4.")
    return lambda command: command


def _dataset_command(dataset: str, description: str) -> click.Command:
    @click.argument("location", metavar="DIR", type=LOCATION)
    @click.option("-o", "--output", required=True, type=LOCATION, help="Folder for shards and manifest; path or URL.")
    @click.option("--split", help="The dataset's default if not given; --dry-run lists what there is.")
    @click.option("--schema", default="compact", show_default=True, type=click.Choice(["compact", "published"]))
    @click.option("--sample-rate", "sample_rate_hz", default=22050, show_default=True, help="Of the records, Hz.")
    @click.option("--channels", "num_channels", default=1, show_default=True, type=click.IntRange(1, 2))
    @click.option("--tracks-per-shard", type=click.IntRange(1), help="8, or 1 for the published schema.")
    @_taxonomy_option(dataset)
    @click.option("--fps", type=float, help="Also store that many pictures per second of video.")
    @click.option("--detector", help="Boxes for --fps: known (the default), none, embedded or hub:<handle>.")
    @click.option("--leave-out", multiple=True, metavar="TRACK", help="May be repeated; the manifest says so.")
    @click.option("--allow-problems", is_flag=True, help="Leave out tracks that cannot be used; the manifest says so.")
    @click.option("--overwrite", is_flag=True, help="Replace what an earlier run made.")
    @click.option("--dry-run", is_flag=True, help="Check the dataset and say what would be written.")
    @quiet_option
    @click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
    @debug_option
    @worker_options(None)
    def command(
        location, output, fps, detector, dry_run, quiet, as_json, debug, processes, runner, runner_options, **settings
    ) -> None:
        def run() -> None:
            from pipelines.prepare import PictureConfig, PrepareConfig
            from pipelines.prepare import prepare as run_prepare

            workers = make_workers(processes, runner, runner_options)
            if detector is not None and fps is None:
                raise ParameterError("Boxes go with pictures: --detector needs --fps")
            seen_by = None if detector == "none" else detector or "known"
            pictures = None if fps is None else PictureConfig(fps, detector=seen_by)
            config = PrepareConfig(pictures=pictures, **settings)
            with TerminalProgress(dataset, shown=not quiet and sys.stderr.isatty(), unit="shards") as bar:
                prepared = run_prepare(
                    dataset, location, output, config, workers=workers, dry_run=dry_run, progress=bar
                )
            if as_json:
                say(json.dumps(prepared.manifest or prepared.plan.header, indent=1))
            elif not quiet:
                say(_planned(prepared) if dry_run else _described(prepared))
            if dry_run and prepared.plan.unsolved:
                raise MediaError(
                    f"A run would refuse this dataset ({len(prepared.plan.unsolved)} problems above): mend it, or see"
                    " --leave-out and --allow-problems"
                )

        one_line_errors(run, debug=debug)

    return click.command(dataset, help=description)(command)


prepare.add_command(synthetic)
for _name, _description in _DATASETS.items():
    prepare.add_command(_dataset_command(_name, _description))


def _described(prepared: "Prepared") -> str:
    assert prepared.manifest is not None
    lines, remarks = [prepared.plan.description], [f"  {remark}" for remark in prepared.plan.header["remarks"]]
    for side, content in prepared.manifest["sides"].items():
        minutes = f"{content['seconds'] / 60:.1f} min"
        lines.append(f"{side}: {content['num_tracks']} tracks, {content['num_records']} records, {minutes}")
        for track in (track for shard in content["shards"] for track in shard["tracks"]):
            remarks += [f"  {track['name']}: {remark}" for remark in track["remarks"]]
    lines += _shortened(remarks)
    if prepared.num_resumed:
        lines.append(f"{prepared.num_resumed} of {len(prepared.plan.tasks)} shards were there already")
    lines += _left_out(prepared)
    return "\n".join([*lines, f"manifest: {prepared.output}/manifest.json"])


def _shortened(remarks: list[str]) -> list[str]:
    if len(remarks) <= _MAX_REMARKS:
        return remarks
    return [*remarks[:_MAX_REMARKS], f"  ... and {len(remarks) - _MAX_REMARKS} more remarks, all in the manifest"]


def _planned(prepared: "Prepared") -> str:
    others = [name for name in prepared.plan.splits if name != prepared.plan.split]
    lines = [prepared.plan.description, f"other splits: {', '.join(others)}"]
    lines += [f"  {remark}" for remark in prepared.plan.header["remarks"]]
    for side in ("train", "validation", "test"):
        tasks = [task for task in prepared.plan.tasks if task.side == side]
        tracks = [track for task in tasks for track in task.tracks]
        lines.append(f"{side}: {len(tracks)} tracks in {len(tasks)} shards")
        for track in tracks:
            lines += [f"  {track.name}: {remark}" for remark in track.remarks]
    return "\n".join([*lines, *_left_out(prepared), "dry run: nothing was written"])


def _left_out(prepared: "Prepared") -> list[str]:
    left_out = dict(prepared.plan.header["left_out"])
    problems = left_out.pop("because of problems")
    lines = [f"left out {reason}: {', '.join(names)}" for reason, names in left_out.items() if names]
    return lines + [f"problem: {problem}" for problem in problems]
