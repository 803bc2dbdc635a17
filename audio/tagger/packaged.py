"""The tagger in its packaged form: `config.json` (options, calibration, what it was trained on) and `weights.npz`."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from audio.tagger.stream_tagger import StreamTagger

WEIGHTS_DIR = Path(__file__).parent / "weights"
TAGGER_FILES = (WEIGHTS_DIR / "config.json", WEIGHTS_DIR / "weights.npz")


def load_tagger(directory: Path = WEIGHTS_DIR) -> StreamTagger:
    """The packaged tagger, or one that `save_tagger` wrote to another folder."""
    from audio.tagger.network import InstrumentTagger

    config = json.loads((directory / "config.json").read_text())
    network = InstrumentTagger(**config["options"])
    with np.load(directory / "weights.npz") as archive:
        network.set_weights([archive[name].astype(np.float32) for name in sorted(archive.files)])
    return StreamTagger(network, temperature=config["temperature"], bias=config["bias"])


def save_tagger(network, directory: Path, temperature: float, bias: Sequence[float], *, training: dict) -> None:
    """Writes a tagger in its packaged form, weights as float16.

    Args:
        network: an `audio.tagger.network.InstrumentTagger`.
        directory: folder to make.
        temperature: see `StreamTagger`.
        bias: likewise.
        training: what it was trained on, for how long.
    """
    directory.mkdir(parents=True, exist_ok=True)
    options = {**network.options, "instruments": list(network.instruments), "filters": list(network.options["filters"])}
    config = {"options": options, "temperature": temperature, "bias": list(bias), "training": training}
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {f"w{i:03d}": array.astype(np.float16) for i, array in enumerate(network.get_weights())}
    np.savez_compressed(directory / "weights.npz", **weights)
