"""Where the players are in a picture, and the other things that stand there.

The network knows 80 kinds of things, none of them an instrument of ours. But it boxes what it cannot name as well,
faintly and by the name of something alike: so a faint box of any kind is a place where an instrument may stand alone.

Conventions:
    pictures are uint8 RGB `[height, width, 3]`; boxes are float `[num_boxes, 4]` as x1, y1, x2, y2 in pixels of the
    picture given (0 is its left or top edge, width its right edge); confidences lie in [0, 1].

References:
    X. Zhou, D. Wang, P. Kraehenbuehl, "Objects as points", arXiv:1904.07850, 2019 (CenterNet).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from av_sep.errors import ParameterError

NETWORK_SIZE = 512  # pixels; the side of the square that the person network looks at
PERSON_CLASS = 0  # of COCO-80
THING_SHARES = (0.1, 0.6)  # a thing's shorter side, of the picture's, at least; and its area, of the picture's, at most
MAX_INSIDE = 0.3  # of a thing in a player's box, from which it is his: his coat, his chair, the bell that sticks out
BELOW_SHARE = 0.5  # of a player's box that is his as well below it: boxes often end where an instrument covers the legs
PADDING_GREY = 127  # the colour around letterboxed pictures

# images float32 [1, 512, 512, 3], RGB 0..255 -> [1, num_boxes, 6]: x1, y1, x2, y2 in network pixels, score, COCO class.
PersonNetwork = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Letterbox:
    """Where a picture lies inside the square it was letterboxed into.

    Attributes:
        scale_x: network pixels per picture pixel; differs from `scale_y` only by rounding to whole pixels.
        scale_y: likewise, downwards.
        offset_x: network pixels left of the picture.
        offset_y: network pixels above the picture.
        width: of the picture in picture pixels.
        height: likewise.
    """

    scale_x: float
    scale_y: float
    offset_x: int
    offset_y: int
    width: int
    height: int

    def to_picture(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Boxes `[num_boxes, 4]` in network pixels, moved to picture pixels and cut at the picture's edges."""
        scale = np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y], np.float64)
        offset = np.array([self.offset_x, self.offset_y, self.offset_x, self.offset_y], np.float64)
        boxes = (np.asarray(boxes_xyxy, np.float64) - offset) / scale
        return np.clip(boxes, 0.0, np.array([self.width, self.height, self.width, self.height], np.float64))


@dataclass(frozen=True)
class PlayerBox:
    """One person: `(x1, y1, x2, y2)` in picture pixels, and how sure the network is in [0, 1]."""

    box_xyxy: tuple[float, float, float, float]
    confidence: float


@dataclass(frozen=True)
class Scene:
    """What the network finds in one picture.

    Attributes:
        players: persons, left to right.
        things_xyxy: boxes in picture pixels of whatever else may stand there, surest first; none of them a
            player's own.
    """

    players: list[PlayerBox]
    things_xyxy: list[tuple[float, float, float, float]] = field(default_factory=list)


