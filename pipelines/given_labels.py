"""Files of labels in a detector's place: which one a video's is, whether it is this video's, and what it says of sound
without pictures.
"""

import json
import os
from pathlib import Path

import numpy as np

from av_sep.errors import MediaError, shown
from av_sep.types import MediaInfo, VideoFrame
from pipelines.look import Looker, Sighting
from vision.detector import LABELS_PREFIX, label_files, split_names
from vision.labels import players_and_labels


def detector_for(detector: str, input_path: Path) -> str:
    """The detector of one input: of a folder of labels, the file that `annotate` names like the input.

    Args:
        detector: as `pipelines.joint.files.open_detector` takes it, or with folders in the place of files of labels.
        input_path: the video or sound file.

    Raises:
        MediaError: where the folder has no file for it.
    """
    return ",".join(_for_input(name, input_path) for name in split_names(detector))


def _for_input(name: str, input_path: Path) -> str:
    places = label_files(name)
    # Unlike `Path.is_dir` this raises nothing for a place out of reach.
    if not places or not os.path.isdir(places[0]):
        return name
    labels = places[0] / f"{input_path.stem}.json"
    if not os.path.isfile(labels):
        raise MediaError(
            f"Expected a file of labels for each input in the folder {shown(places[0])}, as annotate writes them."
            f" Received: {shown(input_path)}, without {shown(labels.name)}"
        )
    return f"{LABELS_PREFIX}{labels}"


def sighting_without_pictures(
    detector: str, info: MediaInfo, frames_per_second: float, threshold: float | None
) -> Sighting:
    """What files of labels say of a recording that has no pictures.

    Args:
        detector: with files of labels; whatever else it names is not asked.
        info: what the recording's headers say.
        frames_per_second: instants per second at which the files are asked, as a video's are.
        threshold: as `pipelines.look.Looker` takes it.

    Raises:
        MediaError, ParameterError: for a file that cannot be used.
    """
    names = ",".join(f"{LABELS_PREFIX}{place}" for place in label_files(detector))
    looker = Looker(names, frames_per_second=frames_per_second, threshold=threshold)
    files = looker.detector
    # The picture is not looked at; without boxes drawn on it its size is nobody's matter.
    blank = np.zeros((64, 64, 3), np.uint8)
    times = np.arange(max(1, round(info.duration_seconds * frames_per_second))) / frames_per_second
    found = tuple(files.detect(VideoFrame(float(time), blank) for time in times))
    players, labels = players_and_labels(found, files.taxonomy, looker.threshold, files.lookalikes)
    return Sighting(labels, found, shown=(), num_video_frames=0, size=(0, 0), players=players)


def remarks_on_origin(detector: str, info: MediaInfo) -> list[str]:
    """A line for each file of labels that was made of another film than this input, as far as it says what it was.

    Sound of the same name is taken for that film's.
    """
    return [remark for place in label_files(detector) if (remark := _remark_on_origin(place, info)) is not None]


def _remark_on_origin(place: Path, info: MediaInfo) -> str | None:
    try:
        content = json.loads(place.read_bytes().decode("utf-8-sig"))
        film, num_bytes = Path(content["input"]), content.get("input_file", {}).get("num_bytes")
        own_bytes = info.path.stat().st_size
    # Written by hand, it need not say what it was made of.
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if num_bytes == own_bytes or (not info.has_video and film.stem == info.path.stem):
        return None
    if film.name != info.path.name:
        return f"the labels ({shown(place)}) are those of another film, {shown(film.name)}"
    if num_bytes is None:
        return None
    return f"the labels ({shown(place)}) are those of another film of this name, of {num_bytes} bytes"
