"""Instrument detection with any TF-Hub or SavedModel detector that has the Open Images signature.

Such a model takes `images` float32 `[1, height, width, 3]` in [0, 1] and gives `detection_boxes` `[num_boxes, 4]`
(ymin, xmin, ymax, xmax as fractions of the picture), `detection_class_entities` `[num_boxes]` (English names as bytes)
and `detection_scores` `[num_boxes]`; some give `detection_class_names` (identifiers) as well. Its boxes lie around
instruments, not around players. The Open Images modules of TF-Hub take one picture at a time; a model whose signature
leaves the number of pictures open, and whose outputs have a batch axis, gets `BATCH_SIZE` at once.

Open Images names only 8 of the 13 URMP instruments: see `vision.open_images`. Viola, double bass, clarinet, bassoon and
tuba are invisible to it, and their confidence is always 0: a viola, for instance, will most likely be called a violin.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import URMP_13, Taxonomy
from av_sep.types import Detection, VideoFrame
from vision.detector import InstrumentDetector
from vision.instrument_classifier import OTHER
from vision.open_images import ENTITIES, INSTRUMENTS
from vision.players import box_overlaps, check_picture

OUTPUT_NAMES = ("detection_boxes", "detection_class_entities", "detection_scores")
IDENTIFIERS = "detection_class_names"
BATCH_SIZE = 4  # pictures of a film; as floats, four of 1080 lines are 100 MB


@dataclass(frozen=True)
class HubNetwork:
    """A detector that was loaded.

    Attributes:
        predict: images float32 `[batch, height, width, 3]` in [0, 1] to the named outputs.
        takes_batches: whether `batch` may be more than 1; the outputs then have a batch axis.
    """

    predict: Callable[[np.ndarray], Mapping[str, np.ndarray]]
    takes_batches: bool


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
        self._network: HubNetwork | None = None
        if not self.visible_instruments():
            known = ", ".join(dict.fromkeys(entity.instrument for entity in ENTITIES))
            raise ParameterError(
                f"Expected a taxonomy with at least one of {known}, the instruments that Open Images names."
                f" Received: {taxonomy.name} ({', '.join(taxonomy.names)})"
            )

    def visible_instruments(self) -> tuple[str, ...]:
        """The instruments of the taxonomy that Open Images has a name for; the others are never reported."""
        return tuple(name for name in self.taxonomy.names if name in INSTRUMENTS.values())

    def detect_frame(self, video_frame: VideoFrame) -> list[Detection]:
        """Instruments in one video frame, left to right.

        Where there is none, one whole-frame detection without any confidence: that a frame was looked at counts when
        detections are pooled over time.
        """
        return self._detect_batch([video_frame])[0]

    def iter_detections(self, video_frames: Iterable[VideoFrame]) -> Iterator[tuple[VideoFrame, list[Detection]]]:
        """Each video frame with its detections; frames go through the network together where it takes batches."""
        batch: list[VideoFrame] = []
        for video_frame in video_frames:
            if batch and (len(batch) == self._batch_size() or batch[0].picture.shape != video_frame.picture.shape):
                yield from zip(batch, self._detect_batch(batch))
                batch = []
            batch.append(video_frame)
        if batch:
            yield from zip(batch, self._detect_batch(batch))

    def _batch_size(self) -> int:
        return BATCH_SIZE if self._load().takes_batches else 1

    def _load(self) -> HubNetwork:
        if self._network is None:
            self._network = load_hub_network(self.handle)
        return self._network

    def _detect_batch(self, video_frames: list[VideoFrame]) -> list[list[Detection]]:
        """Detections of frames of one size."""
        for video_frame in video_frames:
            check_picture(video_frame.picture)
        network = self._load()
        images = np.stack([video_frame.picture for video_frame in video_frames]).astype(np.float32) / 255.0
        outputs = network.predict(images)
        named = {key: outputs[key] for key in (*OUTPUT_NAMES, IDENTIFIERS) if key in outputs}
        return [
            self._read_outputs(video_frame, {key: _of_picture(values, key, i) for key, values in named.items()})
            for i, video_frame in enumerate(video_frames)
        ]

    def _read_outputs(self, video_frame: VideoFrame, outputs: Mapping[str, np.ndarray]) -> list[Detection]:
        height, width = video_frame.picture.shape[:2]
        boxes, names, scores = (outputs[key] for key in OUTPUT_NAMES)
        boxes_xyxy = np.clip(boxes[:, [1, 0, 3, 2]], 0.0, 1.0) * np.array([width, height, width, height], np.float64)
        confidences = self._translate(names, outputs.get(IDENTIFIERS, names), scores)
        merged = _merge_boxes(boxes_xyxy, confidences, self.min_confidence, self.max_overlap)
        if not merged:
            return [self._see_nothing(video_frame.time_seconds, width, height)]
        detections = [self._make_detection(video_frame.time_seconds, *pair) for pair in merged]
        return sorted(detections, key=lambda detection: detection.box_xyxy[0] + detection.box_xyxy[2])

    def _translate(self, names: np.ndarray, identifiers: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Confidences `[num_boxes, num_instruments]`; a row of zeros for what is no instrument of the taxonomy."""
        confidences = np.zeros((len(names), len(self.taxonomy)))
        for row, (name, identifier, score) in enumerate(zip(names, identifiers, scores)):
            instrument = INSTRUMENTS.get(_text(name)) or INSTRUMENTS.get(_text(identifier))
            if instrument in self.taxonomy.names:
                confidences[row, self.taxonomy.index(instrument)] = min(max(float(score), 0.0), 1.0)
        return confidences

    def _see_nothing(self, time_seconds: float, width: int, height: int) -> Detection:
        box = (0.0, 0.0, float(width), float(height))
        return Detection(time_seconds, box, OTHER, 0.0, (0.0,) * len(self.taxonomy), whole_frame=True)

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


