"""Where players stand on a stage."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from av_sep.errors import ParameterError

# Fractions of the film's height: how high a standing player is, at most and at least, and where the feet are.
_STANDING_HEIGHT = (0.6, 0.76)
_LEAST_STANDING_HEIGHT = 0.2
_TALLEST = 0.88
_FEET = (0.9, 0.97)
# Of the film's width.
_ROOM = 0.96
# Neighbours may share so much of the narrower one's width, and are at most so many standing heights apart.
_OVERLAP = 0.1
_WIDEST_GAP = 0.5
_LEAN = (0.012, 0.035)


@dataclass(frozen=True)
class Place:
    """A player's place, pixels of the film.

    Attributes:
        left: where the player's picture starts.
        right: where it ends.
        bottom: where the feet are.
        factor: film pixels per pixel of the player's picture.
        lean_pixels: how far the head sways to either side.
    """

    left: int
    right: int
    bottom: int
    factor: float
    lean_pixels: float


def place_players(
    sizes: Sequence[tuple[int, int, float]], width: int, height: int, rng: np.random.Generator
) -> list[Place]:
    """Places side by side, in the order given, scaled so that all fit and hardly overlap.

    Args:
        sizes: of the players' pictures: width and height in pixels of their own, and the height the picture has on
            the stage, 1.0 for a standing player.
        width: of the film, pixels.
        height: likewise.
        rng: source of all chance.

    Raises:
        ParameterError: for more players than fit.
    """
    heights = np.array([stage_height for _, _, stage_height in sizes]) * rng.uniform(0.95, 1.05, len(sizes))
    widths = heights * np.array([pixels_wide / pixels_high for pixels_wide, pixels_high, _ in sizes])
    # What each may share with the next is measured by the narrower of the two.
    shared = np.append(np.minimum(widths[:-1], widths[1:]), 0.0)
    room = _ROOM * width
    least_width = widths.sum() - _OVERLAP * shared.sum()
    unit = min(
        rng.uniform(*_STANDING_HEIGHT) * height, _TALLEST * height / heights.max(), room / least_width
    )
    if unit < _LEAST_STANDING_HEIGHT * height:
        most = max(1, int(len(sizes) * unit / (_LEAST_STANDING_HEIGHT * height)))
        raise ParameterError(
            f"Expected at most about {most} such players in a picture of {width} x {height}. Received: {len(sizes)}"
        )
    widths, heights, shared = widths * unit, heights * unit, shared * unit
    missing = widths.sum() - room
    shared *= max(0.0, missing / shared.sum()) if len(sizes) > 1 else 0.0
    gap = min(max(0.0, -missing) / len(sizes), _WIDEST_GAP * unit)
    spare = width - widths.sum() + shared.sum() - gap * len(sizes)
    lefts = spare * rng.uniform(0.3, 0.7) + np.cumsum(widths - shared + gap) - (widths - shared + gap)
    lefts += gap * (0.5 + rng.uniform(-0.35, 0.35, len(sizes)))
    return [
        _place(float(left), float(wide), float(high), high / size[1], height, rng)
        for left, wide, high, size in zip(lefts, widths, heights, sizes)
    ]


def _place(
    left: float, wide: float, high: float, factor: float, film_height: int, rng: np.random.Generator
) -> Place:
    """A place of so many pixels, with the feet somewhere on the floor."""
    bottom = round(rng.uniform(*_FEET) * film_height)
    return Place(round(left), round(left + wide), bottom, float(factor), float(rng.uniform(*_LEAN) * high))
