"""The four bowed strings, drawn in a player's hands. Lengths and points are those of `canvas`."""

from collections.abc import Callable, Sequence

import numpy as np

from av_sep.datasets.synthetic.canvas import Canvas, Colour, Point, brighter, curve
from av_sep.datasets.synthetic.people import Figure
from av_sep.datasets.synthetic.materials import Hands, Materials

# Half an outline, from the tailpiece to the neck: how far along the body, and how wide in its lengths.
_WAISTED = (
    (0.0, 0.0), (0.0, 0.14), (0.06, 0.23), (0.2, 0.29), (0.33, 0.24), (0.42, 0.185), (0.55, 0.175),
    (0.66, 0.2), (0.78, 0.235), (0.92, 0.2), (0.99, 0.1), (1.0, 0.0),
)  # fmt: skip
_SLOPING = (
    (0.0, 0.0), (0.0, 0.14), (0.05, 0.24), (0.18, 0.31), (0.31, 0.26), (0.4, 0.2), (0.52, 0.19),
    (0.62, 0.22), (0.72, 0.21), (0.84, 0.13), (0.96, 0.06), (1.0, 0.0),
)  # fmt: skip
_BODY_PART = 0.6
_BOW_LENGTH = 0.4
_BLACK = (26, 22, 22)


def draw_violin(canvas: Canvas, figure: Figure, materials: Materials, stroke: float) -> Hands:
    """At the shoulder, the scroll to the viewer's right."""
    neck = figure.neck_y
    axis = (0.03, neck + 0.015), (0.325, neck - 0.01)
    place = _draw_fiddle(canvas, axis, 1.0, _WAISTED, materials.wood)
    frog = _draw_bow(canvas, place(0.5, 0.0), (0.5, 0.87), stroke)
    return frog, place(0.9, -0.04)


def draw_viola(canvas: Canvas, figure: Figure, materials: Materials, stroke: float) -> Hands:
    """As the violin, but larger, darker and lower."""
    neck = figure.neck_y
    axis = (0.02, neck + 0.01), (0.375, neck - 0.075)
    place = _draw_fiddle(canvas, axis, 1.12, _WAISTED, brighter(materials.wood, 0.7))
    frog = _draw_bow(canvas, place(0.48, 0.0), (0.55, 0.83), stroke)
    return frog, place(0.88, -0.05)


def draw_cello(canvas: Canvas, figure: Figure, materials: Materials, stroke: float) -> Hands:
    """Between the knees, on its pin."""
    canvas.tube([(0.0, 0.0), (0.01, 0.1)], (0.008,), (90, 90, 95))
    axis = (0.005, 0.07), (0.1, figure.neck_y + 0.13)
    place = _draw_fiddle(canvas, axis, 1.0, _WAISTED, materials.wood)
    frog = _draw_bow(canvas, place(0.36, 0.0), (0.98, -0.17), stroke)
    return frog, place(0.84, 0.0)


def draw_double_bass(canvas: Canvas, figure: Figure, materials: Materials, stroke: float) -> Hands:
    """Upright beside the standing player, higher than the head."""
    canvas.tube([(0.16, 0.0), (0.16, 0.1)], (0.01,), (90, 90, 95))
    axis = (0.165, 0.06), (0.11, figure.neck_y + 0.28)
    place = _draw_fiddle(canvas, axis, 1.02, _SLOPING, brighter(materials.wood, 0.8))
    frog = _draw_bow(canvas, place(0.4, 0.0), (0.99, -0.12), stroke)
    return frog, place(0.8, 0.0)


def _draw_fiddle(
    canvas: Canvas, axis: tuple[Point, Point], breadth: float, half_outline: Sequence[Point], wood: Colour
) -> Callable[[float, float], Point]:
    """A fiddle from the end of its body to its scroll.

    Returns:
        The point at a fraction of the way from one to the other, and aside of it, in the same measure.
    """
    start, way = np.array(axis[0]), np.array(axis[1]) - axis[0]
    across = np.array([-way[1], way[0]])

    def place(along: float, aside: float) -> Point:
        x, y = start + along * way + aside * across
        return float(x), float(y)

    length = float(np.hypot(*way))
    half = [(along * _BODY_PART, aside * breadth * _BODY_PART) for along, aside in half_outline]
    outline = curve(half + [(along, -aside) for along, aside in reversed(half)], 120)
    body = np.array([place(*point) for point in outline])
    canvas.polygon(body, wood)
    canvas.tube(body, (0.012 * length,), brighter(wood, 0.5))
    inner = np.array([place(0.03 + along * 0.9, aside * 0.8) for along, aside in outline])
    canvas.polygon(inner, brighter(wood, 1.18))
    for side in (-1, 1):
        hole = [(0.2, 0.095), (0.23, 0.075), (0.3, 0.07), (0.33, 0.05)]
        canvas.tube(curve([place(along, side * aside) for along, aside in hole], 12), (0.014 * length,), _BLACK)
    canvas.polygon([place(0.02, 0.03), place(0.17, 0.045), place(0.17, -0.045), place(0.02, -0.03)], _BLACK)
    canvas.polygon([place(0.44, 0.032), place(0.93, 0.02), place(0.93, -0.02), place(0.44, -0.032)], _BLACK)
    canvas.tube([place(0.25, 0.055), place(0.25, -0.055)], (0.016 * length,), (226, 196, 140))
    for aside in (-0.018, -0.006, 0.006, 0.018):
        canvas.tube([place(0.16, aside), place(0.92, 0.6 * aside)], (0.0035 * length,), (220, 220, 220))
    _draw_scroll(canvas, place, length, wood)
    return place


def _draw_scroll(canvas: Canvas, place: Callable[[float, float], Point], length: float, wood: Colour) -> None:
    canvas.tube([place(0.92, 0.0), place(0.99, 0.0)], (0.05 * length, 0.035 * length), brighter(wood, 0.8))
    for along, side in ((0.94, 1), (0.955, -1), (0.97, 1), (0.985, -1)):
        canvas.tube([place(along, 0.0), place(along, side * 0.055)], (0.014 * length,), _BLACK)
    canvas.ellipse(place(1.0, 0.0), (0.03 * length, 0.03 * length), brighter(wood, 0.8))


def _draw_bow(canvas: Canvas, contact: Point, direction: Point, stroke: float) -> Point:
    """A bow over the strings; `direction` leads from the hand to the tip. Returns where the hand is."""
    way = np.array(direction) / np.hypot(*direction)
    frog = np.array(contact) - way * (0.19 + 0.1 * stroke)
    tip = frog + way * _BOW_LENGTH
    hair = 0.014 * np.array([way[1], -way[0]])
    canvas.tube([tuple(frog + hair), tuple(tip + hair)], (0.006,), (240, 236, 220))
    canvas.tube([tuple(frog), tuple(tip)], (0.009, 0.006), (92, 44, 22))
    canvas.tube([tuple(frog), tuple(frog + hair)], (0.014,), _BLACK)
    return float(frog[0]), float(frog[1])
