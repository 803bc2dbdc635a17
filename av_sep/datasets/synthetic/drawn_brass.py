"""The four brass instruments, drawn in a player's hands. Lengths and points are those of `canvas`.

A stroke of 1 lifts the instrument a little, one of -1 lowers it; the trombone's slide goes out and in.
"""

from collections.abc import Sequence

import numpy as np

from av_sep.datasets.synthetic.canvas import Canvas, Colour, Point, brighter, curve
from av_sep.datasets.synthetic.people import Figure
from av_sep.datasets.synthetic.materials import Hands, Materials

_LIFT_DEGREES = 4.0
# How far a trombone's slide goes from its middle.
_SLIDE = 0.06


def draw_trumpet(canvas: Canvas, figure: Figure, materials: Materials, stroke: float) -> Hands:
    """Short, to the viewer's left, with three valves in its loop."""
    x, y = figure.mouth
    canvas = canvas.turned(figure.mouth, 8 - _LIFT_DEGREES * stroke)
    brass = materials.brass
    _draw_tube(canvas, [(x, y), (x - 0.24, y)], (0.011,), brass)
    loop = [(x - 0.07, y), (x - 0.06, y - 0.03), (x - 0.08, y - 0.06), (x - 0.2, y - 0.06), (x - 0.235, y - 0.03)]
    _draw_tube(canvas, curve([*loop, (x - 0.22, y)]), (0.012,), brass)
    for valve in (0.115, 0.14, 0.165):
        _draw_tube(canvas, [(x - valve, y + 0.03), (x - valve, y - 0.075)], (0.019,), brass)
        canvas.tube([(x - valve, y + 0.03), (x - valve, y + 0.05)], (0.007,), brighter(brass, 1.2))
    _draw_bell(canvas, curve([(x - 0.2, y), (x - 0.28, y), (x - 0.335, y)]), (0.013, 0.02, 0.038, 0.1), brass)
    _draw_mouth_of_bell(canvas, (x - 0.337, y), (0.014, 0.054), brass)
    canvas.tube([(x, y), (x - 0.02, y)], (0.02, 0.01), brighter(brass, 1.15))
    return canvas.where((x - 0.145, y + 0.045)), canvas.where((x - 0.14, y - 0.045))


def draw_horn(canvas: Canvas, figure: Figure, materials: Materials, stroke: float) -> Hands:
    """A round coil before the body, its bell at the player's right hip."""
    x, y = figure.mouth
    canvas = canvas.turned(figure.mouth, -_LIFT_DEGREES * stroke)
    brass = materials.brass
    centre = x - 0.09, y - 0.21
    flare = [(centre[0] + 0.1, centre[1] - 0.03), (centre[0] + 0.03, centre[1] - 0.13)]
    flare += [(centre[0] - 0.08, centre[1] - 0.14), (centre[0] - 0.17, centre[1] - 0.12)]
    _draw_bell(canvas, curve(flare), (0.02, 0.03, 0.05, 0.15), brass)
    _draw_mouth_of_bell(canvas, (centre[0] - 0.175, centre[1] - 0.118), (0.05, 0.1), brass, -8)
    for radius, width in ((0.118, 0.02), (0.09, 0.014), (0.06, 0.013)):
        canvas.ring(centre, (radius, radius), width + 0.006, brighter(brass, 0.5))
        canvas.ring(centre, (radius, radius), width, brass)
        canvas.ring(centre, (radius, radius), 0.25 * width, brighter(brass, 1.2))
    pipe = [(x, y), (x + 0.02, y - 0.06), (centre[0] + 0.118, centre[1] + 0.06), (centre[0] + 0.116, centre[1])]
    _draw_tube(canvas, curve(pipe), (0.01, 0.014), brass)
    for offset in (-0.03, 0.0, 0.03):
        valve = centre[0] + offset, centre[1] + 0.01
        canvas.ellipse(valve, (0.014, 0.014), brighter(brass, 0.5))
        canvas.ellipse(valve, (0.011, 0.011), brighter(brass, 1.2))
    return canvas.where((centre[0] - 0.15, centre[1] - 0.11)), canvas.where((centre[0] + 0.06, centre[1] + 0.05))


