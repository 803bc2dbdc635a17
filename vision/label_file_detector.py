"""Labels from a file in a detector's place: a person's, or those of an earlier run, as `av-sep annotate` writes them.

The file is a JSON object; what is not named here is passed over. At least one of the first three is needed.

    instruments    list of names: the stems that are to be written. It decides, whatever the rest of the file says.
    label_vector   name -> confidence in [0, 1]; instruments left out have 0
    detections     list of boxes, as `annotate` writes them; by hand, {"time_seconds": 1, "box_xyxy": [x1, y1, x2, y2],
                   "instrument": "violin"} is enough
    num_players    name -> how many players of an instrument there are; 1 where it does not say
    threshold      that `instruments` had reached; 0.4 where it does not say
    picture_size   {"width": …, "height": …} of the pictures that the boxes refer to; they are scaled to those looked at
    schema_version 1 or 2

A person corrects `instruments`, and need not touch the rest. An instrument listed there whose confidence is below the
threshold was added by hand, and its confidence becomes 1. In a detection, an `instrument` that is not the one with the
highest confidence was corrected by hand: the two change places.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from av_sep.errors import MediaError, ParameterError, shown
from av_sep.instruments import URMP_13, Taxonomy
from av_sep.media.files import require_readable
from av_sep.types import Detection, VideoFrame
from vision.detector import InstrumentDetector
from vision.instrument_classifier import OTHER
from vision.labels import DEFAULT_THRESHOLD, LOOKALIKES
from vision.players import check_picture

SCHEMA_VERSIONS = (1, 2)
TIME_TOLERANCE_SECONDS = 0.002  # times are written with three decimals
CONFIDENCE_TOLERANCE = 1e-3  # confidences with four


class LabelFileDetector(InstrumentDetector):
    """Repeats a file of labels instead of looking.

    A video frame gets the detections of the nearest annotated instant within half a step of the annotation, and after
    them one whole-frame detection with the file's labels, if the file has labels of the film. `pool_detections` makes
    exactly the file's list of `instruments` of it, if it has one.

    Args:
        path: the file.
        taxonomy: the instruments to report.

    Raises:
        MediaError: for a file that cannot be read or is no file of labels.
        ParameterError: for instruments outside the taxonomy, and files of a later version.
    """

    def __init__(self, path: str | Path, taxonomy: Taxonomy = URMP_13):
        self.taxonomy = taxonomy
        self.path = Path(path)
        content = _Content(_read_object(self.path), self.path, taxonomy)
        self._size = content.picture_size()
        self._given_players = content.given_players()
        self._label_vector = content.label_vector(self._given_players)
        detections = content.detections()
        if self._label_vector is None and detections is None:
            raise content.error("any of instruments, label_vector and detections", "none of them")
        # A vector without boxes is a statement about each instrument; nothing in it was taken for anything else.
        self.lookalikes = LOOKALIKES if detections else ()
        self._by_time: dict[float, list[Detection]] = {}
        for detection in detections or ():
            self._by_time.setdefault(detection.time_seconds, []).append(detection)
        self._times = np.array(sorted(self._by_time))
        self._reach_seconds = content.step_seconds(self._times) / 2 + TIME_TOLERANCE_SECONDS

    def detect_frame(self, video_frame: VideoFrame) -> list[Detection]:
        """What the file says of the instant nearest to that of the video frame."""
        check_picture(video_frame.picture)
        height, width = video_frame.picture.shape[:2]
        scale = np.array([1.0, 1.0] if self._size is None else [width / self._size[0], height / self._size[1]])
        found = [
            replace(detection, time_seconds=video_frame.time_seconds, box_xyxy=_scaled(detection.box_xyxy, scale))
            for detection in self._nearest(video_frame.time_seconds)
            if self._label_vector is None or not detection.whole_frame
        ]
        if self._label_vector is not None:
            found.append(self._whole_frame(video_frame.time_seconds, float(width), float(height), self._label_vector))
        return found

    def _nearest(self, time_seconds: float) -> list[Detection]:
        if not self._times.size:
            return []
        nearest = float(self._times[np.abs(self._times - time_seconds).argmin()])
        return self._by_time[nearest] if abs(nearest - time_seconds) <= self._reach_seconds else []

    def _whole_frame(self, time_seconds: float, width: float, height: float, label_vector: np.ndarray) -> Detection:
        best = int(label_vector.argmax())
        return Detection(
            time_seconds=time_seconds,
            box_xyxy=(0.0, 0.0, width, height),
            instrument=self.taxonomy.names[best] if label_vector[best] > 0 else OTHER,
            confidence=float(label_vector[best]),
            label_confidences=tuple(map(float, label_vector)),
            whole_frame=True,
            given_players=self._given_players,
        )


@dataclass(frozen=True)
class _Content:
    """The parts of a file of labels, each checked when it is asked for."""

    values: Mapping[str, Any]
    path: Path
    taxonomy: Taxonomy

    def error(self, expected: str, received: object) -> MediaError:
        return MediaError(f"Expected {expected} in the label file {shown(self.path)}. Received: {_short(received)}")

    def picture_size(self) -> tuple[float, float] | None:
        size = self.values.get("picture_size")
        if size is None:
            return None
        if not isinstance(size, Mapping):
            raise self.error("picture_size as width and height", size)
        width, height = (self._number(size.get(side), f"picture_size.{side} above 0", low=1) for side in _SIDES)
        return width, height

    def given_players(self) -> tuple[str, ...] | None:
        """The listed instruments, each once for every player of it, in the taxonomy's order."""
        names = self.values.get("instruments")
        if names is None:
            return None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self.error("instruments as a list of names", names)
        listed = [self._instrument(name) for name in names]
        wanted = f"a whole number of 1 to {_MOST_PLAYERS:,}"
        counts = self._by_instrument("num_players", wanted, low=1, high=_MOST_PLAYERS)
        for name, count in counts.items():
            if count != int(count):
                raise self.error(f"num_players.{name} as {wanted}", count)
        return tuple(
            name
            for name in self.taxonomy.names
            if name in listed
            for _ in range(max(listed.count(name), int(counts.get(name, 1))))
        )

    def label_vector(self, given_players: Sequence[str] | None) -> np.ndarray | None:
        """`[num_instruments]` in [0, 1]; None where the file has neither a vector nor a list."""
        if given_players is None and self.values.get("label_vector") is None:
            return None
        confidences = self._by_instrument("label_vector", "a confidence in [0, 1]", high=1)
        threshold = self.values.get("threshold")
        if threshold is None:
            threshold = DEFAULT_THRESHOLD
        threshold = self._number(threshold, "threshold in [0, 1]", high=1)
        for name in given_players or ():
            if confidences.get(name, 0.0) < threshold - CONFIDENCE_TOLERANCE or not confidences.get(name):
                confidences[name] = 1.0
        return np.array([confidences.get(name, 0.0) for name in self.taxonomy.names])

    def detections(self) -> list[Detection] | None:
        entries = self.values.get("detections")
        if entries is None:
            return None
        if not isinstance(entries, list):
            raise self.error("detections as a list", entries)
        return [self._detection(entry, f"detections[{i}]") for i, entry in enumerate(entries)]

    def step_seconds(self, times: np.ndarray) -> float:
        """Time between the instants looked at; unknown, and taken for a second, where there is but one."""
        steps = [float(np.median(np.diff(times)))] if len(times) > 1 else []
        duration, num_frames = (self.values.get(key) for key in ("duration_seconds", "num_video_frames"))
        if duration is not None and num_frames is not None and _is_number(duration) and _is_number(num_frames):
            # Instants at which nothing was seen are not in the file.
            steps += [duration / (num_frames - 1)] if num_frames > 1 and duration > 0 else []
        return min(steps, default=1.0)

    def _detection(self, entry: Any, where: str) -> Detection:
        if not isinstance(entry, Mapping):
            raise self.error(f"{where} as an object", entry)
        box = entry.get("box_xyxy")
        if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)) or box != _ordered(box):
            raise self.error(f"{where}.box_xyxy as [x1, y1, x2, y2] with x1 <= x2 and y1 <= y2", box)
        x1, y1, x2, y2 = map(float, box)
        instrument, confidences = self._confidences(entry, where)
        whole_frame = entry.get("whole_frame", False)
        if not isinstance(whole_frame, bool):
            raise self.error(f"{where}.whole_frame as true or false", whole_frame)
        index = self.taxonomy.index(instrument) if instrument in self.taxonomy.names else None
        stated = self._number(entry.get("confidence", 0.0), f"{where}.confidence in [0, 1]", high=1)
        return Detection(
            time_seconds=self._number(entry.get("time_seconds"), f"{where}.time_seconds of 0 or more"),
            box_xyxy=(x1, y1, x2, y2),
            instrument=instrument,
            confidence=stated if index is None else float(confidences[index]),
            label_confidences=tuple(map(float, confidences)),
            player_confidence=self._number(
                entry.get("player_confidence", 1.0), f"{where}.player_confidence in [0, 1]", high=1
            ),
            whole_frame=whole_frame,
        )

    def _confidences(self, entry: Mapping[str, Any], where: str) -> tuple[str, np.ndarray]:
        """Instrument and confidences `[num_instruments]` of a detection, the instrument's the highest."""
        name = entry.get("instrument")
        if name is not None and not isinstance(name, str):
            raise self.error(f"{where}.instrument as a name", name)
        is_other = name == OTHER and OTHER not in self.taxonomy.names
        instrument = OTHER if is_other else None if name is None else self._instrument(name)
        by_name = self._by_instrument("label_confidences", "a confidence in [0, 1]", high=1, inside=entry, where=where)
        if not by_name and instrument is None:
            raise self.error(f"{where} with an instrument or label_confidences", sorted(entry))
        if not by_name and not is_other:
            stated = self._number(entry.get("confidence", 1.0), f"{where}.confidence in [0, 1]", high=1)
            by_name = {str(instrument): stated}
        confidences = np.array([by_name.get(name, 0.0) for name in self.taxonomy.names])
        best = int(confidences.argmax())
        if instrument is None:
            return self.taxonomy.names[best], confidences
        if not is_other:
            named = self.taxonomy.index(instrument)
            if confidences[named] < confidences[best] - CONFIDENCE_TOLERANCE:
                confidences[[named, best]] = confidences[[best, named]]
        return instrument, confidences

    def _by_instrument(
        self,
        key: str,
        expected: str,
        low: float = 0,
        high: float = math.inf,
        inside: Mapping[str, Any] | None = None,
        where: str = "",
    ) -> dict[str, float]:
        """Instrument -> number, from an object whose keys are any spellings; empty where there is no such object."""
        place = f"{where}.{key}" if where else key
        table = (self.values if inside is None else inside).get(key)
        if table is None:
            return {}
        if not isinstance(table, Mapping):
            raise self.error(f"{place} as an object of instruments", table)
        return {
            self._instrument(name): self._number(value, f"{place}.{name} as {expected}", low, high)
            for name, value in table.items()
        }

    def _instrument(self, name: str) -> str:
        try:
            return self.taxonomy.parse(name)
        except ParameterError as error:
            raise ParameterError(f"{error} in the label file {shown(self.path)}") from None

    def _number(self, value: Any, expected: str, low: float = 0, high: float = math.inf) -> float:
        if not _is_number(value) or not low <= value <= high:
            raise self.error(expected, value)
        return float(value)


