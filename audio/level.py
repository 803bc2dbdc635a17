"""At which level a separator should hear a recording.

Networks hear best at the levels of the mixtures that they were trained on (`av_sep.datasets.mixing.MixingConfig`); of
a quiet recording, a phone's at the back of a hall, their masks are worse. So it is turned up for them, and their
estimates are turned down again. By powers of two, which no sample of floating point is rounded by.
"""

import math
from collections.abc import Iterable

import numpy as np

LEVELS_DBFS = (-36.0, -14.0)  # root mean square
_INAUDIBLE_DBFS = -200.0  # below the last bit of 32
_DECIBELS_PER_DOUBLING = 20 * math.log10(2)


def working_gain(blocks: Iterable[np.ndarray]) -> float:
    """The power of two nearest to 1 that brings a recording's level into `LEVELS_DBFS`; 1 for silence.

    Args:
        blocks: the recording in blocks `[time, channels]` of any lengths, at full scale 1.
    """
    energy, num_values = 0.0, 0
    for block in blocks:
        energy += float(np.sum(np.square(block, dtype=np.float64)))
        num_values += np.size(block)
    if not 0 < energy < math.inf:
        return 1.0
    level_dbfs = 10 * math.log10(energy / num_values)
    if level_dbfs < _INAUDIBLE_DBFS:
        return 1.0
    lowest, highest = LEVELS_DBFS
    wanted_db = min(max(level_dbfs, lowest), highest) - level_dbfs
    # Away from 1, so that the level is reached and not only approached.
    doublings = math.copysign(math.ceil(abs(wanted_db) / _DECIBELS_PER_DOUBLING), wanted_db)
    return 2.0**doublings
