"""Instrument detection with any TF-Hub or SavedModel detector that has the Open Images signature.

Such a model takes `images` float32 `[1, height, width, 3]` in [0, 1] and gives `detection_boxes` `[num_boxes, 4]`
(ymin, xmin, ymax, xmax as fractions of the picture), `detection_class_entities` `[num_boxes]` (English names as bytes)
and `detection_scores` `[num_boxes]`. Its boxes lie around instruments, not around players.

Open Images names only 8 of the 13 URMP instruments: see `OPEN_IMAGES_NAMES`. Viola, double bass, clarinet, bassoon and
tuba are invisible to it, and their confidence is always 0: a viola, for instance, will most likely be called a violin.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import URMP_13, Taxonomy
from av_sep.types import Detection, VideoFrame
from vision.detector import InstrumentDetector
from vision.players import box_overlaps, check_picture

OPEN_IMAGES_NAMES = {
    "Violin": "violin",
    "Cello": "cello",
    "Flute": "flute",
    "Oboe": "oboe",
    "Saxophone": "saxophone",
    "Trumpet": "trumpet",
    "French horn": "horn",
    "Trombone": "trombone",
}
OUTPUT_NAMES = ("detection_boxes", "detection_class_entities", "detection_scores")


class HubDetector(InstrumentDetector):
    """Runs an Open Images detector and translates its names and boxes.

    Args:
        handle: TF-Hub handle (https://…) or the folder of a SavedModel. It is loaded at the first picture.
        taxonomy: the instruments to report.
        min_confidence: boxes below it are dropped.
        max_overlap: boxes that overlap more (intersection over union) are one instrument seen with several names.
    """

    def __init__(
        self, handle: str, taxonomy: Taxonomy = URMP_13, min_confidence: float = 0.1, max_overlap: float = 0.6
    ):
        self.handle = handle
        self.taxonomy = taxonomy
        self.min_confidence = min_confidence
        self.max_overlap = max_overlap
        self._network: Callable[..., Any] | None = None

    def visible_instruments(self) -> tuple[str, ...]:
        """The instruments of the taxonomy that Open Images has a name for; the others are never reported."""
        return tuple(name for name in self.taxonomy.names if name in OPEN_IMAGES_NAMES.values())

    def detect_frame(self, video_frame: VideoFrame) -> list[Detection]:
        """Instruments in one video frame, left to right."""
        check_picture(video_frame.picture)
        if self._network is None:
            self._network = load_hub_network(self.handle)
        height, width = video_frame.picture.shape[:2]
        outputs = self._network(video_frame.picture.astype(np.float32)[None] / 255.0)
        boxes, names, scores = (_drop_batch_axis(outputs[key], rank) for key, rank in zip(OUTPUT_NAMES, (2, 1, 1)))
        boxes_xyxy = np.clip(boxes[:, [1, 0, 3, 2]], 0.0, 1.0) * np.array([width, height, width, height], np.float64)
        confidences = self._translate(names, scores)
        detections = [
            self._make_detection(video_frame.time_seconds, *merged)
            for merged in _merge_boxes(boxes_xyxy, confidences, self.min_confidence, self.max_overlap)
        ]
        return sorted(detections, key=lambda detection: detection.box_xyxy[0] + detection.box_xyxy[2])

    def _translate(self, names: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Confidences `[num_boxes, num_instruments]`; a row of zeros for what is no instrument of the taxonomy."""
        confidences = np.zeros((len(names), len(self.taxonomy)))
        for row, (name, score) in enumerate(zip(names, scores)):
            text = name.decode("utf-8") if isinstance(name, bytes) else str(name)
            instrument = OPEN_IMAGES_NAMES.get(text)
            if instrument in self.taxonomy.names:
                confidences[row, self.taxonomy.index(instrument)] = min(max(float(score), 0.0), 1.0)
        return confidences

    def _make_detection(self, time_seconds: float, box_xyxy: np.ndarray, confidences: np.ndarray) -> Detection:
        best = int(np.argmax(confidences))
        x1, y1, x2, y2 = map(float, box_xyxy)
        return Detection(
            time_seconds=time_seconds,
            box_xyxy=(x1, y1, x2, y2),
            instrument=self.taxonomy.names[best],
            confidence=float(confidences[best]),
            label_confidences=tuple(map(float, confidences)),
        )


def load_hub_network(handle: str) -> Callable[[np.ndarray], dict[str, Any]]:
    """The detector behind a handle: images float32 `[1, height, width, 3]` in [0, 1] to its named NumPy outputs.

    Raises:
        MediaError: where the model cannot be fetched or read.
        ParameterError: where it has no signature with the Open Images outputs.
    """
    import tensorflow as tf

    with warnings.catch_warnings():
        # tensorflow_hub still imports pkg_resources, which warns that it will go; the user can do nothing about it.
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        import tensorflow_hub as hub
    try:
        module = hub.load(handle)
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise MediaError(
            "Expected a TF-Hub handle that can be fetched, or the folder of a SavedModel."
            f" Received: {handle!r} ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        ) from error
    signature = _find_signature(module, handle)

    def network(images: np.ndarray) -> dict[str, Any]:
        # `module` is named here so that it lives as long as the function: TensorFlow frees its graph with it.
        assert module is not None
        argument = next(iter(signature.structured_input_signature[1]))
        return {key: value.numpy() for key, value in signature(**{argument: tf.constant(images)}).items()}

    return network


def _find_signature(module: Any, handle: str) -> Any:
    signatures = getattr(module, "signatures", {})
    for name in ("default", "serving_default", *signatures):
        if name in signatures and set(OUTPUT_NAMES) <= set(signatures[name].structured_outputs):
            return signatures[name]
    raise ParameterError(
        f"Expected a detector with the outputs {', '.join(OUTPUT_NAMES)} (the Open Images signature)."
        f" Received: {handle!r} with {sorted(signatures) or 'no signatures'}"
    )


def _drop_batch_axis(values: np.ndarray, rank: int) -> np.ndarray:
    """Outputs come as documented or with a batch axis of 1 in front."""
    values = np.asarray(values)
    return values[0] if values.ndim == rank + 1 else values


def _merge_boxes(
    boxes_xyxy: np.ndarray, confidences: np.ndarray, min_confidence: float, max_overlap: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """One (box, confidences `[num_instruments]`) per group of overlapping boxes: the surest box, the highest values."""
    left = np.flatnonzero(confidences.max(axis=1, initial=0.0) >= max(min_confidence, np.finfo(float).tiny))
    left = left[np.argsort(-confidences[left].max(axis=1, initial=0.0), kind="stable")]
    merged = []
    while left.size:
        same = box_overlaps(boxes_xyxy[left[:1]], boxes_xyxy[left])[0] > max_overlap
        same[0] = True  # an empty box overlaps nothing, not even itself
        merged.append((boxes_xyxy[left[0]], confidences[left[same]].max(axis=0)))
        left = left[~same]
    return merged
