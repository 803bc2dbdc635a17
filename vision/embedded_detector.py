"""The detector shipped with the package: find the players, then judge what each of them plays.

Beside the players, each frame gets one whole-frame detection, for pictures that show an instrument and no person: its
confidence for an instrument is the highest among the whole picture and, for long pictures, its square tiles.
"""

import numpy as np

from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13, Taxonomy
from av_sep.types import Detection, VideoFrame
from vision.crops import frame_views, player_views
from vision.detector import InstrumentDetector
from vision.efficientnet_lite0 import PICTURE_SIZE
from vision.instrument_classifier import OTHER, InstrumentClassifier
from vision.players import PlayerBox, PlayerDetector

MAX_PLAYERS = 16  # judged in one frame; an audience must not cost seconds


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
        """One detection per player from left to right, then one for the whole frame."""
        picture = video_frame.picture
        players = _most_visible(self.player_detector.detect(picture))
        whole_views = frame_views(picture, PICTURE_SIZE)
        views = [whole_views, *(player_views(picture, player.box_xyxy, PICTURE_SIZE) for player in players)]
        probabilities = self._order(self.classifier.classify(np.concatenate(views)))
        splits = np.cumsum([len(view) for view in views])[:-1]
        of_frame, *of_players = np.split(probabilities, splits)
        detections = [
            self._make_detection(video_frame.time_seconds, player.box_xyxy, judged.mean(axis=0), player.confidence)
            for player, judged in zip(players, of_players)
        ]
        height, width = picture.shape[:2]
        box = (0.0, 0.0, float(width), float(height))
        return [*detections, self._make_detection(video_frame.time_seconds, box, of_frame.max(axis=0))]

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