def load_hub_network(handle: str) -> HubNetwork:
    """The detector behind a handle.

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

    (argument, spec), *_ = signature.structured_input_signature[1].items()

    def predict(images: np.ndarray) -> dict[str, np.ndarray]:
        # `module` is named here so that it lives as long as the function: TensorFlow frees its graph with it.
        assert module is not None
        return {key: np.asarray(value) for key, value in signature(**{argument: tf.constant(images)}).items()}

    return HubNetwork(predict, _is_open(spec) and all(map(_is_open, _outputs(signature, OUTPUT_NAMES, (3, 2, 2)))))


def _outputs(signature: Any, names: Iterable[str], ranks: Iterable[int]) -> Iterator[Any]:
    """The specs of outputs, None for one that has not the rank it must have with a batch axis."""
    for name, rank in zip(names, ranks):
        spec = signature.structured_outputs[name]
        yield spec if spec.shape.rank == rank else None


def _is_open(spec: Any) -> bool:
    return spec is not None and spec.shape.rank is not None and spec.shape[0] is None


def _find_signature(module: Any, handle: str) -> Any:
    signatures = getattr(module, "signatures", {})
    for name in ("default", "serving_default", *signatures):
        if name in signatures and set(OUTPUT_NAMES) <= set(signatures[name].structured_outputs):
            return signatures[name]
    raise ParameterError(
        f"Expected a detector with the outputs {', '.join(OUTPUT_NAMES)} (the Open Images signature)."
        f" Received: {handle!r} with {sorted(signatures) or 'no signatures'}"
    )


def _of_picture(values: np.ndarray, key: str, position: int) -> np.ndarray:
    """One picture's part of an output, which comes as documented or with a batch axis in front."""
    rank = 2 if key == OUTPUT_NAMES[0] else 1
    return values[position] if values.ndim == rank + 1 else values


def _text(name: object) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


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
