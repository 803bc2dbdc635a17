"""Leaving out video frames that look almost like the one before, so that nobody looks at them again.

A picture is shrunk to `GRID` x `GRID` grey cells, each the mean of its part of the picture, so that the noise of a
camera or of compression does not count. Two pictures are near-identical if at most `MAX_CHANGED_CELLS` cells differ by
more than `CELL_DIFFERENCE` of 255 grey levels. A moving bow or hand changes fewer cells; a player who stands up, a cut
or a zoom changes more. What a picture is compared with is the last one that was judged, so slow changes add up.
"""

import cv2
import numpy as np

GRID = 32  # cells across and down
CELL_DIFFERENCE = 16  # grey levels of 255
MAX_CHANGED_CELLS = 10  # of the GRID · GRID, that is 1 %


class SimilarPictures:
    """Tells which pictures of a film, shown one after the other, look almost like the last that did not."""

    def __init__(self) -> None:
        self._judged: np.ndarray | None = None

    def is_similar(self, picture: np.ndarray) -> bool:
        """Whether a picture is near-identical to the last one for which this was False.

        Args:
            picture: uint8 RGB `[height, width, 3]`.
        """
        cells = _cells(picture)
        if self._judged is not None and np.sum(np.abs(cells - self._judged) > CELL_DIFFERENCE) <= MAX_CHANGED_CELLS:
            return True
        self._judged = cells
        return False


def _cells(picture: np.ndarray) -> np.ndarray:
    """Grey levels `[GRID, GRID]`, float."""
    small = cv2.resize(picture, (GRID, GRID), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
