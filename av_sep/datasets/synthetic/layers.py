"""Pictures with opacity, laid over one another.

Conventions:
    a layer is uint8 RGBA `[height, width, 4]` with its colours already multiplied by the opacity, so that shrinking,
    bending and laying over need no division and leave no dark rims. Opacity 255 is solid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

# Fainter than this is not seen: an opacity of 6 % on a picture that is then compressed.
VISIBLE_OPACITY = 16


@dataclass(frozen=True, eq=False)
class PlayerPicture:
    """A player, ready to be put on a stage.

    Attributes:
        strokes: layers of one size, from one end of the bow's, slide's or instrument's way to the other.
        height: on the stage, 1.0 for a standing player.
    """

    strokes: tuple[np.ndarray, ...]
    height: float


def premultiplied(colours: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """A layer from uint8 RGB `[height, width, 3]` and uint8 opacity `[height, width]`."""
    factor = np.repeat(opacity[..., None], 3, axis=2)
    return np.dstack([cv2.multiply(colours, factor, scale=1 / 255), opacity])


def visible_box(layer: np.ndarray) -> tuple[int, int, int, int] | None:
    """Tight box of what is seen of a layer: left, top, right and bottom, the last two exclusive; None for nothing."""
    seen = layer[..., 3] >= VISIBLE_OPACITY
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def trimmed(layers: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Layers of one size without the margins in which none of them shows anything."""
    box = visible_box(np.maximum.reduce(layers))
    left, top, right, bottom = box or (0, 0, 1, 1)
    return tuple(layer[top:bottom, left:right].copy() for layer in layers)


def resized(layer: np.ndarray, factor: float) -> np.ndarray:
    """A layer `factor` times as large, at least one pixel each way."""
    height, width = (max(1, round(size * factor)) for size in layer.shape[:2])
    return cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


def lit(layer: np.ndarray, light: np.ndarray) -> np.ndarray:
    """A layer whose red, green and blue are multiplied by `light` `[3]`."""
    colours = np.minimum(np.rint(layer[..., :3] * light), layer[..., 3:])
    return np.dstack([colours.astype(np.uint8), layer[..., 3]])


def leaning(layer: np.ndarray, lean_pixels: float, margin: int) -> np.ndarray:
    """A layer whose top stands `lean_pixels` to the right of where it stood while its bottom stays.

    Args:
        layer: `[height, width, 4]`.
        lean_pixels: negative for the left.
        margin: transparent columns to add on either side, at least as many as the largest lean.

    Returns:
        `[height, width + 2 * margin, 4]`.
    """
    height, width = layer.shape[:2]
    slope = -lean_pixels / height
    matrix = np.array([[1.0, slope, margin + lean_pixels], [0.0, 1.0, 0.0]])
    return cv2.warpAffine(layer, matrix, (width + 2 * margin, height), flags=cv2.INTER_LINEAR)


def lay_over(picture: np.ndarray, layer: np.ndarray, left: int, top: int) -> None:
    """Lay a layer over uint8 RGB `[height, width, 3]`, in place; what hangs over the edges is cut off."""
    x1, y1 = max(0, left), max(0, top)
    x2, y2 = min(picture.shape[1], left + layer.shape[1]), min(picture.shape[0], top + layer.shape[0])
    if x1 >= x2 or y1 >= y2:
        return
    inside = layer[y1 - top : y2 - top, x1 - left : x2 - left]
    under = picture[y1:y2, x1:x2]
    let_through = cv2.cvtColor(255 - inside[..., 3], cv2.COLOR_GRAY2RGB)
    # Colours by cvtColor: cv2 is slow at copying a slice of channels.
    colours = cv2.cvtColor(inside, cv2.COLOR_RGBA2RGB)
    picture[y1:y2, x1:x2] = cv2.add(cv2.multiply(under, let_through, scale=1 / 255), colours)
