"""What every instrument detector can do, and how to get one by name.

A detector judges one video frame at a time, or a few where its network takes batches, so a film of any length needs the
memory of a few pictures.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13, Taxonomy
from av_sep.types import Detection, VideoFrame
from vision.labels import LOOKALIKES

DETECTOR_NAMES = ("embedded", "hub:<handle or folder>", "labels:<file>")
HUB_PREFIX, LABELS_PREFIX = "hub:", "labels:"
# Handles and files may have commas in their names: only one before the name of another detector divides.
_DIVIDING_COMMA = re.compile(r",\s*(?=embedded\s*(?:,|$)|hub:|labels:)")


class InstrumentDetector(Protocol):
    """Sees instruments in pictures. Adapters inherit from it and write `detect_frame`.

    Attributes:
        taxonomy: the instruments that `Detection.label_confidences` are ordered by.
        lookalikes: pairs that it takes for one another, as `vision.labels.pool_detections` wants them.
    """

    taxonomy: Taxonomy
    lookalikes: tuple[tuple[str, str], ...] = LOOKALIKES

    def visible_instruments(self) -> tuple[str, ...]:
        """The instruments of the taxonomy that it has a name for; of the others it can say nothing."""
        return self.taxonomy.names

    def detect_frame(self, video_frame: VideoFrame) -> list[Detection]:
        """Detections in one video frame, left to right; a whole-frame detection, where there is one, comes last."""
        ...

    def iter_detections(self, video_frames: Iterable[VideoFrame]) -> Iterator[tuple[VideoFrame, list[Detection]]]:
        """Each video frame with its detections, a few frames at a time at most; a caller keeps those it wants."""
        for video_frame in video_frames:
            yield video_frame, self.detect_frame(video_frame)

    def detect(self, video_frames: Iterable[VideoFrame]) -> list[Detection]:
        """All detections of a film in the order of its frames; the pictures are let go one by one."""
        return [detection for _, found in self.iter_detections(video_frames) for detection in found]


def create_detector(name: str = "embedded", taxonomy: Taxonomy = URMP_13) -> InstrumentDetector:
    """A detector by name. Nothing heavy is loaded before the first picture comes.

    Args:
        name: "embedded" (shipped with the package, no download), "hub:" and a TF-Hub handle or SavedModel folder,
            "labels:" and a file as `vision.label_file_detector` describes it; or several of these with commas between
            them, which are combined as `vision.ensemble_detector` describes. A comma divides only where one of the
            three follows, so handles and files may contain commas.
        taxonomy: the instruments to report.

    Raises:
        MediaError: for a file of labels that cannot be read.
        ParameterError: for an unknown name, with the nearest known one as a suggestion, and for one named twice.
    """
    names = split_names(name)
    if len(names) == 1:
        return _create_one(names[0], taxonomy)
    if len(set(names)) < len(names):
        raise ParameterError(f"Expected different detectors to combine. Received: {name!r}")
    from vision.ensemble_detector import EnsembleDetector

    return EnsembleDetector([_create_one(part, taxonomy) for part in names])


def split_names(name: str) -> list[str]:
    """The detectors that a name names, one or several with commas between them."""
    return [part.strip() for part in _DIVIDING_COMMA.split(name)]


def label_files(name: str) -> tuple[Path, ...]:
    """Files (or folders) of labels that a detector is, or is combined with.

    Raises:
        ParameterError: where one has no name.
    """
    named = [part for part in split_names(name) if part.startswith(LABELS_PREFIX)]
    for part in named:
        # `pathlib` would take nothing for the folder that one is in.
        if not part.removeprefix(LABELS_PREFIX).strip():
            raise _unknown_detector(part)
    return tuple(Path(part.removeprefix(LABELS_PREFIX).strip()) for part in named)


def has_given_labels(name: str) -> bool:
    """Whether a detector is, or is combined with, labels that somebody gave."""
    return bool(label_files(name))


def _create_one(name: str, taxonomy: Taxonomy) -> InstrumentDetector:
    if name == "embedded":
        return _embedded(taxonomy)
    if name.startswith(HUB_PREFIX) and name.removeprefix(HUB_PREFIX).strip():
        from vision.hub_detector import HubDetector

        return HubDetector(name.removeprefix(HUB_PREFIX).strip(), taxonomy=taxonomy)
    if name.startswith(LABELS_PREFIX) and name.removeprefix(LABELS_PREFIX).strip():
        from vision.label_file_detector import LabelFileDetector

        return LabelFileDetector(name.removeprefix(LABELS_PREFIX).strip(), taxonomy=taxonomy)
    raise _unknown_detector(name)


# Of a batch whose recordings have files of labels beside it, each asks for it anew; its networks take seconds.
@lru_cache(maxsize=1)
def _embedded(taxonomy: Taxonomy) -> InstrumentDetector:
    from vision.embedded_detector import EmbeddedDetector

    return EmbeddedDetector(taxonomy=taxonomy)


def _unknown_detector(name: str) -> ParameterError:
    expected = f"{', '.join(DETECTOR_NAMES)}, several of these with commas, or a joint model's .keras file."
    return ParameterError(f"Unknown detector.{_suggest(name)} Expected {expected} Received: {name!r}")


def _suggest(name: str) -> str:
    if name.strip().lower() in (HUB_PREFIX, LABELS_PREFIX):
        return f" What stands after {name.strip()!r} is missing."
    if name.lower().endswith(".json"):
        return f" Did you mean {LABELS_PREFIX + name!r}?"
    if "://" in name or "/" in name:
        return f" Did you mean {HUB_PREFIX + name!r}?"
    nearest = difflib.get_close_matches(name.strip().lower(), ("embedded", HUB_PREFIX, LABELS_PREFIX), n=1, cutoff=0.5)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""
