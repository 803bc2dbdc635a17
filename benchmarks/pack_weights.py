"""Packs the best weights of a training run as a model of the package: float16 arrays and a config that says where from.

    python benchmarks/pack_weights.py runs/wide audio/weights/log_frequency "conditioned network on …, 22 kHz"

Name the runs whose weights it started from with `--after`, in order: their settings and steps are told as well.
"""

import json
from pathlib import Path

import click
import keras
import pandas as pd

from audio.models import save_packaged
from audio.networks import NETWORKS  # noqa: F401, so that Keras knows the classes


def describe_run(run: Path) -> dict:
    """What a run did: its recipe and settings, and the step and validation loss of the weights it kept."""
    config = json.loads((run / "config.json").read_text())
    history = pd.read_csv(run / "history.csv")
    best = history.loc[history["val_loss"].idxmin()]
    # Of where it started only the earlier runs' own entries speak: a path means nothing elsewhere, nor does a digest.
    left_out = ("model", "start_from", "data_digest")
    settings = {name: value for name, value in config.items() if name not in left_out}
    return {
        **settings,
        "steps_of_kept_weights": int(best["step"]),
        "val_loss_of_kept_weights": round(float(best["val_loss"]), 4),
    }


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("description")
@click.option("--after", multiple=True, type=click.Path(exists=True, path_type=Path), help="Runs that came before.")
@click.option("--share-notes", is_flag=True, help="Separators share its estimates out anew by notes.")
def main(run: Path, directory: Path, description: str, after: tuple[Path, ...], share_notes: bool) -> None:
    """Writes config.json and weights.npz to `directory`."""
    network = keras.saving.load_model(run / "best.keras", compile=False)
    training = {"runs": [describe_run(folder) for folder in (*after, run)]}
    save_packaged(
        network.for_inference(), directory, description=description, training=training, shares_notes=share_notes
    )


if __name__ == "__main__":
    main()
