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

from av_sep.instruments import Taxonomy

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


def family_confidences(label_confidences: Sequence[float], taxonomy: Taxonomy) -> dict[str, float]:
    """How sure it is that some instrument of each family is played, by one player: the sum over its instruments.

    Args:
        label_confidences: `[num_instruments]` of one detection or player, in the taxonomy's order.
        taxonomy: names and families.

    Returns:
        Family -> confidence in [0, 1], in the taxonomy's order.
    """
    families: dict[str, float] = {}
    for instrument, confidence in zip(taxonomy.instruments, label_confidences, strict=True):
        families[instrument.family] = min(1.0, families.get(instrument.family, 0.0) + confidence)
    return families


def describe_unsure(
    label_confidences: Sequence[float], taxonomy: Taxonomy, sure: float = 0.8, rival_share: float = 0.25
) -> tuple[str, float]:
    """The shortest statement about one player that is as sure as wanted: "violin", "violin or viola", or "strings".

    Args:
        label_confidences: `[num_instruments]` in the taxonomy's order.
        taxonomy: names and families.
        sure: confidence in [0, 1] from which the likeliest instrument is named alone.
        rival_share: of the likeliest one's confidence, from which an instrument of its family is named beside it.

    Returns:
        The statement, and its confidence; a family is named where three instruments or more would be.
    """
    best = int(np.argmax(label_confidences))
    name, family = taxonomy.names[best], taxonomy.instruments[best].family
    if label_confidences[best] >= sure:
        return name, float(label_confidences[best])
    rivals = [
        position
        for position, instrument in enumerate(taxonomy.instruments)
        if instrument.family == family and label_confidences[position] >= rival_share * label_confidences[best]
    ]
    if len(rivals) > 2:
        return family, family_confidences(label_confidences, taxonomy)[family]
    together = min(1.0, sum(label_confidences[position] for position in rivals))
    return " or ".join(taxonomy.names[position] for position in rivals), float(together)
