"""Measures whether the input pipeline keeps up with training.

    python benchmarks/input_pipeline.py --made
    python benchmarks/input_pipeline.py --records data/urmp --segment-samples 20480

The network is that of the recipe `conditioned_small`, at whatever rate the records have. Prints examples per second of
the pipeline alone, of training on one batch that never changes, of both together, and the share of the time that a
training step waits for its batch. `--made` writes records of noise to a temporary folder (about 0.1 GB).
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import keras
import numpy as np

from audio.augmentation import Augmentation
from audio.input_pipeline import InputConfig, make_dataset
from audio.losses import NegativeSNR
from audio.records import RecordSpec, track_records, write_shard
from audio.records.prepared import list_shards
from audio.wave_unet import WaveUNet
from av_sep.instruments import URMP_13
from pipelines.configs.conditioned_small import conditioned_small
from pipelines.distribution import PRECISIONS

RATE_HZ = 16000
CHANGES = {
    "none": None,
    "default": Augmentation(),
    "with pitch": Augmentation(max_shift_semitones=1.5),
}


def make_records(folder: Path) -> None:
    """Eight shards with one track of 90 s each, two to five instruments of noise."""
    rng = np.random.default_rng(0)
    abbreviations = tuple(instrument.abbreviation for instrument in URMP_13.instruments)
    spec = RecordSpec("compact", URMP_13.names, abbreviations, RATE_HZ)
    for number in range(8):
        chosen = rng.choice(URMP_13.names, size=2 + number % 4, replace=False)
        sources = {name: (0.05 * rng.normal(size=(90 * RATE_HZ, 1))).astype(np.float32) for name in chosen}
        block = (sum(sources.values()), sources)
        write_shard(folder / f"train-{number:05d}-of-00008.tfrecord", track_records(b"noise", [block], spec))


def rate(take: Callable[[], object], num_examples: int, seconds: float) -> float:
    """Examples per second of a function that takes so many at a time."""
    started, num_calls = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        take()
        num_calls += 1
    return num_calls * num_examples / (time.perf_counter() - started)


def train_from(batches, network, seconds: float) -> tuple[float, float]:
    """Examples per second of training on the batches, and the share of the time spent waiting for them."""
    started, waited, num_examples = time.perf_counter(), 0.0, 0
    while time.perf_counter() - started < seconds:
        asked = time.perf_counter()
        inputs, sources = next(batches)
        waited += time.perf_counter() - asked
        network.train_on_batch(inputs, sources)
        num_examples += len(sources)
    total = time.perf_counter() - started
    return num_examples / total, waited / total


@click.command()
@click.option("--records", type=click.Path(), help="A folder made by av-sep prepare.")
@click.option("--made", is_flag=True, help="Make records of noise.")
@click.option("--batch-size", default=8, show_default=True)
@click.option("--segment-samples", default=20480, show_default=True, help="A multiple of 1,024.")
@click.option("--seconds", default=20.0, show_default=True, help="Time for each measurement.")
def main(records: str | None, made: bool, batch_size: int, segment_samples: int, seconds: float) -> None:
    """Compare the input pipeline with a training step."""
    if made == bool(records):
        raise click.UsageError("Expected either --records or --made.")
    with tempfile.TemporaryDirectory() as temporary:
        if made:
            make_records(Path(temporary))
        measure(records or temporary, batch_size, segment_samples, seconds)


def measure(location: str, batch_size: int, segment_samples: int, seconds: float) -> None:
    """Prints one line for each strength of augmentation."""
    recipe = conditioned_small()
    names = tuple(recipe.model["source_names"])
    abbreviations = tuple(instrument.abbreviation for instrument in URMP_13.instruments)
    spec = list_shards(location).spec or RecordSpec("compact", names, abbreviations, RATE_HZ)
    keras.config.set_dtype_policy(PRECISIONS[recipe.precision])
    network = WaveUNet(**{**recipe.model, "source_names": spec.source_names, "num_channels": spec.num_channels})
    network.compile(optimizer="adam", loss=NegativeSNR(), jit_compile=False)
    step_rate = None
    print("augmentation   pipeline alone   step alone   together   waiting    (examples/s)")
    for label, changes in CHANGES.items():
        config = InputConfig(batch_size, segment_samples, augmentation=changes)
        batches = iter(make_dataset(location, spec, config))
        first = next(batches)
        pipeline_rate = rate(lambda: next(batches), batch_size, seconds)
        if step_rate is None:
            network.train_on_batch(*first)
            step_rate = rate(lambda: network.train_on_batch(*first), batch_size, seconds)
        together, waiting = train_from(batches, network, seconds)
        print(f"{label:12}   {pipeline_rate:14.0f}   {step_rate:10.1f}   {together:8.1f}   {waiting:7.1%}", flush=True)


if __name__ == "__main__":
    main()
