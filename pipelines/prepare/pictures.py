"""A track's film as records want it: JPEG pictures with who is seen where, one at a time."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from audio.records import RecordPicture
from av_sep.datasets.annotations import read_boxes
from av_sep.datasets.track import Track
from av_sep.errors import ParameterError
from av_sep.media import probe, video_frames
from av_sep.types import Detection, VideoFrame
from pipelines.detector_files import detector_states
from vision.detector import InstrumentDetector, create_detector

KNOWN = "known"  # a detector's name for the dataset's own boxes
_JPEG_QUALITY = 90
_MOST_FRAMES_PER_SECOND = 60


@dataclass(frozen=True)
class PictureConfig:
    """Which pictures of a film go into records.

    Attributes:
        frames_per_second: how many per second of video.
        max_height: higher pictures are scaled down to it.
        detector: what looks at them, as `vision.detector.create_detector` takes it; "known" takes the boxes that the
            dataset knows and None takes none.
    """

    frames_per_second: float = 1.0
    max_height: int = 360
    detector: str | None = KNOWN

    def __post_init__(self) -> None:
        if not 0 < self.frames_per_second <= _MOST_FRAMES_PER_SECOND:
            expected = f"Expected pictures per second above 0 and up to {_MOST_FRAMES_PER_SECOND}"
            raise ParameterError(f"{expected}. Received: {self.frames_per_second}")
        if self.max_height < 1:
            raise ParameterError(f"Expected a height of at least one pixel. Received: {self.max_height}")
        if self.detector not in (None, KNOWN):
            create_detector(self.detector)


def track_pictures(track: Track, config: PictureConfig) -> Iterator[RecordPicture]:
    """Pictures of a track's film in the order of time; none where it has no film.

    Raises:
        MediaError: where the film or the boxes cannot be read.
        ParameterError: for an unknown detector.
    """
    if track.video is None:
        return
    frames = video_frames(track.video, frames_per_second=config.frames_per_second, max_height=config.max_height)
    with closing(frames):
        for frame, detections in _seen(track, frames, config):
            yield RecordPicture(frame.time_seconds, _jpeg(frame.picture), json.dumps(detections))


def _seen(
    track: Track, frames: Iterator[VideoFrame], config: PictureConfig
) -> Iterator[tuple[VideoFrame, list[dict[str, Any]]]]:
    if config.detector in (None, KNOWN):
        known = KnownBoxes(track) if config.detector and track.boxes else None
        for frame in frames:
            yield frame, known.at(frame) if known else []
    else:
        name = str(config.detector)
        for frame, found in _detector(name, json.dumps(detector_states(name))).iter_detections(frames):
            yield frame, [_described(detection) for detection in found]


@lru_cache(maxsize=1)
def _detector(name: str, states: str) -> InstrumentDetector:
    """Loaded once in each process, and again where its files have changed."""
    return create_detector(name)


class KnownBoxes:
    """The boxes that a dataset knows of its players, for any instant of the film.

    Args:
        track: a track with `boxes` and `video`.

    Raises:
        MediaError: where the file of boxes cannot be read.
    """

    def __init__(self, track: Track):
        assert track.boxes is not None and track.video is not None
        table = read_boxes(track.boxes)
        self._height = probe(track.video).height or 1
        self._by_time = [rows for _, rows in table.groupby("time_seconds", sort=True)]
        self._times = np.unique(table["time_seconds"].to_numpy())

    def at(self, frame: VideoFrame) -> list[dict[str, Any]]:
        """Who is where in a picture: the latest known boxes, in pixels of this picture."""
        if not self._by_time:
            return []
        rows = self._by_time[max(0, int(np.searchsorted(self._times, frame.time_seconds + 1e-6)) - 1)]
        scale = frame.picture.shape[0] / self._height
        return [
            {
                "instrument": str(row.instrument),
                "confidence": 1.0,
                "box_xyxy": [round(float(edge) * scale, 1) for edge in (row.x1, row.y1, row.x2, row.y2)],
            }
            for row in rows.sort_values("player").itertuples()
        ]


def _described(detection: Detection) -> dict[str, Any]:
    return {
        "instrument": detection.instrument,
        "confidence": round(detection.confidence, 4),
        "box_xyxy": [round(edge, 1) for edge in detection.box_xyxy],
        "label_confidences": [round(value, 4) for value in detection.label_confidences],
    }


def _jpeg(picture: np.ndarray) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done
    return data.tobytes()
