"""What preparing costs: minutes of five-stem sound per minute of one core, and bytes per second of sound.

    python benchmarks/prepare.py --minutes 10

Makes tracks of five instruments at 48 kHz, 24 bit, in a temporary folder and prepares them in both schemas in one
process. Processor time counts, of this process and of the ffmpeg processes that decode, so other cores do not flatter.
"""

import resource
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import soundfile as sf

from pipelines.workers import Workers
from pipelines.prepare import PrepareConfig, prepare

_RATE_HZ = 48000
_INSTRUMENTS = ("violin", "viola", "cello", "flute", "horn")


def make_dataset(root: Path, num_tracks: int, seconds: float) -> None:
    """Tracks of filtered noise, which costs a decoder what music costs, with their exact sum as the mixture."""
    for index in range(num_tracks):
        rng = np.random.default_rng(index)
        folder = root / f"track_{index:02d}"
        folder.mkdir(parents=True)
        walks = [np.cumsum(rng.normal(size=int(seconds * _RATE_HZ))) for _ in _INSTRUMENTS]
        walks = [walk - walk.mean() for walk in walks]
        # Multiples of 2^-15, so that the mixture is the stems' sum in 24-bit files as well.
        stems = [np.round(0.15 * walk / np.abs(walk).max() * 2**15) / 2**15 for walk in walks]
        for name, stem in zip((*_INSTRUMENTS, "mixture"), (*stems, np.sum(stems, axis=0))):
            sf.write(folder / f"{name}.wav", stem, _RATE_HZ, subtype="PCM_24")


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="Of sound in all.")
@click.option("--tracks", default=4, show_default=True)
def main(minutes: float, tracks: int) -> None:
    """Prepare made tracks in both schemas."""
    with tempfile.TemporaryDirectory() as folder:
        root, bytes_per_second = Path(folder), {}
        make_dataset(root / "data", tracks, 60.0 * minutes / tracks)
        prepare("folder", root / "data", root / "warm", PrepareConfig(split="all_train", leave_out=("track_00",)))
        for schema in ("compact", "published"):
            started, used = time.monotonic(), processor_seconds()
            config = PrepareConfig(split="all_train", schema=schema)
            made = prepare("folder", root / "data", root / schema, config, workers=Workers(num_processes=1))
            wall, used = time.monotonic() - started, processor_seconds() - used
            assert made.manifest is not None
            side = made.manifest["sides"]["train"]
            bytes_per_second[schema] = sum(shard["num_bytes"] for shard in side["shards"]) / side["seconds"]
            speeds = f"{side['seconds'] / used:6.0f} x real time per core ({side['seconds'] / wall:.0f} x by the clock)"
            click.echo(f"{schema:10s}{speeds}, {bytes_per_second[schema] / 1000:6.0f} kB per second of sound")
        click.echo(f"published / compact: {bytes_per_second['published'] / bytes_per_second['compact']:.1f}")


if __name__ == "__main__":
    main()
