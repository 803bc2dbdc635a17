"""The activity detector in its packaged form: `config.json` (options, what it was trained on) and `weights.npz`."""

from pathlib import Path

from audio.activity_detector.stream_detector import StreamActivityDetector
from audio.packaged import CONFIG, WEIGHTS, read_arrays, read_config, write_packaged

WEIGHTS_DIR = Path(__file__).parent / "weights"
ACTIVITY_DETECTOR_FILES = (WEIGHTS_DIR / CONFIG, WEIGHTS_DIR / WEIGHTS)


def load_activity_detector(directory: Path = WEIGHTS_DIR) -> StreamActivityDetector:
    """The packaged detector, or one that `save_activity_detector` wrote to another folder."""
    from audio.activity_detector.network import ActivityDetector

    network = ActivityDetector(**read_config(directory)["options"])
    network.set_weights(read_arrays(directory))
    return StreamActivityDetector(network)


def save_activity_detector(network, directory: Path, *, training: dict) -> None:
    """Writes a detector in its packaged form, weights as float16.

    Args:
        network: an `audio.activity_detector.network.ActivityDetector`.
        directory: folder to make.
        training: what it was trained on, for how long.
    """
    options = {name: value for name, value in network.get_config().items() if name != "name"}
    write_packaged(directory, {"options": options, "training": training}, network.get_weights())
