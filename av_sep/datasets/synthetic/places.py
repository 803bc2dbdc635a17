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
# Neighbours may share so much of their widths, and are at most so far apart, in standing heights.
_OVERLAP = 0.08
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
    num_players = len(sizes)
    heights = np.array([stage_height for _, _, stage_height in sizes]) * rng.uniform(0.95, 1.05, num_players)
    widths = heights * np.array([pixels_wide / pixels_high for pixels_wide, pixels_high, _ in sizes])
    room = 0.96 * width
    unit = min(
        rng.uniform(*_STANDING_HEIGHT) * height,
        _TALLEST * height / heights.max(),
        room / (widths.sum() * (1 - _OVERLAP)),
    )
    if unit < _LEAST_STANDING_HEIGHT * height:
        most = max(1, int(num_players * unit / (_LEAST_STANDING_HEIGHT * height)))
        raise ParameterError(
            f"Expected at most about {most} players in a picture of {width} x {height}. Received: {num_players}"
        )
    widths, heights = widths * unit, heights * unit
    gap = min((room - widths.sum()) / num_players, _WIDEST_GAP * unit)
    spare = width - widths.sum() - gap * num_players
    cursor = spare * rng.uniform(0.3, 0.7)
    places = []
    for (_, pixels_high, _), player_width, player_height in zip(sizes, widths, heights):
        left = cursor + gap * (0.5 + rng.uniform(-0.35, 0.35))
        bottom = min(height, round(rng.uniform(*_FEET) * height))
        lean_pixels = float(rng.uniform(*_LEAN) * player_height)
        factor = float(player_height / pixels_high)
        places.append(Place(round(left), round(left + player_width), bottom, factor, lean_pixels))
        cursor += player_width + gap
    return places