_SIDES = ("width", "height")
_MOST_PLAYERS = 1000  # of an instrument


def _read_object(path: Path) -> Mapping[str, Any]:
    if path.is_dir():
        raise ParameterError(f"Expected a label file (JSON), not a folder. Received: {shown(path)}")
    require_readable(path)
    try:
        values = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise MediaError(f"Expected a label file in JSON. Received: {shown(path)} ({reason})") from None
    if not isinstance(values, Mapping):
        raise MediaError(f"Expected a label file with an object. Received: {_short(values)} in {shown(path)}")
    version = values.get("schema_version", SCHEMA_VERSIONS[-1])
    if version not in SCHEMA_VERSIONS:
        expected = " or ".join(map(str, SCHEMA_VERSIONS))
        raise ParameterError(
            f"Expected a label file of schema_version {expected}; another av-sep may read it."
            f" Received: {_short(version)} in {shown(path)}"
        )
    return values


def _is_number(value: Any) -> bool:
    # Python takes true for 1, and reads NaN and numbers beyond any float from JSON.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _ordered(box: list) -> list:
    return [min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3])]


def _scaled(box_xyxy: Sequence[float], scale_xy: np.ndarray) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(value) for value in np.array(box_xyxy) * np.tile(scale_xy, 2))
    return x1, y1, x2, y2


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
