"""The tagger in its packaged form: `config.json` (options, calibration, what it was trained on) and `weights.npz`."""

from collections.abc import Sequence
from pathlib import Path

from audio.packaged import CONFIG, WEIGHTS, read_arrays, read_config, write_packaged
from audio.tagger.stream_tagger import StreamTagger

WEIGHTS_DIR = Path(__file__).parent / "weights"
TAGGER_FILES = (WEIGHTS_DIR / CONFIG, WEIGHTS_DIR / WEIGHTS)


def load_tagger(directory: Path = WEIGHTS_DIR) -> StreamTagger:
    """The packaged tagger, or one that `save_tagger` wrote to another folder."""
    from audio.tagger.network import InstrumentTagger

    config = read_config(directory)
    network = InstrumentTagger(**config["options"])
    network.set_weights(read_arrays(directory))
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
    options = {**network.options, "instruments": list(network.instruments), "filters": list(network.options["filters"])}
    config = {"options": options, "temperature": temperature, "bias": list(bias), "training": training}
    write_packaged(directory, config, network.get_weights())
