"""Which instruments a listening network is told can play, while it learns: more than do, as a label may be wrong.

Conventions: labels and candidates are float32 `[num_instruments]`, 0 or 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CandidateConfig:
    """How candidates are drawn.

    Attributes:
        all_probability: chance that nothing is known: all instruments are candidates.
        missing_probability: chance that an instrument that plays is none of the candidates.
        num_extra_weights: chance of 0, 1, 2, … candidates that do not play.
        relative_probability: chance that one of these is of the family of one that plays, where there is any: a
            camera takes a viola for a violin sooner than for a tuba.
    """

    all_probability: float = 0.35
    missing_probability: float = 0.05
    num_extra_weights: tuple[float, ...] = (0.15, 0.35, 0.25, 0.15, 0.1)
    relative_probability: float = 0.4


def draw_candidates(
    labels: np.ndarray, families: Sequence[str], config: CandidateConfig, rng: np.random.Generator
) -> np.ndarray:
    """Candidates for a recording of the labelled instruments, one at least.

    Args:
        labels: which instruments play.
        families: of every instrument.
        config: how to draw.
        rng: source of all chance.
    """
    if rng.random() < config.all_probability:
        return np.ones_like(labels)
    candidates = labels * (rng.random(labels.shape) >= config.missing_probability)
    num_extra = rng.choice(len(config.num_extra_weights), p=config.num_extra_weights)
    for _ in range(max(num_extra, int(not candidates.any()))):
        others = np.flatnonzero((labels == 0) & (candidates == 0))
        if not len(others):
            break
        playing = {family for family, label in zip(families, labels, strict=True) if label}
        relatives = [i for i in others if families[int(i)] in playing]
        use_relatives = rng.random() < config.relative_probability and bool(relatives)
        candidates[rng.choice(relatives if use_relatives else others)] = 1
    return candidates if candidates.any() else labels.copy()
