"""What every instrument detector can do, and how to get one by name.

A detector judges one video frame at a time, so a film of any length needs the memory of one picture.
"""

import difflib
from collections.abc import Iterable, Iterator
from typing import Protocol

from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13, Taxonomy
from av_sep.types import Detection, VideoFrame
from vision.labels import LOOKALIKES

DETECTOR_NAMES = ("embedded", "hub:<handle or folder>")
HUB_PREFIX = "hub:"


class InstrumentDetector(Protocol):
    """Sees instruments in pictures. Adapters inherit from it and write `detect_frame`.

    Attributes:
        taxonomy: the instruments that `Detection.label_confidences` are ordered by.
        lookalikes: pairs that it takes for one another, as `vision.labels.pool_detections` wants them.
    """

    taxonomy: Taxonomy
    lookalikes: tuple[tuple[str, str], ...] = LOOKALIKES

    def detect_frame(self, video_frame: VideoFrame) -> list[Detection]:
        """Detections in one video frame, left to right; a whole-frame detection, where there is one, comes last."""
        ...

    def iter_detections(self, video_frames: Iterable[VideoFrame]) -> Iterator[tuple[VideoFrame, list[Detection]]]:
        """Each video frame with its detections, one frame at a time, so that a caller keeps only those it wants."""
        for video_frame in video_frames:
            yield video_frame, self.detect_frame(video_frame)

    def detect(self, video_frames: Iterable[VideoFrame]) -> list[Detection]:
        """All detections of a film in the order of its frames; the pictures are let go one by one."""
        return [detection for _, found in self.iter_detections(video_frames) for detection in found]


def create_detector(name: str = "embedded", taxonomy: Taxonomy = URMP_13) -> InstrumentDetector:
    """A detector by name. Nothing heavy is loaded before the first picture comes.

    Args:
        name: "embedded" (shipped with the package, no download), or "hub:" and a TF-Hub handle or SavedModel folder.
        taxonomy: the instruments to report.

    Raises:
        ParameterError: for an unknown name, with the nearest known one as a suggestion.
    """
    if name == "embedded":
        from vision.embedded_detector import EmbeddedDetector

        return EmbeddedDetector(taxonomy=taxonomy)
    if name.startswith(HUB_PREFIX) and name.removeprefix(HUB_PREFIX).strip():
        from vision.hub_detector import HubDetector

        return HubDetector(name.removeprefix(HUB_PREFIX).strip(), taxonomy=taxonomy)
    expected = " or ".join(DETECTOR_NAMES)
    raise ParameterError(f"Unknown detector.{_suggest(name)} Expected {expected}. Received: {name!r}")


def _suggest(name: str) -> str:
    if "://" in name or "/" in name:
        return f" Did you mean {HUB_PREFIX + name!r}?"
    nearest = difflib.get_close_matches(name.strip().lower(), ("embedded", "hub:"), n=1, cutoff=0.5)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""
