"""Which parts of a picture the instrument classifier looks at.

Conventions:
    pictures are uint8 RGB `[height, width, 3]`; boxes are `(x1, y1, x2, y2)` in picture pixels; views are uint8 RGB
    `[size, size, 3]`. A view keeps the picture's proportions: what lies outside the picture is grey.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vision.players import check_picture, letterbox

MAX_SIDE = 960  # pixels; larger pictures are shrunk by the whole number that brings them nearest above it
FULL_EXPANSION = 1.15  # side of the square around a player, in longer sides of his box: a bow or slide sticks out
BUST_EXPANSION = 1.35  # side of the square around head and hands, in shorter sides of the box
TILE_ASPECT = 1.3  # pictures longer than this are also judged in square tiles
NUM_TILES = 3
REGION_SIDE = 0.6  # of the squares searched for instruments without a player, in shorter sides of the picture
REGION_STEP = 0.68  # from one such square to the next, in their sides, at most
MIN_REGION_CONTRAST = 8.0  # standard deviation of the grey levels below which a square shows nothing but a wall


@dataclass(frozen=True, eq=False)
class ViewPlan:
    """What the classifier is to look at in one picture, all views in one batch.

    Attributes:
        views: uint8 RGB `[num_views, size, size, 3]`.
        num_whole: how many of them, the first ones, show the whole picture or long stretches of it.
        players: of the views after those, the player that each shows, int64 `[num_player_views]`.
        regions_xyxy: the boxes that the last views show, one each.
    """

    views: np.ndarray
    num_whole: int
    players: np.ndarray
    regions_xyxy: list[tuple[float, float, float, float]]


def plan_views(
    picture: np.ndarray, player_boxes_xyxy: Sequence[Sequence[float]], size: int, max_views: int
) -> ViewPlan:
    """Choose views so that a picture hardly ever costs more than `max_views`.

    The whole picture comes first, then one view of each player, then closer ones of the players as far as they go, then
    the parts without players. Where there are players, they and those parts show more than tiles of the picture do.

    Args:
        picture: uint8 RGB `[height, width, 3]`.
        player_boxes_xyxy: the players' boxes, those to look at more closely first; each gets a view, room or not.
        size: of the views in pixels.
        max_views: beyond the whole picture, its tiles and one view of each player, no more than this many in all.
    """
    whole = frame_views(picture, size)
    if len(player_boxes_xyxy):
        whole = whole[:1]
    pairs = [player_views(picture, box, size) for box in player_boxes_xyxy]
    room = max(0, max_views - len(whole) - len(pairs))
    close = [pair[1] for pair in pairs[:room]]
    regions = region_boxes(picture, player_boxes_xyxy, room - len(close))
    views = [
        *whole,
        *(pair[0] for pair in pairs),
        *close,
        *(crop_square(picture, ((x1 + x2) / 2, (y1 + y2) / 2), x2 - x1, size) for x1, y1, x2, y2 in regions),
    ]
    of_players = np.concatenate([np.arange(len(pairs)), np.arange(len(close))])
    return ViewPlan(np.stack(views), len(whole), of_players, regions)


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
    """Two views of one player: the whole person with some room around, and a closer one.

    The closer one shows head and hands of a standing player, where small instruments are; of a box that is not tall it
    shows the middle.

    Args:
        picture: uint8 RGB `[height, width, 3]`.
        box_xyxy: the person's box in pixels.
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


def frame_views(picture: np.ndarray, size: int) -> np.ndarray:
    """Views of a whole picture: all of it, and for a long one square tiles along its longer side.

    A row of players is too small to be recognised in one view of a wide picture.

    Args:
        picture: uint8 RGB `[height, width, 3]`.
        size: of the views in pixels.

    Returns:
        uint8 `[1 or 4, size, size, 3]`, the whole picture first.
    """
    check_picture(picture)
    whole, _ = letterbox(picture, size)
    height, width = picture.shape[:2]
    if max(height, width) < TILE_ASPECT * min(height, width):
        return whole[None]
    side = min(height, width)
    tiles = []
    for i in range(NUM_TILES):
        along = side / 2 + i * (max(height, width) - side) / (NUM_TILES - 1)
        center = (along, height / 2) if width > height else (width / 2, along)
        tiles.append(crop_square(picture, center, side, size))
    return np.stack([whole, *tiles])


def region_boxes(
    picture: np.ndarray, player_boxes_xyxy: Sequence[Sequence[float]], max_boxes: int
) -> list[tuple[float, float, float, float]]:
    """Squares that cover the picture where there are no players: instruments may stand there alone.

    Args:
        picture: uint8 RGB `[height, width, 3]`.
        player_boxes_xyxy: the players' boxes; a square that holds the middle of one is left out, as is a plain one.
        max_boxes: where there are more, those of the highest contrast are taken.

    Returns:
        Boxes inside the picture, row by row.
    """
    height, width = picture.shape[:2]
    side = max(1, round(REGION_SIDE * min(height, width)))
    middles = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in player_boxes_xyxy]
    corners = [
        (left, top)
        for top in _starts(height, side)
        for left in _starts(width, side)
        if not any(left <= x < left + side and top <= y < top + side for x, y in middles)
    ]
    if not corners or max_boxes < 1:
        return []
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    contrasts = np.array(
        [float(cv2.meanStdDev(grey[top : top + side, left : left + side])[1][0, 0]) for left, top in corners]
    )
    kept = sorted(i for i in np.argsort(-contrasts, kind="stable")[:max_boxes] if contrasts[i] >= MIN_REGION_CONTRAST)
    return [tuple(map(float, (*corners[i], corners[i][0] + side, corners[i][1] + side))) for i in kept]  # type: ignore


def _starts(length: int, side: int) -> list[int]:
    """First pixels of the fewest stretches of `side` that cover 0..length in equal steps of at most `REGION_STEP`."""
    num_steps = math.ceil((length - side) / (REGION_STEP * side))
    return [round(i * (length - side) / max(1, num_steps)) for i in range(num_steps + 1)]


def _span(center: float, side: int, length: int) -> tuple[int, int]:
    """First and one-past-last pixel of a stretch of `side`, moved inside 0..length where it fits."""
    if side >= length:
        return 0, length
    first = round(min(max(center - side / 2, 0), length - side))
    return first, first + side
