"""What the vision stage said of one film beside what is true of it, in a form that can be kept and read back.

Conventions:
    All boxes of a judgement are in pixels of one picture size, that of the pictures looked at, which may be smaller
    than the film's. Times are seconds from the start of the film; the pictures were taken at 0, 1/fps, 2/fps, ...
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from av_sep.datasets.annotations import read_boxes
from av_sep.datasets.track import Track
from av_sep.errors import ParameterError
from av_sep.types import Detection, InstrumentLabels, MediaInfo
from pipelines.look import Sighting

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class KnownBox:
    """Where a player is at one instant, and what he plays.

    Attributes:
        time_seconds: when.
        player: his number or name, as the dataset has it.
        instrument: long name.
        box_xyxy: where, `(x1, y1, x2, y2)`.
    """

    time_seconds: float
    player: str
    instrument: str
    box_xyxy: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class VideoJudgement:
    """One film, looked at.

    Attributes:
        track: unique among the films judged together.
        true: instruments that play, each once.
        labels: what the vision stage said.
        detections: what it saw, in the pictures looked at.
        boxes: where the players are known to be; None where nobody knows, and for detectors that judge whole pictures
            and so have no boxes to compare.
        size: width and height in pixels of the pictures that all boxes refer to.
        num_video_frames: how many pictures were looked at.
        frames_per_second: how many of them per second.
    """

    track: str
    true: tuple[str, ...]
    labels: InstrumentLabels
    detections: tuple[Detection, ...]
    boxes: tuple[KnownBox, ...] | None
    size: tuple[int, int]
    num_video_frames: int
    frames_per_second: float

    def to_json(self) -> dict[str, Any]:
        """As plain values that `json` can write; `from_json` gives back an equal judgement, to the last bit."""
        return {
            **vars(self),
            "labels": labels_to_json(self.labels),
            "detections": [asdict(detection) for detection in self.detections],
            "boxes": None if self.boxes is None else [asdict(box) for box in self.boxes],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "VideoJudgement":
        """A judgement from `to_json`'s values, lists standing for tuples where `json` made them so.

        Raises:
            ParameterError: for anything else.
        """
        try:
            return cls(
                track=content["track"],
                true=tuple(content["true"]),
                labels=labels_from_json(content["labels"]),
                detections=tuple(Detection(**_tuples(values)) for values in content["detections"]),
                boxes=None if content["boxes"] is None else tuple(KnownBox(**_tuples(b)) for b in content["boxes"]),
                size=tuple(content["size"]),
                num_video_frames=content["num_video_frames"],
                frames_per_second=content["frames_per_second"],
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ParameterError(
                f"Expected a judgement of a film as it was kept. Received: {type(error).__name__}: {error}"
            ) from error


def judge_video(
    track: Track,
    instruments: Sequence[str],
    info: MediaInfo,
    sighting: Sighting,
    frames_per_second: float,
    *,
    compare_boxes: bool = True,
) -> VideoJudgement:
    """Puts what was seen in a track's film beside what is known of it.

    Args:
        track: whose film it is; its known boxes are read where it has any.
        instruments: that play in it.
        info: of the film.
        sighting: what was seen.
        frames_per_second: at which it was looked at.
        compare_boxes: False for a detector that judges whole pictures.

    Raises:
        MediaError: for known boxes that cannot be read.
    """
    boxes = None
    if track.boxes is not None and compare_boxes:
        assert info.width and info.height, "a film that was looked at has a size"
        scale = sighting.size[0] / info.width, sighting.size[1] / info.height
        boxes = known_boxes(read_boxes(track.boxes), scale)
    return VideoJudgement(
        track=track.name,
        true=tuple(instruments),
        labels=sighting.labels,
        detections=sighting.detections,
        boxes=boxes,
        size=sighting.size,
        num_video_frames=sighting.num_video_frames,
        frames_per_second=frames_per_second,
    )


def known_boxes(table: "pandas.DataFrame", scale_xy: tuple[float, float] = (1.0, 1.0)) -> tuple[KnownBox, ...]:
    """Known boxes from a table as `read_boxes` gives it.

    Args:
        table: one row per box.
        scale_xy: pixels wanted per pixel of the table, across and down.
    """
    corners = table[["x1", "y1", "x2", "y2"]].to_numpy(float) * np.array([*scale_xy, *scale_xy])
    columns = (table[name] for name in ("time_seconds", "player", "instrument"))
    return tuple(
        KnownBox(float(time_seconds), str(player), str(instrument).strip(), (x1, y1, x2, y2))
        for time_seconds, player, instrument, (x1, y1, x2, y2) in zip(*columns, corners.tolist())
    )


def labels_to_json(labels: InstrumentLabels) -> dict[str, Any]:
    """Labels as plain values that `json` can write."""
    vector = [float(value) for value in labels.label_vector]
    return {**vars(labels), "label_vector": vector, "num_players": dict(labels.num_players)}


def labels_from_json(content: Mapping[str, Any]) -> InstrumentLabels:
    """Equal labels from `labels_to_json`'s values, lists standing for tuples where `json` made them so."""
    values = _tuples(content)
    return InstrumentLabels(**{**values, "label_vector": np.array(values["label_vector"], np.float32)})


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
