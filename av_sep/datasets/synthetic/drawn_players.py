"""Players that need no photograph: drawn people with their instruments."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from av_sep.datasets.synthetic.canvas import Canvas, standing_height_pixels
from av_sep.datasets.synthetic.drawn_brass import draw_horn, draw_trombone, draw_trumpet, draw_tuba
from av_sep.datasets.synthetic.drawn_strings import draw_cello, draw_double_bass, draw_viola, draw_violin
from av_sep.datasets.synthetic.drawn_woodwinds import (
    draw_bassoon,
    draw_clarinet,
    draw_flute,
    draw_oboe,
    draw_saxophone,
)
from av_sep.datasets.synthetic.people import Figure, draw_arm, draw_body, draw_hand, random_figure
from av_sep.datasets.synthetic.layers import PlayerPicture, trimmed
from av_sep.datasets.synthetic.materials import Hands, Materials, random_materials
from av_sep.instruments import URMP_13

_STROKES = np.linspace(-1.0, 1.0, 7)
_SHADE = 0.25


@dataclass(frozen=True)
class _Drawing:
    """How an instrument and its player are drawn.

    Attributes:
        draw: draws the instrument for a stroke and says where the hands are.
        seated_probability: how often the player sits.
        knee: how far each knee of a seated player is from the middle.
        arm_in_front: whether the right arm hides the instrument, rather than the instrument the arm; the left arm is
            always behind it, as a violinist's is.
    """

    draw: Callable[[Canvas, Figure, Materials, float], Hands]
    seated_probability: float = 0.4
    knee: float = 0.1
    arm_in_front: bool = True


DRAWINGS = {
    "violin": _Drawing(draw_violin),
    "viola": _Drawing(draw_viola),
    "cello": _Drawing(draw_cello, 1.0, 0.185),
    "double_bass": _Drawing(draw_double_bass, 0.0),
    "flute": _Drawing(draw_flute),
    "oboe": _Drawing(draw_oboe),
    "clarinet": _Drawing(draw_clarinet),
    "saxophone": _Drawing(draw_saxophone, 0.2, arm_in_front=False),
    "bassoon": _Drawing(draw_bassoon, 0.7, arm_in_front=False),
    "trumpet": _Drawing(draw_trumpet),
    "horn": _Drawing(draw_horn, arm_in_front=False),
    "trombone": _Drawing(draw_trombone),
    "tuba": _Drawing(draw_tuba, 0.7, 0.15, arm_in_front=False),
}


def draw_player(instrument: str, rng: np.random.Generator) -> PlayerPicture:
    """Somebody who plays an instrument of URMP_13, in all positions of the bow, slide or instrument.

    Raises:
        ParameterError: for another instrument.
    """
    URMP_13.index(instrument)
    drawing = DRAWINGS[instrument]
    seated = bool(rng.random() < drawing.seated_probability)
    figure, materials = random_figure(rng, seated=seated, knee=drawing.knee), random_materials(rng)
    shade = float(rng.uniform(-_SHADE, _SHADE))
    layers = [_draw(drawing, figure, materials, float(stroke)).layer(shade) for stroke in _STROKES]
    strokes = trimmed(layers)
    return PlayerPicture(strokes, strokes[0].shape[0] / standing_height_pixels())


def _draw(drawing: _Drawing, figure: Figure, materials: Materials, stroke: float) -> Canvas:
    """A player in one position, from back to front."""
    # Where the hands belong must be known before the instrument may be drawn, so it is drawn into the void first.
    right, left = drawing.draw(Canvas(np.zeros((1, 1, 4), np.uint8)), figure, materials, stroke)
    canvas = Canvas()
    draw_body(canvas, figure)
    draw_arm(canvas, figure, 1, left)
    if not drawing.arm_in_front:
        draw_arm(canvas, figure, -1, right)
    drawing.draw(canvas, figure, materials, stroke)
    if drawing.arm_in_front:
        draw_arm(canvas, figure, -1, right)
    draw_hand(canvas, figure, left)
    draw_hand(canvas, figure, right)
    return canvas
