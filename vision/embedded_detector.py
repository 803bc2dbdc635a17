"""The detector shipped with the package: find the players, then judge what each of them plays.

Pictures may also show an instrument and no person. So each frame gets one whole-frame detection, whose confidence for
an instrument is the highest among the whole picture and, for long pictures, its square tiles; and the parts of the
picture without players are searched for instruments. What is found there counts only where the classifier is very sure,
since there are many such parts; its `player_confidence` is 0.
"""

import numpy as np

from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13, Taxonomy
from av_sep.types import Detection, VideoFrame
from vision.crops import crop_square, frame_views, player_views, region_boxes
from vision.detector import InstrumentDetector
from vision.efficientnet_lite0 import PICTURE_SIZE
from vision.instrument_classifier import OTHER, InstrumentClassifier
from vision.players import PlayerBox, PlayerDetector

MAX_PLAYERS = 16  # judged in one frame; an audience must not cost seconds
MIN_REGION_CONFIDENCE = 0.8  # of an instrument without a player; lower ones are too often wrong


class EmbeddedDetector(InstrumentDetector):
    """Player boxes from CenterNet, instruments from EfficientNet-Lite0.

    Args:
        taxonomy: the instruments to report; those that the classifier does not know are never seen.
        player_detector: finds the players; None takes the default.
        classifier: judges the views; None takes the one shipped with the package.

    Raises:
        ParameterError: where the classifier knows no instrument of the taxonomy.
    """

    def __init__(
        self,
        taxonomy: Taxonomy = URMP_13,
        player_detector: PlayerDetector | None = None,
        classifier: InstrumentClassifier | None = None,
    ):
        self.taxonomy = taxonomy
        self.player_detector = player_detector or PlayerDetector()
        self.classifier = classifier or InstrumentClassifier()
        known = self.classifier.instruments
        # The column of each of the taxonomy's instruments; -1, a column of zeros, for those that cannot be seen.
        self._columns = [known.index(name) if name in known else -1 for name in taxonomy.names]
        if set(self._columns) == {-1}:
            raise ParameterError(
                f"Expected a taxonomy with at least one of {', '.join(known)}, the instruments this detector knows."
                f" Received: {taxonomy.name} ({', '.join(taxonomy.names)})"
            )

    def detect_frame(self, video_frame: VideoFrame) -> list[Detection]:
        """Players and instruments without a player from left to right, then the whole frame."""
        picture, time_seconds = video_frame.picture, video_frame.time_seconds
        whole_views = frame_views(picture, PICTURE_SIZE)
        players = _most_visible(self.player_detector.detect(picture))
        regions = region_boxes(picture, [player.box_xyxy for player in players])
        views = [
            whole_views,
            *(player_views(picture, player.box_xyxy, PICTURE_SIZE) for player in players),
            *(crop_square(picture, ((x1 + x2) / 2, (y1 + y2) / 2), x2 - x1, PICTURE_SIZE)[None]
              for x1, y1, x2, y2 in regions),
        ]  # fmt: skip
        probabilities = self._order(self.classifier.classify(np.concatenate(views)))
        of_frame, *of_boxes = np.split(probabilities, np.cumsum([len(view) for view in views])[:-1])
        detections = [
            self._make_detection(time_seconds, player.box_xyxy, judged.mean(axis=0), player.confidence)
            for player, judged in zip(players, of_boxes)
        ]
        alone = [
            self._make_detection(time_seconds, box_xyxy, judged[0], 0.0)
            for box_xyxy, judged in zip(regions, of_boxes[len(players) :])
        ]
        detections += _surest_regions(alone, {detection.instrument for detection in detections})
        detections.sort(key=lambda detection: detection.box_xyxy[0] + detection.box_xyxy[2])
        height, width = picture.shape[:2]
        box = (0.0, 0.0, float(width), float(height))
        return [*detections, self._make_detection(time_seconds, box, of_frame.max(axis=0))]

    def _order(self, probabilities: np.ndarray) -> np.ndarray:
        """The classifier's probabilities in the taxonomy's order, what is not in it added to `other` (last)."""
        padded = np.concatenate([probabilities[:, :-1], np.zeros((len(probabilities), 1), np.float32)], axis=1)
        ordered = padded[:, self._columns]
        return np.concatenate([ordered, 1.0 - ordered.sum(axis=1, keepdims=True)], axis=1).clip(0.0, 1.0)

    def _make_detection(
        self,
        time_seconds: float,
        box_xyxy: tuple[float, float, float, float],
        probabilities: np.ndarray,
        player_confidence: float | None = None,
    ) -> Detection:
        likeliest = int(np.argmax(probabilities))
        return Detection(
            time_seconds=time_seconds,
            box_xyxy=box_xyxy,
            instrument=(*self.taxonomy.names, OTHER)[likeliest],
            confidence=float(probabilities[likeliest]),
            label_confidences=tuple(map(float, probabilities[:-1])),
            player_confidence=1.0 if player_confidence is None else player_confidence,
            whole_frame=player_confidence is None,
        )


def _most_visible(players: list[PlayerBox]) -> list[PlayerBox]:
    """The `MAX_PLAYERS` that are largest and surest, still from left to right."""

    def visibility(player: PlayerBox) -> float:
        x1, y1, x2, y2 = player.box_xyxy
        return player.confidence * (x2 - x1) * (y2 - y1)

    kept = sorted(players, key=visibility, reverse=True)[:MAX_PLAYERS]
    return [player for player in players if player in kept]


def _surest_regions(detections: list[Detection], played: set[str]) -> list[Detection]:
    """At most one detection per instrument, and none of those that somebody is seen to play.

    Neighbouring regions show parts of one instrument, and a long instrument sticks out of its player's box.
    """
    surest: dict[str, Detection] = {}
    for detection in sorted(detections, key=lambda detection: detection.confidence):
        if detection.confidence >= MIN_REGION_CONFIDENCE and detection.instrument not in {OTHER, *played}:
            surest[detection.instrument] = detection
    return list(surest.values())