def check_picture(picture: np.ndarray) -> None:
    """Raise ParameterError unless `picture` is a uint8 `[height, width, 3]` array with at least one pixel."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ParameterError(
            "Expected a picture as a uint8 RGB array [height, width, 3] with at least one pixel."
            f" Received: {picture.dtype} array of shape {picture.shape}"
        )


def letterbox(picture: np.ndarray, size: int = NETWORK_SIZE) -> tuple[np.ndarray, Letterbox]:
    """Fit a picture into a square without changing its proportions, grey around it.

    Squashing instead would make the players of a wide picture so narrow that the person network misses most of them.

    Args:
        picture: uint8 RGB `[height, width, 3]`.
        size: side of the square in pixels.

    Returns:
        The uint8 square `[size, size, 3]`, and where the picture lies in it.
    """
    check_picture(picture)
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(picture, (new_width, new_height), interpolation=interpolation)
    offset_x, offset_y = (size - new_width) // 2, (size - new_height) // 2
    square = np.full((size, size, 3), PADDING_GREY, np.uint8)
    square[offset_y : offset_y + new_height, offset_x : offset_x + new_width] = resized
    return square, Letterbox(new_width / width, new_height / height, offset_x, offset_y, width, height)


def shared_areas(boxes_xyxy: np.ndarray, other_boxes_xyxy: np.ndarray) -> np.ndarray:
    """Area in square pixels that each box `[num_boxes, 4]` shares with each other box `[num_others, 4]`:
    `[num_boxes, num_others]`."""
    a, b = np.asarray(boxes_xyxy, np.float64)[:, None], np.asarray(other_boxes_xyxy, np.float64)[None]
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0.0, None)
    return sides.prod(axis=-1)


def box_overlaps(boxes_xyxy: np.ndarray, other_boxes_xyxy: np.ndarray) -> np.ndarray:
    """Intersection over union of each box with each other box.

    Args:
        boxes_xyxy: `[num_boxes, 4]`.
        other_boxes_xyxy: `[num_others, 4]`.

    Returns:
        `[num_boxes, num_others]` in [0, 1]; 0 where both boxes are empty.
    """
    a, b = np.asarray(boxes_xyxy, np.float64)[:, None], np.asarray(other_boxes_xyxy, np.float64)[None]
    shared = shared_areas(boxes_xyxy, other_boxes_xyxy)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def suppress_overlaps(boxes_xyxy: np.ndarray, confidences: np.ndarray, max_overlap: float) -> np.ndarray:
    """Greedy non-maximum suppression: keep the surest box, drop those that overlap it too much, go on.

    Args:
        boxes_xyxy: `[num_boxes, 4]`.
        confidences: `[num_boxes]`.
        max_overlap: intersection over union above which the less sure box goes.

    Returns:
        Positions of the boxes kept, surest first.
    """
    left = np.argsort(-np.asarray(confidences), kind="stable")
    kept = []
    while left.size:
        kept.append(left[0])
        overlaps = box_overlaps(boxes_xyxy[left[:1]], boxes_xyxy[left[1:]])[0]
        left = left[1:][overlaps <= max_overlap]
    return np.array(kept, np.int64)


class PlayerDetector:
    """Finds people, and things that stand without them, in pictures of any size.

    Args:
        network: the person network; None loads the one shipped with the package at the first use.
        min_confidence: persons' boxes below it are dropped.
        max_overlap: intersection over union above which two boxes count as one person or thing.
        min_side: boxes narrower or lower than this many picture pixels are dropped: nothing can be recognised in them.
        min_thing_confidence: things' boxes below it are dropped.
    """

    def __init__(
        self,
        network: PersonNetwork | None = None,
        min_confidence: float = 0.3,
        max_overlap: float = 0.5,
        min_side: float = 8.0,
        min_thing_confidence: float = 0.1,
    ):
        limits = {
            "min_confidence": min_confidence,
            "max_overlap": max_overlap,
            "min_thing_confidence": min_thing_confidence,
        }
        for name, value in limits.items():
            if not 0.0 <= value <= 1.0:
                raise ParameterError(f"Expected {name} in [0, 1]. Received: {name}={value}")
        self._network = network
        self.min_confidence = min_confidence
        self.max_overlap = max_overlap
        self.min_side = min_side
        self.min_thing_confidence = min_thing_confidence

    def detect(self, picture: np.ndarray) -> list[PlayerBox]:
        """Persons in one picture, left to right.

        Args:
            picture: uint8 RGB `[height, width, 3]`.

        Returns:
            Boxes inside the picture, ordered by their middle from left to right.
        """
        return self.look(picture).players

    def look(self, picture: np.ndarray) -> Scene:
        """Persons and things in one picture, by one look of the network.

        Args:
            picture: uint8 RGB `[height, width, 3]`.
        """
        square, placement = letterbox(picture)
        if self._network is None:
            self._network = load_person_network()
        found = np.asarray(self._network(square[None].astype(np.float32)), np.float64)[0]
        boxes, confidences = placement.to_picture(found[:, :4]), found[:, 4]
        is_person = (np.round(found[:, 5]) == PERSON_CLASS) & (confidences >= self.min_confidence)
        large = ((boxes[:, 2:] - boxes[:, :2]) >= self.min_side).all(axis=1)
        persons = self._distinct(boxes, confidences, large & is_person)
        players = [
            PlayerBox(tuple(map(float, boxes[i])), float(min(confidences[i], 1.0)))  # type: ignore[arg-type]
            for i in persons
        ]
        players.sort(key=lambda player: player.box_xyxy[0] + player.box_xyxy[2])
        distinct = self._distinct(boxes, confidences, large & (confidences >= self.min_thing_confidence))
        things = _things_alone(boxes[distinct], boxes[persons], picture.shape[0], picture.shape[1])
        return Scene(players, [tuple(map(float, box)) for box in things])  # type: ignore[misc]

    def _distinct(self, boxes_xyxy: np.ndarray, confidences: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Positions of those wanted (bool `[num_boxes]`), surest first and without repeats."""
        positions = np.flatnonzero(wanted)
        return positions[suppress_overlaps(boxes_xyxy[positions], confidences[positions], self.max_overlap)]


def _things_alone(boxes_xyxy: np.ndarray, players_xyxy: np.ndarray, height: int, width: int) -> np.ndarray:
    """Those boxes `[num_boxes, 4]` that are of a useful size in a picture of that size and not a player's own."""
    sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    least_side, most_area = THING_SHARES
    useful = (sides.min(axis=1) >= least_side * min(height, width)) & (sides.prod(axis=1) <= most_area * height * width)
    own_xyxy = np.array(players_xyxy)
    own_xyxy[:, 3] += BELOW_SHARE * (own_xyxy[:, 3] - own_xyxy[:, 1])
    inside = shared_areas(boxes_xyxy, own_xyxy).max(axis=1, initial=0.0) >= MAX_INSIDE * sides.prod(axis=1)
    return boxes_xyxy[useful & ~inside]


def load_person_network(path: Path | None = None) -> PersonNetwork:
    """The person network from a SavedModel folder; None loads the one shipped with the package."""
    import tensorflow as tf

    folder = path or Path(__file__).parent / "weights" / "centernet_person"
    module = tf.saved_model.load(str(folder))
    signature = module.signatures["serving_default"]

    def network(images: np.ndarray) -> np.ndarray:
        # `module` is named here so that it lives as long as the function: TensorFlow frees its graph with it.
        assert module is not None
        return signature(images=tf.constant(images))["detections"].numpy()

    return network
