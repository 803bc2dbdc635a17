"""The five woodwinds, drawn in a player's hands. Lengths and points are those of `canvas`.

A stroke of 1 lifts the instrument a little, one of -1 lowers it.
"""

import numpy as np

from av_sep.datasets.synthetic.canvas import Canvas, Colour, Point, brighter, curve
from av_sep.datasets.synthetic.people import Figure
from av_sep.datasets.synthetic.materials import Hands, Materials

_LIFT_DEGREES = 4.0
_SILVER = (205, 208, 214)
_BLACKWOOD = (30, 27, 28)
_REED = (222, 188, 120)


def draw_flute(canvas: Canvas, figure: Figure, materials: Materials, stroke: float) -> Hands:
    """Across the face, to the viewer's left."""
    canvas = canvas.turned(figure.mouth, -_LIFT_DEGREES * stroke)
    start, end = (0.05, figure.mouth[1] - 0.004), (-0.36, figure.mouth[1] - 0.03)
    _draw_pipe(canvas, start, end, (0.018, 0.016), _SILVER)
    canvas.ellipse((0.0, figure.mouth[1] - 0.006), (0.016, 0.008), (150, 152, 158))
    _draw_keys(canvas, (-0.1, figure.mouth[1] - 0.014), (-0.32, figure.mouth[1] - 0.028), 9, (150, 152, 158))
    return canvas.where((-0.26, figure.mouth[1] - 0.03)), canvas.where((-0.13, figure.mouth[1] - 0.03))


def draw_oboe(canvas: Canvas, figure: Figure, materials: Materials, stroke: float) -> Hands:
    """Slender, held away from the body, with a reed and a bulb for a bell."""
    x, y = figure.mouth
    canvas = canvas.turned(figure.mouth, -_LIFT_DEGREES * stroke)
    end = x - 0.15, y - 0.27
    canvas.tube([(x, y), (x - 0.02, y - 0.036)], (0.007,), _REED)
    _draw_pipe(canvas, (x - 0.02, y - 0.036), end, (0.014, 0.021), _BLACKWOOD)
    canvas.ellipse(end, (0.021, 0.027), _BLACKWOOD, -29)
    _draw_keys(canvas, (x - 0.04, y - 0.07), (x - 0.135, y - 0.245), 9, _SILVER)
    return canvas.where((x - 0.115, y - 0.205)), canvas.where((x - 0.07, y - 0.12))


def draw_clarinet(canvas: Canvas, figure: Figure, materials: Materials, stroke: float) -> Hands:
    """Straight down before the body, with silver rings and a flaring bell."""
    x, y = figure.mouth
    canvas = canvas.turned(figure.mouth, _LIFT_DEGREES * stroke)
    end = x + 0.035, y - 0.36
    canvas.tube([(x, y), (x + 0.004, y - 0.05)], (0.012, 0.024), _BLACKWOOD)
    _draw_pipe(canvas, (x + 0.004, y - 0.05), end, (0.025, 0.028), _BLACKWOOD)
    bell = [(x + 0.031, y - 0.315), (x + 0.034, y - 0.35), (x + 0.037, y - 0.38)]
    canvas.tube(curve(bell), (0.03, 0.04, 0.078), _BLACKWOOD)
    for fraction in (0.0, 0.3, 0.58, 0.86):
        centre = x + 0.004 + 0.031 * fraction, y - 0.05 - 0.31 * fraction
        canvas.tube([(centre[0] - 0.014, centre[1]), (centre[0] + 0.014, centre[1])], (0.007,), _SILVER)
    _draw_keys(canvas, (x + 0.008, y - 0.09), (x + 0.03, y - 0.3), 8, _SILVER)
    return canvas.where((x + 0.022, y - 0.26)), canvas.where((x + 0.014, y - 0.15))


def draw_saxophone(canvas: Canvas, figure: Figure, materials: Materials, stroke: float) -> Hands:
    """A golden J at the player's right hip, its bell turned up."""
    x, y = figure.mouth
    canvas = canvas.turned(figure.mouth, -_LIFT_DEGREES * stroke)
    gold = materials.brass
    dark = brighter(gold, 0.55)
    canvas.tube([(x, y), (x - 0.025, y + 0.006)], (0.014, 0.02), _BLACKWOOD)
    way = [(x - 0.02, y + 0.005), (x - 0.055, y), (x - 0.075, y - 0.05), (x - 0.1, y - 0.2), (x - 0.125, y - 0.34)]
    way += [(x - 0.165, y - 0.385), (x - 0.21, y - 0.35), (x - 0.225, y - 0.26), (x - 0.245, y - 0.19)]
    for extra, colour in ((0.008, dark), (0.0, gold)):
        widths = (0.015, 0.022, 0.03, 0.042, 0.052, 0.06, 0.068, 0.08, 0.12)
        canvas.tube(curve(way, 70), [width + extra for width in widths], colour)
    canvas.ellipse((x - 0.247, y - 0.185), (0.066, 0.026), brighter(gold, 1.15), 15)
    canvas.ellipse((x - 0.247, y - 0.183), (0.052, 0.018), brighter(gold, 0.4), 15)
    _draw_keys(canvas, (x - 0.08, y - 0.09), (x - 0.118, y - 0.31), 7, brighter(gold, 1.25), 0.011)
    return canvas.where((x - 0.108, y - 0.27)), canvas.where((x - 0.085, y - 0.13))


def draw_bassoon(canvas: Canvas, figure: Figure, materials: Materials, stroke: float) -> Hands:
    """A long reddish tube from the player's right hip to above the left ear, with a thin bent mouthpiece."""
    x, y = figure.mouth
    canvas = canvas.turned((x, y - 0.1), 0.6 * _LIFT_DEGREES * stroke)
    wood = (118, 38, 26)
    foot, joint, top = (x - 0.19, y - 0.44), (x + 0.075, y - 0.01), (x + 0.205, y + 0.2)
    _draw_pipe(canvas, foot, joint, (0.062, 0.055), wood)
    _draw_pipe(canvas, joint, top, (0.036, 0.034), wood)
    canvas.tube([_between(joint, top, 0.96), top], (0.044,), (238, 234, 222))
    canvas.tube([foot, _between(foot, joint, 0.06)], (0.066,), _SILVER)
    canvas.tube(curve([(x, y), (x + 0.02, y + 0.018), (x + 0.05, y + 0.008), (x + 0.055, y - 0.03)]), (0.007,), _SILVER)
    _draw_keys(canvas, _between(foot, joint, 0.15), _between(foot, joint, 0.95), 10, _SILVER)
    return canvas.where(_between(foot, joint, 0.4)), canvas.where(_between(foot, joint, 0.8))


def _draw_pipe(canvas: Canvas, start: Point, end: Point, widths: tuple[float, float], colour: Colour) -> None:
    """A straight pipe with a dark edge and a streak of light."""
    canvas.tube([start, end], [width + 0.006 for width in widths], brighter(colour, 0.5))
    canvas.tube([start, end], widths, colour)
    red, green, blue = (min(255, value + 60) for value in colour)
    streak = [_between(start, end, 0.03), _between(start, end, 0.97)]
    canvas.tube(streak, (0.25 * widths[0],), (red, green, blue))


def _draw_keys(canvas: Canvas, start: Point, end: Point, count: int, colour: Colour, radius: float = 0.007) -> None:
    for fraction in np.linspace(0, 1, count):
        canvas.ellipse(_between(start, end, float(fraction)), (radius, radius), colour)


def _between(start: Point, end: Point, fraction: float) -> Point:
    return start[0] + fraction * (end[0] - start[0]), start[1] + fraction * (end[1] - start[1])
