"""The half of a joint model that looks, as a detector for whole films."""

import numpy as np
import tensorflow as tf

from av_sep.instruments import find_taxonomy
from av_sep.types import Detection, VideoFrame
from pipelines.joint.model import JointModel
from vision.detector import InstrumentDetector
from vision.instrument_classifier import OTHER

SURE = 0.5  # below it, the likeliest instrument is more likely not there


class JointDetector(InstrumentDetector):
    """One detection per video frame, of the whole frame, with the confidence of every instrument in it.

    Confidences do not compete: a viola may be as sure as the violin beside it, so none is taken for the other.

    Args:
        model: a joint model.
    """

    lookalikes = ()

    def __init__(self, model: JointModel):
        self.model = model
        self.taxonomy = find_taxonomy(model.source_names)
        self._see = tf.function(model.see) if _is_tensorflow() else model.see

    def detect_frame(self, video_frame: VideoFrame) -> list[Detection]:
        """The whole frame."""
        # As the input pipeline brings pictures to their size.
        resized = tf.image.resize(video_frame.picture, self.model.options["picture_size"], antialias=True)
        picture = np.clip(np.round(resized.numpy()), 0, 255).astype(np.uint8)
        confidences = np.asarray(self._see(picture[None], np.ones(1, np.float32)))[0]
        likeliest = int(confidences.argmax())
        height, width = video_frame.picture.shape[:2]
        return [
            Detection(
                time_seconds=video_frame.time_seconds,
                box_xyxy=(0.0, 0.0, float(width), float(height)),
                instrument=self.taxonomy.names[likeliest] if confidences[likeliest] >= SURE else OTHER,
                confidence=float(confidences[likeliest]),
                label_confidences=tuple(map(float, confidences)),
                whole_frame=True,
            )
        ]


def _is_tensorflow() -> bool:
    import keras

    return keras.backend.backend() == "tensorflow"
