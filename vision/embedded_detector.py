"""The detector shipped with the package: find the players, then judge what each of them plays.

Pictures may also show an instrument and no person, or a person whom the person network does not know for one. So each
frame gets one whole-frame detection, and the other things that the network boxes, whatever it takes them for, are
judged too. What is found there counts only where the classifier is fairly sure, since there are many such boxes; its
`player_confidence` is 0.

Instruments that look alike share their confidence, see `vision.lookalikes`.

A frame costs one look of the person network and at most `MAX_VIEWS` of the classifier, all in one batch.
"""

from functools import partial

import numpy as np

from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13, Taxonomy
from av_sep.types import Detection, VideoFrame
from vision.crops import ViewPlan, plan_views, shrink_picture
from vision.detector import InstrumentDetector
from vision.efficientnet_lite0 import PICTURE_SIZE
from vision.instrument_classifier import OTHER, InstrumentClassifier
from vision.lookalikes import spread_lookalikes
from vision.players import PlayerBox, PlayerDetector

MAX_VIEWS = 12  # judged in one frame
MAX_PLAYERS = 10  # judged in one frame; an audience must not cost seconds
MIN_CONFIDENCE_ALONE = 0.5  # of an instrument without a player; lower ones are too often wrong


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
        picture = shrink_picture(video_frame.picture)
        scene = self.player_detector.look(picture)
        players = _most_visible(scene.players)
        plan = plan_views(
            picture, [player.box_xyxy for player in players], scene.things_xyxy, PICTURE_SIZE, MAX_VIEWS
        )
        of_frame, *of_boxes = self._judge(plan)
        make = partial(self._make_detection, video_frame, picture.shape)
        detections = [
            make(player.box_xyxy, judged, player.confidence) for player, judged in zip(players, of_boxes)
        ]
        alone = [make(box, judged, 0.0) for box, judged in zip(scene.things_xyxy, of_boxes[len(players) :])]
        detections += _surest_alone(alone, detections)
        detections.sort(key=lambda detection: detection.box_xyxy[0] + detection.box_xyxy[2])
        height, width = picture.shape[:2]
        return [*detections, make((0.0, 0.0, float(width), float(height)), of_frame)]

    def _judge(self, plan: ViewPlan) -> list[np.ndarray]:
        """Confidences `[num_instruments + 1]` of the whole picture and of each box, the mean over its views."""
        confidences = spread_lookalikes(self._order(self.classifier.classify(plan.views)), self.taxonomy.names)
        num_boxes = plan.boxes.max(initial=-1) + 1
        return [confidences[0], *(confidences[1:][plan.boxes == box].mean(axis=0) for box in range(num_boxes))]

    def _order(self, probabilities: np.ndarray) -> np.ndarray:
        """The classifier's probabilities in the taxonomy's order, what is not in it added to `other` (last)."""
        padded = np.concatenate([probabilities[:, :-1], np.zeros((len(probabilities), 1), np.float32)], axis=1)
        ordered = padded[:, self._columns]
        return np.concatenate([ordered, 1.0 - ordered.sum(axis=1, keepdims=True)], axis=1).clip(0.0, 1.0)

    def _make_detection(
        self,
        video_frame: VideoFrame,
        shape: tuple[int, ...],
        box_xyxy: tuple[float, float, float, float],
        probabilities: np.ndarray,
        player_confidence: float | None = None,
    ) -> Detection:
        """A detection in the video frame, of a box in a picture `[height, width, 3]` that it was shrunk to."""
        scale_x, scale_y = video_frame.picture.shape[1] / shape[1], video_frame.picture.shape[0] / shape[0]
        x1, y1, x2, y2 = box_xyxy
        likeliest = int(np.argmax(probabilities))
        return Detection(
            time_seconds=video_frame.time_seconds,
            box_xyxy=(x1 * scale_x, y1 * scale_y, x2 * scale_x, y2 * scale_y),
            instrument=(*self.taxonomy.names, OTHER)[likeliest],
            confidence=float(probabilities[likeliest]),
            label_confidences=tuple(map(float, probabilities[:-1])),
            player_confidence=1.0 if player_confidence is None else player_confidence,
            whole_frame=player_confidence is None,
        )


def _most_visible(players: list[PlayerBox]) -> list[PlayerBox]:
    """The `MAX_PLAYERS` that are largest and surest, most visible first."""

    def visibility(player: PlayerBox) -> float:
        x1, y1, x2, y2 = player.box_xyxy
        return player.confidence * (x2 - x1) * (y2 - y1)

    return sorted(players, key=visibility, reverse=True)[:MAX_PLAYERS]


def _surest_alone(alone: list[Detection], of_players: list[Detection]) -> list[Detection]:
    """At most one detection per instrument, and none of those that somebody is seen to play.

    Boxes beside one another show parts of one instrument, and a long instrument sticks out of its player's box.
    """
    played = {detection.instrument for detection in of_players if detection.confidence >= MIN_CONFIDENCE_ALONE}
    surest: dict[str, Detection] = {}
    for detection in sorted(alone, key=lambda detection: detection.confidence):
        if detection.confidence >= MIN_CONFIDENCE_ALONE and detection.instrument not in {OTHER, *played}:
            surest[detection.instrument] = detection
    return list(surest.values())
