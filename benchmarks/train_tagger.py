"""Trains and calibrates the audio tagger on mixtures of a bank of solo lines (see `benchmarks/make_solo_bank.py`).

    python benchmarks/train_tagger.py train --bank BANK --output FIRST --steps 3000 --leave-out LEFT_OUT
    python benchmarks/train_tagger.py calibrate --bank BANK --run FIRST --sources LEFT_OUT
    python benchmarks/train_tagger.py train --bank BANK --output SECOND --steps 24000 --seed 1 --start FIRST
    python benchmarks/train_tagger.py pack --run SECOND --calibration FIRST/calibration.json --output DIRECTORY

Two stages, so that calibration costs no data: the first is trained without some sources, and how sure it may be is
measured on them, sounds it never heard; the second goes on from there with every source, and keeps that calibration.
A run that was stopped goes on where it ended. Every batch is a pure function of (seed, step).
"""

import json
import multiprocessing
import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click  # noqa: E402
import numpy as np  # noqa: E402
from scipy.optimize import minimize  # noqa: E402

from audio.tagger.mixtures import SoloBank, WindowConfig, draw_pool, filter_sources, make_windows  # noqa: E402
from av_sep.datasets.solo_bank import open_bank  # noqa: E402
from av_sep.instruments import URMP_13  # noqa: E402

BATCH_SIZE = 32
PEAK_RATE = 2e-3
WARM_UP_STEPS = 50
SAVE_EVERY = 50
CALIBRATION_SEED = 1_000_003
CALIBRATION_BATCHES = 60
CALIBRATION_PLAYERS = 150
PLAYERS = 1800  # of every instrument: 2.3 GB for 13
BATCHES_AHEAD = 8
NO_CANDIDATE = -1.0


def make_network():
    """The tagger as it is packaged."""
    from audio.tagger.network import InstrumentTagger

    return InstrumentTagger(URMP_13.names)


def open_sources(bank_dir: Path, *, leave_out: frozenset[str] = frozenset(), only: frozenset[str] = frozenset()):
    """The bank's training split without some sources, or with some only."""
    bank = open_bank(bank_dir, "train")
    return filter_sources(bank, lambda _, source: source not in leave_out and (not only or source in only))


def split_names(text: str) -> frozenset[str]:
    """Names of a comma-separated list."""
    return frozenset(filter(None, text.split(",")))


def _produce(writer, bank_dir: Path, leave_out: frozenset[str], seed: int, first: int, last: int, samples: int) -> None:
    config = WindowConfig(samples)
    pool = draw_pool(open_sources(bank_dir, leave_out=leave_out), config, seed=seed, num_players=PLAYERS)
    make = partial(make_windows, pool, URMP_13, config, seed=seed, batch_size=BATCH_SIZE)
    waiting: deque[Future] = deque()
    # The pipe is broken where the training ended first.
    with ThreadPoolExecutor(1) as maker, suppress(BrokenPipeError):
        for index in range(first, last):
            waiting.append(maker.submit(make, index=index))
            if len(waiting) > BATCHES_AHEAD:
                writer.send(waiting.popleft().result())
        for batch in waiting:
            writer.send(batch.result())


def batches(bank_dir: Path, leave_out: frozenset[str], seed: int, first: int, last: int, num_samples: int):
    """Batches `first` to `last` of a run, made by another process.

    Raises:
        click.ClickException: where that process ends, or is ended, before it has made all of them.
    """
    context = multiprocessing.get_context("spawn")
    # Not a queue: that one waits for ever for the rest of a batch whose sender was killed; a pipe tells its end.
    reader, writer = context.Pipe(duplex=False)
    arguments = (writer, bank_dir, leave_out, seed, first, last, num_samples)
    worker = context.Process(target=_produce, args=arguments, daemon=True)
    worker.start()
    # The worker's is the only one left, so that the pipe ends with it.
    writer.close()
    for _ in range(first, last):
        yield _receive(reader, worker)
    worker.join()


def _receive(reader, worker):
    try:
        return reader.recv()
    except (EOFError, OSError):
        worker.join()
    raise click.ClickException(
        f"Expected batches. Received: the end of the process that makes them, exit status {worker.exitcode}; what it"
        " said is above"
    )


def _compile(network, steps: int, peak_rate: float) -> None:
    import keras

    warm_up = min(WARM_UP_STEPS, steps // 4)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-5, steps - warm_up, alpha=0.01, warmup_target=peak_rate, warmup_steps=warm_up
    )
    network.compile(keras.optimizers.Adam(rate), candidates_cross_entropy)


def candidates_cross_entropy(labels, logits):
    """Binary cross-entropy over the candidates of every window, `[batch]`; others have the label `NO_CANDIDATE`."""
    from keras import ops

    asked = ops.cast(labels != NO_CANDIDATE, logits.dtype)
    losses = ops.binary_crossentropy(ops.maximum(labels, 0.0), logits, from_logits=True)
    return ops.sum(asked * losses, axis=-1) / ops.sum(asked, axis=-1)


def _resume(network, run: Path, start: Path | None) -> int:
    """Loads what a run has, or where it starts from, and returns the number of steps done."""
    state = run / "state.json"
    if state.exists():
        import keras

        losses = {"candidates_cross_entropy": candidates_cross_entropy}
        loaded = keras.saving.load_model(run / "latest.keras", custom_objects=losses)
        network.set_weights(loaded.get_weights())
        network.optimizer.build(network.trainable_variables)
        for variable, value in zip(network.optimizer.variables, loaded.optimizer.variables, strict=True):
            variable.assign(value)
        return json.loads(state.read_text())["step"]
    if start is not None:
        network.load_weights(start / "final.weights.h5")
    return 0


