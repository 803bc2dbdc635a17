"""Which parts of a picture the instrument classifier looks at.

Conventions:
    pictures are uint8 RGB `[height, width, 3]`; boxes are `(x1, y1, x2, y2)` in picture pixels; views are uint8 RGB
    `[size, size, 3]`. A view keeps the picture's proportions: what lies outside the picture is grey.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vision.players import check_picture, letterbox

MAX_SIDE = 960  # pixels; larger pictures are shrunk by the whole number that brings them nearest above it
FULL_EXPANSION = 1.15  # side of the square around a player, in longer sides of his box: a bow or slide sticks out
BUST_EXPANSION = 1.35  # side of the square around head and hands, in shorter sides of the box


@dataclass(frozen=True, eq=False)
class ViewPlan:
    """What the classifier is to look at in one picture, all views in one batch.

    Attributes:
        views: uint8 RGB `[num_views, size, size, 3]`; the first shows the whole picture.
        boxes: of the other views, which box each shows, int64 `[num_views - 1]`: players are counted from 0, and things
            go on where they end.
    """

    views: np.ndarray
    boxes: np.ndarray


def plan_views(
    picture: np.ndarray,
    player_boxes_xyxy: Sequence[Sequence[float]],
    thing_boxes_xyxy: Sequence[Sequence[float]],
    size: int,
    max_views: int,
) -> ViewPlan:
    """Choose views so that a picture hardly ever costs more than `max_views`.

    The whole picture comes first, then one view of each player, and then, as far as they go, closer ones of the
    players, one view of each thing, and closer ones of the things.

    Args:
        picture: uint8 RGB `[height, width, 3]`.
        player_boxes_xyxy: the players' boxes, those to look at more closely first; each gets a view, room or not.
        thing_boxes_xyxy: boxes of what may be an instrument without a player, those to look at first in front.
        size: of the views in pixels.
        max_views: beyond the whole picture and one view of each player, no more than this many in all.
    """
    players = [player_views(picture, box, size) for box in player_boxes_xyxy]
    room = max(0, max_views - 1 - len(players))
    num_close_players = min(len(players), room)
    room -= num_close_players
    things = [player_views(picture, box, size) for box in thing_boxes_xyxy[:room]]
    num_close_things = min(len(things), room - len(things))
    views = [
        letterbox(picture, size)[0],
        *(whole for whole, _ in players),
        *(close for _, close in players[:num_close_players]),
        *(whole for whole, _ in things),
        *(close for _, close in things[:num_close_things]),
    ]
    order = [np.arange(len(players)), np.arange(num_close_players)]
    order += [len(players) + np.arange(len(things)), len(players) + np.arange(num_close_things)]
    return ViewPlan(np.stack(views), np.concatenate(order))


def shrink_picture(picture: np.ndarray) -> np.ndarray:
    """A picture so small that cutting views out of it is cheap; a small one as it is.

    By whole numbers, since averaging whole pixels is ten times as fast. What is lost is finer than any view shows, but
    for players less than a quarter of the picture high.
    """
    check_picture(picture)
    height, width = picture.shape[:2]
    factor = max(height, width) // MAX_SIDE
    if factor < 2:
        return picture
    return cv2.resize(picture, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_AREA)


def crop_square(picture: np.ndarray, center_xy: tuple[float, float], side: float, size: int) -> np.ndarray:
    """A square part of a picture, resized.

    The square is moved inside the picture where it fits (real surroundings tell more than padding does), else it is
    centred on the picture along the axis that is too short, and filled up with grey.

    Args:
        picture: uint8 RGB `[height, width, 3]`.
        center_xy: wanted middle of the square in pixels.
        side: of the square in pixels, at least 1.
        size: of the result in pixels.

    Returns:
        uint8 `[size, size, 3]`.
    """
    height, width = picture.shape[:2]
    side = max(1, round(side))
    left, right = _span(center_xy[0], side, width)
    top, bottom = _span(center_xy[1], side, height)
    square, _ = letterbox(picture[max(0, top) : min(height, bottom), max(0, left) : min(width, right)], size)
    return square


def player_views(picture: np.ndarray, box_xyxy: Sequence[float], size: int) -> np.ndarray:
    """Two views of a player, or of a thing in his place: the whole with some room around, and a closer one.

    The closer one shows head and hands of a standing player, where small instruments are; of a box that is not tall it
    shows the middle.

    Args:
        picture: uint8 RGB `[height, width, 3]`.
        box_xyxy: his box in pixels.
        size: of the views in pixels.

    Returns:
        uint8 `[2, size, size, 3]`.
    """
    x1, y1, x2, y2 = box_xyxy
    width, height = x2 - x1, y2 - y1
    center = ((x1 + x2) / 2, (y1 + y2) / 2)
    full = crop_square(picture, center, FULL_EXPANSION * max(width, height), size)
    side = min(BUST_EXPANSION * min(width, height), 0.8 * max(width, height))
    close_center = (center[0], y1 + side / 2) if height > width else center
    return np.stack([full, crop_square(picture, close_center, side, size)])


def _span(center: float, side: int, length: int) -> tuple[int, int]:
    """First and one-past-last pixel of a stretch of `side`, moved inside 0..length where it fits."""
    if side >= length:
        return 0, length
    first = round(min(max(center - side / 2, 0), length - side))
    return first, first + side
