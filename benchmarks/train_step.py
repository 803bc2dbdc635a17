"""What a training step costs: backends, precisions and numbers of devices, on one model and one batch, in one run.

    python benchmarks/train_step.py --recipe conditioned_small --output figures/

Every combination runs in a process of its own, because Keras's backend and the number of devices are settled at its
start. Combinations that cannot work here are listed with the reason. Ratios within one table mean something; seconds of
another machine or another day do not compare. Writes train_step.csv and train_step.png.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click
import pandas as pd


def measure(recipe: str, backend: str, precision: str, num_devices: int, batch_size: int, num_steps: int) -> dict:
    """Seconds per step in this process, and what it ran on."""
    from pipelines.configs import find_recipe
    from pipelines.distribution import PRECISIONS, choose_backend, open_devices

    config = replace(find_recipe(recipe)(), precision=precision, batch_size=batch_size)
    choose_backend("auto" if num_devices == 1 else "cpu", backend, num_devices)
    import keras
    import numpy as np

    from audio.losses import make_loss
    from audio.networks import build_network
    from pipelines.train.optimizers import make_optimizer

    devices = open_devices("auto" if num_devices == 1 else "cpu", num_devices, batch_size=batch_size)
    keras.config.set_dtype_policy(PRECISIONS[precision])
    with devices.scope():
        network = build_network(config.network, config.model)
        loss = make_loss(config.loss, **config.loss_options)
        network.compile(make_optimizer(config), loss, jit_compile=backend == "jax")
    rng = np.random.default_rng(0)
    num_sources, num_outputs = len(network.source_names), network.output_samples(config.segment_samples)
    sources = 0.1 * rng.normal(size=(batch_size, num_sources, config.segment_samples, 1)).astype("float32")
    excess = (config.segment_samples - num_outputs) // 2
    inputs = {"mixture": sources.sum(axis=1), "label_vector": np.ones((batch_size, num_sources), "float32")}
    inputs = {name: inputs[name] for name in network.input}
    targets = sources[:, :, excess : excess + num_outputs]
    seconds = []
    for _ in range(num_steps + 2):
        started = time.perf_counter()
        network.train_on_batch(inputs, targets)
        seconds.append(time.perf_counter() - started)
    # The first two steps trace and compile.
    return {"devices": devices.describe(), "seconds_per_step": float(np.median(seconds[2:]))}


def sound_seconds(recipe: str) -> dict:
    """Seconds that training stands still for one set of sound examples, of which there is at most one an epoch."""
    from pipelines.configs import find_recipe

    config = replace(find_recipe(recipe)(), sound_epochs=1)
    import numpy as np

    from audio.networks import build_network
    from pipelines.train.callbacks import SoundExamples
    from pipelines.train.run_folder import RunFolder

    network = build_network(config.network, config.model)
    network.compile()
    num_sources, num_outputs = len(network.source_names), network.output_samples(config.segment_samples)
    mixture = np.zeros((1, config.segment_samples, 1), "float32")
    inputs = {"mixture": mixture, "label_vector": np.ones((1, num_sources), "float32")}
    inputs = {name: inputs[name] for name in network.input}
    with tempfile.TemporaryDirectory() as folder:
        sources = np.ones((1, num_sources, num_outputs, 1), "float32")
        callback = SoundExamples(RunFolder(folder), config, (inputs, sources))
        callback.set_model(network)
        seconds = []
        for epoch in range(4):
            started = time.perf_counter()
            callback.on_epoch_end(epoch)
            seconds.append(time.perf_counter() - started)
        callback.on_train_end()
    # The first one traces.
    return {"seconds": max(seconds[1:]), "steps_per_epoch": config.steps_per_epoch}


def measured_apart(**combination) -> dict:
    """As `measure` (or `sound_seconds`, where only a recipe is given), in a process of its own."""
    command = [sys.executable, __file__, "--one", json.dumps(combination)]
    environment = {**os.environ, "KERAS_BACKEND": combination.get("backend", "tensorflow")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        return {"devices": "not run: " + (done.stderr.strip().splitlines() or ["?"])[-1][:120]}
    return json.loads(done.stdout.splitlines()[-1])


def plot(table: pd.DataFrame, path: Path) -> None:
    """Examples per second of every combination that ran."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    ran = table.dropna(subset=["examples_per_second"])
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(ran) + 1.2), layout="constrained")
    labels = [f"{row.devices}, {row.precision}" for row in ran.itertuples()]
    colours = ["#4878a8" if precision == "float32" else "#d98032" for precision in ran["precision"]]
    bars = axes.barh(labels, ran["examples_per_second"], color=colours)
    axes.bar_label(bars, fmt="%.2g")
    axes.invert_yaxis()
    axes.set_xlabel("examples per second")
    figure.savefig(path, dpi=150)


@click.command()
@click.option("--recipe", default="conditioned_small", show_default=True)
@click.option("--batch-size", default=8, show_default=True)
@click.option("--steps", "num_steps", default=8, show_default=True)
@click.option("--devices", default="1,2", show_default=True, help="Numbers of devices; several are made of a CPU.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("figures"), show_default=True)
@click.option("--one", hidden=True)
def main(recipe: str, batch_size: int, num_steps: int, devices: str, output: Path, one: str | None) -> None:
    """Print the table and draw it."""
    if one:
        combination = json.loads(one)
        click.echo(json.dumps(measure(**combination) if "backend" in combination else sound_seconds(**combination)))
        return
    rows = []
    counts = [int(count) for count in devices.split(",")]
    for backend, precision, count in itertools.product(("tensorflow", "jax"), ("float32", "bfloat16"), counts):
        combination = {"backend": backend, "precision": precision, "num_devices": count}
        result = measured_apart(recipe=recipe, batch_size=batch_size, num_steps=num_steps, **combination)
        seconds = result.get("seconds_per_step")
        rate = batch_size / seconds if seconds else None
        rows.append({**combination, **result, "examples_per_second": rate})
        speed = f"{seconds:8.3f} s/step {rate:8.2f} examples/s" if seconds else ""
        click.echo(f"{result['devices']:28s} {precision:10s} {speed}")
    table = pd.DataFrame(rows)
    output.mkdir(parents=True, exist_ok=True)
    table.to_csv(output / "train_step.csv", index=False)
    plot(table, output / "train_step.png")
    sounds = measured_apart(recipe=recipe)
    if "seconds" not in sounds:
        raise click.ClickException(f"Expected the time of sound examples. Received: {sounds['devices']}")
    share = sounds["seconds"] / (sounds["steps_per_epoch"] * table["seconds_per_step"].iloc[0])
    click.echo(f"sound examples every epoch: {sounds['seconds']:.2f} s, {100 * share:.2f} % of the steps' time")


if __name__ == "__main__":
    main()