def draw_trombone(canvas: Canvas, figure: Figure, materials: Materials, stroke: float) -> Hands:
    """A long slide to the viewer's left, the bell above it."""
    x, y = figure.mouth
    canvas = canvas.turned(figure.mouth, 10)
    brass = materials.brass
    end = x - 0.42 - _SLIDE * stroke
    back = [(x - 0.13, y - 0.05), (x + 0.1, y - 0.05), (x + 0.16, y), (x + 0.16, y + 0.05), (x + 0.1, y + 0.085)]
    _draw_tube(canvas, curve([*back, (x, y + 0.085)]), (0.013, 0.018), brass)
    _draw_tube(canvas, [(x, y), (x - 0.3, y)], (0.01,), brass)
    _draw_tube(canvas, [(x - 0.13, y - 0.05), (x - 0.3, y - 0.05)], (0.01,), brass)
    bow = curve([(x - 0.2, y), (end, y), (end - 0.025, y - 0.025), (end, y - 0.05), (x - 0.2, y - 0.05)], 60)
    _draw_tube(canvas, bow, (0.015,), brighter(brass, 1.1))
    grip = x - 0.2 - _SLIDE * stroke
    _draw_tube(canvas, [(grip, y), (grip, y - 0.05)], (0.012,), brass)
    flare = [(x, y + 0.085), (x - 0.14, y + 0.085), (x - 0.22, y + 0.085)]
    _draw_bell(canvas, curve(flare), (0.018, 0.03, 0.05, 0.14), brass)
    _draw_mouth_of_bell(canvas, (x - 0.222, y + 0.085), (0.02, 0.074), brass)
    canvas.tube([(x, y), (x - 0.025, y)], (0.024, 0.01), brighter(brass, 1.15))
    return canvas.where((grip, y - 0.03)), canvas.where((x - 0.085, y - 0.03))


def draw_tuba(canvas: Canvas, figure: Figure, materials: Materials, stroke: float) -> Hands:
    """Large, upright in the arms, the bell above the head."""
    x, y = figure.mouth
    canvas = canvas.turned((x, y - 0.3), 0.6 * _LIFT_DEGREES * stroke)
    brass = materials.brass
    for half_width, half_height, width in ((0.125, 0.2, 0.05), (0.07, 0.13, 0.032)):
        canvas.ring((x, y - 0.2), (half_width, half_height), width + 0.008, brighter(brass, 0.5))
        canvas.ring((x, y - 0.2), (half_width, half_height), width, brass)
        canvas.ring((x, y - 0.2), (half_width, half_height), 0.25 * width, brighter(brass, 1.2))
    way = [(x - 0.03, y - 0.41), (x + 0.06, y - 0.4), (x + 0.125, y - 0.3), (x + 0.15, y - 0.1), (x + 0.17, y + 0.18)]
    _draw_bell(canvas, curve(way), (0.06, 0.075, 0.09, 0.1, 0.12, 0.16, 0.28), brass)
    _draw_mouth_of_bell(canvas, (x + 0.172, y + 0.19), (0.15, 0.04), brass, -4)
    for offset in (-0.045, -0.015, 0.015, 0.045):
        _draw_tube(canvas, [(x + offset, y - 0.15), (x + offset, y - 0.26)], (0.024,), brass)
        canvas.tube([(x + offset, y - 0.15), (x + offset, y - 0.13)], (0.008,), brighter(brass, 1.2))
    _draw_tube(canvas, curve([(x, y), (x + 0.05, y - 0.02), (x + 0.1, y - 0.07)]), (0.012, 0.02), brass)
    canvas.tube([(x, y), (x + 0.02, y - 0.006)], (0.03, 0.012), brighter(brass, 1.15))
    return canvas.where((x - 0.02, y - 0.14)), canvas.where((x + 0.13, y - 0.27))


def _draw_tube(canvas: Canvas, points: Sequence[Point] | np.ndarray, widths: Sequence[float], brass: Colour) -> None:
    """A tube with a dark edge and a streak of light."""
    canvas.tube(points, [width + 0.005 for width in widths], brighter(brass, 0.5))
    canvas.tube(points, widths, brass)
    canvas.tube(points, [0.3 * width for width in widths], brighter(brass, 1.25))


def _draw_bell(canvas: Canvas, points: Sequence[Point] | np.ndarray, widths: Sequence[float], brass: Colour) -> None:
    canvas.tube(points, [width + 0.006 for width in widths[:-1]] + [widths[-1]], brighter(brass, 0.5))
    canvas.tube(points, widths, brass)
    canvas.tube(points, [0.15 * width for width in widths], brighter(brass, 1.25))


def _draw_mouth_of_bell(canvas: Canvas, centre: Point, radii: Point, brass: Colour, degrees: float = 0.0) -> None:
    canvas.ellipse(centre, radii, brighter(brass, 1.2), degrees)
    canvas.ellipse(centre, (0.85 * radii[0], 0.85 * radii[1]), brighter(brass, 0.6), degrees)
    canvas.ellipse(centre, (0.45 * radii[0], 0.45 * radii[1]), brighter(brass, 0.3), degrees)
