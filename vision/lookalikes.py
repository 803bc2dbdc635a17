"""Instruments that photos cannot tell apart, and how sure one may be of each.

A viola is a violin a sixth larger, and a picture has no ruler. What a classifier says of the pair together is worth
much, what it says within the pair hardly anything: on photos of unseen origins its log odds of violin against viola are
much the same for both, 2 to 3. So the odds within a pair are drawn towards what is usual,

    odds of the first = usual odds * (classifier's odds) ** trust

and each gets its share of what the pair has together; but the one that then leads gets no less than the classifier gave
to either, since being unsure which of two it is makes it no less sure that one is there. At 0.9 for the pair, equal
ones become 0.54 violin and 0.36 viola; 0.85 and 0.05 become 0.85 and 0.20. Both play a part in the label vector, and
whoever names one loses little. `benchmarks/train_instrument_head.py` measures what it brings.

Cello and double bass are not told apart either, but the classifier knows that: its odds hardly ever leave 1 to 3, so
there is nothing to draw together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_TINY = 1e-9  # keeps the odds of an impossible instrument finite


@dataclass(frozen=True)
class LookalikePair:
    """Two instruments that the classifier takes for one another.

    Attributes:
        first: long name.
        second: likewise.
        usual_odds: of the first against the second where nothing is known. Quartets have two violins and a viola.
        trust: in the classifier's own odds, from 0 (none) to 1 (as they are).
    """

    first: str
    second: str
    usual_odds: float
    trust: float


LOOKALIKE_PAIRS = (LookalikePair("violin", "viola", 1.5, 0.3),)


def spread_lookalikes(
    probabilities: np.ndarray, instruments: Sequence[str], pairs: Sequence[LookalikePair] = LOOKALIKE_PAIRS
) -> np.ndarray:
    """Confidences in which instruments that look alike share what they have together.

    Args:
        probabilities: `[num_views, num_columns]`, the instruments' columns first.
        instruments: their names; pairs that are not both among them are left as they are.
        pairs: each instrument in one at most.

    Returns:
        Likewise, in [0, 1]. All other columns are as they were; the sum over a pair is what it was, or more by as much
        as its second one gained.
    """
    spread = np.array(probabilities)
    for pair in pairs:
        if pair.first in instruments and pair.second in instruments:
            columns = [instruments.index(pair.first), instruments.index(pair.second)]
            of_first, of_second = np.log(np.maximum(probabilities[:, columns], _TINY)).T
            odds = pair.usual_odds * np.exp(pair.trust * (of_first - of_second))
            together = probabilities[:, columns].sum(axis=1)
            shares = np.stack([together * odds, together], axis=1) / (1.0 + odds)[:, None]
            leads = shares == shares.max(axis=1, keepdims=True)
            least = probabilities[:, columns].max(axis=1, keepdims=True)
            spread[:, columns] = np.where(leads, np.maximum(shares, least), shares)
    return spread
