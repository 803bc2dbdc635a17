"""A transparent canvas to draw players on.

Conventions:
    lengths are in heights of a standing person: x from the player's middle to the viewer's right, y from the floor up.
    A point is `(x, y)`, a colour is RGB, 0..255.
"""

from collections.abc import Sequence

import cv2
import numpy as np

Point = tuple[float, float]
Colour = tuple[int, int, int]

_HALF_WIDTH = 0.62
_HEIGHT = 1.3
_TOP_LEFT = (-_HALF_WIDTH, _HEIGHT - 0.06)
_PIXELS_PER_UNIT = 400
_FINE = 2
# cv2 takes fixed-point coordinates with so many bits after the point.
_SHIFT = 4
_CIRCLE = np.column_stack([trig(np.linspace(0, 2 * np.pi, 41)) for trig in (np.cos, np.sin)])
_NO_TURN = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


class Canvas:
    """Solid shapes over one another; what is drawn later lies in front."""

    def __init__(self, image: np.ndarray | None = None, matrix: np.ndarray = _NO_TURN):
        """A new canvas, or one more view of the image of another."""
        scale = _FINE * _PIXELS_PER_UNIT
        size = round(_HEIGHT * scale), round(2 * _HALF_WIDTH * scale), 4
        self._image = np.zeros(size, np.uint8) if image is None else image
        self._matrix, self._scale = matrix, scale

    def turned(self, centre: Point, degrees: float) -> "Canvas":
        """The same canvas, on which everything comes out turned counterclockwise about a point."""
        radians = np.radians(degrees)
        cos, sin = np.cos(radians), np.sin(radians)
        turn = np.array([[cos, -sin], [sin, cos]])
        return Canvas(self._image, np.column_stack([turn, np.array(centre) - turn @ centre]))

    def where(self, point: Point) -> Point:
        """Where a point comes out."""
        x, y = self._matrix @ (*point, 1.0)
        return float(x), float(y)

    def polygon(self, points: Sequence[Point] | np.ndarray, colour: Colour) -> None:
        """A filled polygon."""
        cv2.fillPoly(self._image, [self._pixels(points)], (*colour, 255), cv2.LINE_AA, _SHIFT)

    def ellipse(self, centre: Point, radii: Point, colour: Colour, degrees: float = 0.0) -> None:
        """A filled ellipse, turned counterclockwise."""
        self.polygon(_ellipse(centre, radii, degrees), colour)

    def ring(self, centre: Point, radii: Point, width: float, colour: Colour, degrees: float = 0.0) -> None:
        """A tube bent to an ellipse; what lies inside it stays seen."""
        self.tube(_ellipse(centre, radii, degrees), (width, width), colour)

    def tube(self, points: Sequence[Point] | np.ndarray, widths: Sequence[float], colour: Colour) -> None:
        """A line through points with round ends; its width goes evenly through `widths` along the points."""
        dense = np.asarray(points, float)
        width = np.interp(np.linspace(0, 1, len(dense)), np.linspace(0, 1, len(widths)), widths)
        tangent = np.gradient(dense, axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        across = np.column_stack([-tangent[:, 1], tangent[:, 0]]) * width[:, None] / 2
        one_side, other_side = self._pixels(dense + across), self._pixels(dense - across)
        # Piece by piece: where a whole bent tube overlaps itself, fillPoly would leave a hole.
        pieces = np.stack([one_side[:-1], one_side[1:], other_side[1:], other_side[:-1]], axis=1)
        for piece in pieces:
            cv2.fillConvexPoly(self._image, piece, (*colour, 255), cv2.LINE_AA, _SHIFT)
        for i in (0, -1):
            self.ellipse((dense[i, 0], dense[i, 1]), (width[i] / 2, width[i] / 2), colour)

    def layer(self, shade: float = 0.0) -> np.ndarray:
        """What was drawn, brighter on one side than on the other, and smoothed: uint8 `[height, width, 4]`."""
        height, width = self._image.shape[:2]
        small = cv2.resize(self._image, (width // _FINE, height // _FINE), interpolation=cv2.INTER_AREA)
        light = 1 + shade * np.linspace(-1, 1, small.shape[1], dtype=np.float32)[:, None]
        colours = np.clip(small[..., :3] * light, 0, small[..., 3:])
        return np.dstack([np.rint(colours).astype(np.uint8), small[..., 3]])

    def _pixels(self, points: Sequence[Point] | np.ndarray) -> np.ndarray:
        placed = np.asarray(points, float) @ self._matrix[:, :2].T + self._matrix[:, 2]
        from_top_left = (placed - _TOP_LEFT) * (1.0, -1.0)
        return np.rint(from_top_left * (self._scale * 2**_SHIFT)).astype(np.int32)


def standing_height_pixels() -> int:
    """Pixels of a layer per height of a standing person."""
    return _PIXELS_PER_UNIT


def _ellipse(centre: Point, radii: Point, degrees: float) -> np.ndarray:
    """Points around an ellipse turned counterclockwise, the first again at the end: `[num_points, 2]`."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return _CIRCLE * radii @ np.array([[cos, sin], [-sin, cos]]) + centre


def curve(points: Sequence[Point], num_points: int = 40) -> np.ndarray:
    """A smooth line through points (Catmull-Rom, evenly spread over them): `[num_points, 2]`."""
    knots = np.asarray(points, float)
    padded = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
    place = np.linspace(0, len(knots) - 1, num_points)
    index = np.minimum(place.astype(int), len(knots) - 2)
    t = (place - index)[:, None]
    p0, p1, p2, p3 = (padded[index + k] for k in range(4))
    return 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)


def brighter(colour: Colour, factor: float) -> Colour:
    """A colour, brighter (above 1) or darker."""
    red, green, blue = (int(min(255, round(value * factor))) for value in colour)
    return red, green, blue
