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
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click  # noqa: E402
import numpy as np  # noqa: E402
from network_training import batches, compile_network, limit_threads, resume, send_batches  # noqa: E402
from network_training import train as train_network  # noqa: E402
from scipy.optimize import minimize  # noqa: E402

from audio.tagger.mixtures import TaggerWindowConfig, draw_pool, filter_sources, make_windows  # noqa: E402
from av_sep.datasets.solo_bank import SoloBank, open_bank  # noqa: E402
from av_sep.instruments import URMP_13  # noqa: E402

BATCH_SIZE = 32
PEAK_RATE = 2e-3
CALIBRATION_SEED = 1_000_003
CALIBRATION_BATCHES = 60
CALIBRATION_PLAYERS = 150
PLAYERS = 1800  # of every instrument: 2.3 GB for 13
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


def produce(
    writer, bank_dir: Path, leave_out: frozenset[str], seed: int, num_samples: int, first: int, last: int
) -> None:
    """Sends batches `first` to `last` of a run."""
    config = TaggerWindowConfig(num_samples)
    pool = draw_pool(open_sources(bank_dir, leave_out=leave_out), config, seed=seed, num_players=PLAYERS)
    send_batches(
        writer,
        lambda index: make_windows(pool, URMP_13, config, seed=seed, index=index, batch_size=BATCH_SIZE),
        first,
        last,
    )


def candidates_cross_entropy(labels, logits):
    """Binary cross-entropy over the candidates of every window, `[batch]`; others have the label `NO_CANDIDATE`."""
    from keras import ops

    asked = ops.cast(labels != NO_CANDIDATE, logits.dtype)
    losses = ops.binary_crossentropy(ops.maximum(labels, 0.0), logits, from_logits=True)
    return ops.sum(asked * losses, axis=-1) / ops.sum(asked, axis=-1)


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
    limit_threads()
    output.mkdir(parents=True, exist_ok=True)
    network = make_network()
    compile_network(network, steps, peak_rate, candidates_cross_entropy)
    step = resume(network, output, start)
    (output / "config.json").write_text(json.dumps({"steps": steps, "seed": seed, "leave_out": leave_out}))
    arguments = (bank, split_names(leave_out), seed, network.options["window_samples"])
    stream = (
        ({"waveform": waveforms, "candidates": candidates}, np.where(candidates == 1, labels, NO_CANDIDATE))
        for waveforms, candidates, labels in batches(produce, arguments, step, steps)
    )
    train_network(network, stream, output, step, steps)


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
    config, logits, labels = TaggerWindowConfig(network.options["window_samples"]), [], []
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
    limit_threads()
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