def _limit_threads() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@click.option("--bank", required=True, type=click.Path(path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path))
@click.option("--steps", default=1000, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--leave-out", default="", help="Sources not to train on, by name.")
@click.option("--peak-rate", default=PEAK_RATE, show_default=True, help="Learning rate after the warm-up.")
@click.option("--start", type=click.Path(path_type=Path), help="Run whose final weights to start from.")
def train(
    bank: Path, output: Path, steps: int, seed: int, leave_out: str, peak_rate: float, start: Path | None
) -> None:
    """Train one stage."""
    _limit_threads()
    output.mkdir(parents=True, exist_ok=True)
    network = make_network()
    _compile(network, steps, peak_rate)
    step, losses, began = _resume(network, output, start), [], time.perf_counter()
    (output / "config.json").write_text(json.dumps({"steps": steps, "seed": seed, "leave_out": leave_out}))
    stream = batches(bank, split_names(leave_out), seed, step, steps, network.options["window_samples"])
    for waveforms, candidates, labels in stream:
        inputs = {"waveform": waveforms, "candidates": candidates}
        losses.append(float(network.train_on_batch(inputs, np.where(candidates == 1, labels, NO_CANDIDATE))))
        step += 1
        if step % SAVE_EVERY == 0 or step == steps:
            network.save(output / "latest.keras")
            (output / "state.json").write_text(json.dumps({"step": step}))
            minutes = (time.perf_counter() - began) / 60
            with (output / "history.csv").open("a") as history:
                history.write(f"{step},{np.mean(losses):.4f},{minutes:.2f}\n")
            click.echo(f"step {step}: loss {np.mean(losses):.4f}, {minutes:.1f} min")
            losses.clear()
    network.save_weights(output / "final.weights.h5")


def fit_calibration(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Temperature and bias per instrument that make `sigmoid(logit / temperature + bias)` likeliest.

    The biases are held to 0 a little, for a bias fits the sources it was measured on.

    Args:
        logits: `[num_windows, num_instruments]`.
        labels: 0 or 1 of the same shape.

    References:
        C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017 (temperature).
    """

    def objective(parameters: np.ndarray) -> float:
        scaled = logits * np.exp(-parameters[0]) + parameters[1:]
        return log_loss(scaled, labels) * labels.shape[1] + 0.05 * float(np.sum(parameters[1:] ** 2))

    best = minimize(objective, np.zeros(1 + labels.shape[1]), method="L-BFGS-B").x
    return float(np.exp(best[0])), best[1:]


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean binary cross-entropy of `[num_windows, num_instruments]`, in natural units."""
    return float(np.mean(np.logaddexp(0.0, logits) - labels * logits))


def predict_left_out(network, bank: SoloBank, num_batches: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels `[num_windows, num_instruments]` of mixtures of a bank that was not trained on."""
    config, logits, labels = WindowConfig(network.options["window_samples"]), [], []
    pool = draw_pool(bank, config, seed=CALIBRATION_SEED, num_players=CALIBRATION_PLAYERS)
    for index in range(num_batches):
        waveforms, _, truth = make_windows(
            pool, URMP_13, config, seed=CALIBRATION_SEED, index=index, batch_size=BATCH_SIZE
        )
        logits.append(network.predict_on_batch({"waveform": waveforms, "candidates": np.ones_like(truth)}))
        labels.append(truth)
    return np.concatenate(logits), np.concatenate(labels)


@main.command()
@click.option("--bank", required=True, type=click.Path(path_type=Path))
@click.option("--run", required=True, type=click.Path(path_type=Path))
@click.option("--sources", required=True, help="Sources that the run left out, by name.")
def calibrate(bank: Path, run: Path, sources: str) -> None:
    """Measure how sure a stage may be, on sources that it left out."""
    _limit_threads()
    left_out = split_names(sources)
    if not left_out <= split_names(json.loads((run / "config.json").read_text())["leave_out"]):
        raise click.ClickException(f"Expected sources that the run left out. Received: {sources}")
    network = make_network()
    network.load_weights(run / "final.weights.h5")
    logits, labels = predict_left_out(network, open_sources(bank, only=left_out), CALIBRATION_BATCHES)
    temperature, bias = fit_calibration(logits, labels)
    before = log_loss(logits, labels)
    after = log_loss(logits / temperature + bias, labels)
    result = {"temperature": round(temperature, 4), "bias": [round(float(value), 4) for value in bias]}
    (run / "calibration.json").write_text(json.dumps(result))
    np.savez(run / "left_out.npz", logits=logits, labels=labels)
    click.echo(f"{result}\nlog loss {before:.4f}, calibrated {after:.4f}")


@main.command()
@click.option("--run", required=True, type=click.Path(path_type=Path))
@click.option("--calibration", required=True, type=click.Path(path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path))
def pack(run: Path, calibration: Path, output: Path) -> None:
    """Write the packaged form of a stage."""
    from audio.tagger.packaged import save_tagger

    network = make_network()
    network.load_weights(run / "final.weights.h5")
    values = json.loads(calibration.read_text())
    training = json.loads((run / "config.json").read_text())
    save_tagger(network, output, values["temperature"], values["bias"], training=training)


if __name__ == "__main__":
    main()
