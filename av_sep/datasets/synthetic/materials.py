"""What instruments are made of, and where the hands hold them."""

from dataclasses import dataclass

import numpy as np

from av_sep.datasets.synthetic.canvas import Colour, Point

# The player's right hand, at the viewer's left, and the left hand.
Hands = tuple[Point, Point]

_WOODS = ((150, 78, 34), (176, 98, 44), (132, 58, 28), (190, 120, 58), (110, 50, 30))
_BRASSES = ((214, 168, 62), (232, 190, 90), (200, 150, 70), (206, 206, 212))


@dataclass(frozen=True)
class Materials:
    """Colours of an instrument: strings are of wood, brass of brass, and some brass is silver."""

    wood: Colour
    brass: Colour


def random_materials(rng: np.random.Generator) -> Materials:
    """Any of what is usual."""
    return Materials(_WOODS[int(rng.integers(len(_WOODS)))], _BRASSES[int(rng.integers(len(_BRASSES)))])
