"""Packs the best weights of a training run as a model of the package: float16 arrays and a config that says where from.

    python benchmarks/pack_weights.py runs/small audio/weights/conditioned_small
"""

import json
import sys
from pathlib import Path

import pandas as pd

from audio.models import save_packaged
from audio.wave_unet import WaveUNet

DESCRIPTION = "conditioned Wave-U-Net, 10 levels, 16 filters, 16 kHz, outer product at the bottleneck, 13 instruments"


def describe_run(run: Path) -> dict:
    """What a run did: its recipe and settings, and the step and validation loss of the weights it kept."""
    config = json.loads((run / "config.json").read_text())
    history = pd.read_csv(run / "history.csv")
    best = history.loc[history["val_loss"].idxmin()]
    settings = {name: value for name, value in config.items() if name != "model"}
    steps = (int(best["epoch"]) + 1) * config["steps_per_epoch"]
    return {**settings, "steps_of_kept_weights": steps, "val_loss_of_kept_weights": round(float(best["val_loss"]), 4)}


def main(run: Path, directory: Path) -> None:
    """Writes config.json and weights.npz to `directory`."""
    network = WaveUNet(**json.loads((run / "config.json").read_text())["model"])
    network.load_weights(run / "best.weights.h5")
    save_packaged(network.with_context(True), directory, description=DESCRIPTION, training=describe_run(run))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
