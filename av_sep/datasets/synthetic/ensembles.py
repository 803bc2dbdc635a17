"""Who plays: ensembles as one meets them and ensembles as one does not.

Conventions:
    Players are in stage order, left to right. Pitches are MIDI numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from av_sep.datasets.instrument_ranges import Voice, voices
from av_sep.datasets.synthetic.harmony import Window
from av_sep.instruments import URMP_13

_HIGHEST_CENTRE, _LOWEST_CENTRE = 75.0, 46.0
_WINDOW_HALF = 9
_MOST_OF_ONE_INSTRUMENT = 2
_SIZE_WEIGHTS = {1: 1.0, 2: 3.0, 3: 3.0, 4: 4.0, 5: 2.0}


@dataclass(frozen=True)
class Player:
    """One player.

    Attributes:
        instrument: long name.
        voice: which member of the instrument's family (alto or tenor saxophone).
    """

    instrument: str
    voice: Voice

    @property
    def centre(self) -> float:
        """Middle of the usual range."""
        return sum(self.voice.usual) / 2.0


def draw_ensemble(
    instruments: Sequence[str], min_players: int, max_players: int, rng: np.random.Generator
) -> tuple[Player, ...]:
    """An ensemble: often of one family, sometimes of anything, now and then two players of one instrument.

    Args:
        instruments: to choose from, long names of URMP_13.
        min_players: at least so many.
        max_players: at most so many.
        rng: all chance.

    Returns:
        Players, mostly from high to low, as chamber music is set on stage; now and then in any order.
    """
    sizes = np.arange(min_players, max_players + 1)
    weights = np.array([_SIZE_WEIGHTS.get(int(size), 1.0) for size in sizes])
    num_players = int(rng.choice(sizes, p=weights / weights.sum()))
    pool = _pool(instruments, num_players, rng)
    players = []
    for name in rng.permutation(pool)[:num_players]:
        members = voices(str(name))
        players.append(Player(str(name), members[int(rng.integers(len(members)))]))
    if rng.random() < 0.8:
        players.sort(key=lambda player: -player.centre)
    return tuple(players)


def _pool(instruments: Sequence[str], num_players: int, rng: np.random.Generator) -> list[str]:
    """Names to draw from without putting back; a name is there as often as it may play."""
    families: dict[str, list[str]] = {}
    for name in instruments:
        families.setdefault(URMP_13.family(name), []).append(name)
    chosen = list(instruments)
    if rng.random() < 0.6:
        chosen = families[str(rng.choice(sorted(families)))]
    # Where there are enough instruments, doubling is the exception; where there are few, it has to be the rule.
    copies = _MOST_OF_ONE_INSTRUMENT if rng.random() < 0.3 else 1
    return chosen * max(copies, -(-num_players // len(chosen)))


def voice_windows(players: Sequence[Player], rng: np.random.Generator) -> tuple[list[int], list[Window]]:
    """Who takes which voice of the score, and where it lies.

    Returns:
        Positions among the players from the highest voice to the lowest, and the window of each voice in that order:
        nine semitones to both sides of the voice's place in a choir, give or take some, as near to it as the
        instrument's usual range allows.
    """
    order = sorted(range(len(players)), key=lambda i: -players[i].centre)
    wanted = np.linspace(_HIGHEST_CENTRE, _LOWEST_CENTRE, max(2, len(players))) + rng.normal(0.0, 3.0)
    windows = []
    for rank, position in enumerate(order):
        voice = players[position].voice
        low, high = voice.usual[0] + _WINDOW_HALF, voice.usual[1] - _WINDOW_HALF
        centre = round(min(max(wanted[rank], low), max(low, high)))
        windows.append((max(voice.full[0], centre - _WINDOW_HALF), min(voice.full[1], centre + _WINDOW_HALF)))
    return order, windows
