r"""Trains the activity detector on mixtures of a bank of solo lines (see `benchmarks/make_solo_bank.py`).

    python benchmarks/train_activity_detector.py train --bank BANK --output FIRST --steps 6000
    python benchmarks/train_activity_detector.py train --bank BANK --output SECOND --steps 5000 --seed 1 \
        --peak-rate 6e-4 --start FIRST
    python benchmarks/train_activity_detector.py pack --run SECOND --output DIRECTORY

A first stage starts from the packaged tagger: its blocks and its evidence of moments, but for its attention. A run that
was stopped goes on where it ended. Every batch is a pure function of (seed, step).
"""

import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click  # noqa: E402
import numpy as np  # noqa: E402
from network_training import batches, compile_network, limit_threads, resume, send_batches  # noqa: E402
from network_training import train as train_network  # noqa: E402

from audio.activity_detector.mixtures import draw_leveled_pool, make_resting_windows, resting_windows  # noqa: E402
from av_sep.datasets.solo_bank import open_bank  # noqa: E402
from av_sep.instruments import URMP_13  # noqa: E402

WINDOW_SAMPLES = 98304
BATCH_SIZE = 32
PEAK_RATE = 1e-3
CLIP_NORM = 1.0
DROPOUT = 0.1
EMA_MOMENTUM = 0.998
PLAYERS = 800  # of every instrument: 2 GB for 13
NOT_ASKED = -1.0


def make_network():
    """The detector as it is packaged."""
    from audio.activity_detector.network import ActivityDetector

    return ActivityDetector(URMP_13.names, window_samples=WINDOW_SAMPLES, dropout=DROPOUT)


def start_from_tagger(network, tagger) -> None:
    """Takes over a tagger's layers of the same names, and its evidence; what is new is left as it is."""
    ours = {layer.name: layer for layer in network.layers}
    for layer in tagger.layers:
        if layer.name in ours and layer.name != "spectrogram":
            ours[layer.name].set_weights(layer.get_weights())
    ours["evidence"].set_weights(tagger.get_layer("instruments").evidence.get_weights())


def asked_cross_entropy(targets, logits):
    """Binary cross-entropy over the moments and candidates that are asked for; others have the target `NOT_ASKED`."""
    from keras import ops

    asked = ops.cast(targets != NOT_ASKED, logits.dtype)
    losses = ops.binary_crossentropy(ops.maximum(targets, 0.0), logits, from_logits=True)
    # Over the batch at once: a window in which hardly anything is asked for must not weigh like others.
    return ops.sum(asked * losses) / ops.maximum(ops.sum(asked), 1.0)


def produce(writer, bank_dir: Path, seed: int, window_samples: int, moment_samples: int, first: int, last: int) -> None:
    """Sends batches `first` to `last` of a run."""
    config = resting_windows(window_samples, moment_samples)
    pool = draw_leveled_pool(open_bank(bank_dir, "train"), config, seed=seed, num_players=PLAYERS)
    send_batches(
        writer,
        lambda index: make_resting_windows(pool, URMP_13, config, seed=seed, index=index, batch_size=BATCH_SIZE),
        first,
        last,
    )


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@click.option("--bank", required=True, type=click.Path(path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path))
@click.option("--steps", default=6000, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--peak-rate", default=PEAK_RATE, show_default=True, help="Learning rate after the warm-up.")
@click.option("--start", type=click.Path(path_type=Path), help="Run whose final weights to start from.")
def train(bank: Path, output: Path, steps: int, seed: int, peak_rate: float, start: Path | None) -> None:
    """Train one stage."""
    limit_threads()
    output.mkdir(parents=True, exist_ok=True)
    network = make_network()
    if start is None:
        from audio.tagger import load_tagger

        start_from_tagger(network, load_tagger().network)
    averages = {"use_ema": True, "ema_momentum": EMA_MOMENTUM, "ema_overwrite_frequency": None}
    compile_network(network, steps, peak_rate, asked_cross_entropy, clipnorm=CLIP_NORM, **averages)
    step = resume(network, output, start)
    (output / "config.json").write_text(json.dumps({"steps": steps, "seed": seed}))
    arguments = (bank, seed, network.options["window_samples"], network.moment_samples)
    stream = (
        ({"waveform": waveforms, "candidates": candidates}, np.where(asked == 1, plays, NOT_ASKED))
        for waveforms, candidates, plays, asked in batches(produce, arguments, step, steps)
    )
    train_network(network, stream, output, step, steps)


@main.command()
@click.option("--run", required=True, type=click.Path(path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path))
def pack(run: Path, output: Path) -> None:
    """Write the packaged form of a stage."""
    from audio.activity_detector.packaged import save_activity_detector

    network = make_network()
    network.load_weights(run / "final.weights.h5")
    save_activity_detector(network, output, training=json.loads((run / "config.json").read_text()))


if __name__ == "__main__":
    main()
