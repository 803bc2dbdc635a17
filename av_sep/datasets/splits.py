"""Which tracks are for training, which for validation, which for testing.

Conventions:
    A split is a function from tracks to {"train": …, "validation": …, "test": …}. The side of a track depends on that
    track alone: adding tracks to a dataset, or leaving some out, never moves another one. A track on no side is left
    out by the split, and `describe_split` says so.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from av_sep.datasets.track import SPLITS, Dataset, Split, Track
from av_sep.errors import ParameterError

# The first by which both the training and the test side of the whole of URMP hold all 13 instruments, with
# 19 / 3 / 5 of its 27 compositions (see the test that recounts this). No score was looked at.
COMPOSITION_SEED = 912
COMPOSITION_FRACTIONS = (0.7, 0.1, 0.2)


def split_by(side_of: Callable[[Track], str | None]) -> Split:
    """A split from the side of each track: one of `SPLITS`, or None to leave the track out."""

    def split(tracks: Sequence[Track]) -> Mapping[str, tuple[Track, ...]]:
        sides = [side_of(track) for track in tracks]
        return {name: tuple(track for track, side in zip(tracks, sides) if side == name) for name in SPLITS}

    return split


def by_composition(
    seed: int = COMPOSITION_SEED, fractions: tuple[float, float, float] = COMPOSITION_FRACTIONS
) -> Split:
    """Compositions drawn to the sides by chance that hangs on the composition's name and the seed alone.

    All tracks of a composition come to the same side. The fractions hold for many compositions; for few they are the
    chances. Names count as the same in upper and lower case and in any Unicode form, as file systems change these.

    Args:
        seed: another seed is another split.
        fractions: how many of the compositions go to training, validation and testing; their sum is 1.

    Raises:
        ParameterError: for fractions that are negative or do not sum to 1.
    """
    if len(fractions) != len(SPLITS) or min(fractions) < 0 or abs(sum(fractions) - 1.0) > 1e-9:
        raise ParameterError(f"Expected {len(SPLITS)} fractions that sum to 1. Received: {fractions}")

    def side_of(track: Track) -> str:
        position = _position(track.composition, seed)
        if position < fractions[0]:
            return "train"
        return "validation" if position < fractions[0] + fractions[1] else "test"

    return split_by(side_of)


def _position(composition: str, seed: int) -> float:
    """A number in [0, 1) for a composition, evenly spread over all names."""
    name = unicodedata.normalize("NFC", composition.casefold())
    digest = hashlib.blake2b(f"{seed}:{name}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def one_sided() -> dict[str, Split]:
    """The splits that every dataset has: "all_train" and "all_test" put all tracks on one side."""
    return {"all_train": split_by(lambda track: "train"), "all_test": split_by(lambda track: "test")}


def describe_split(dataset: Dataset, name: str | None = None) -> str:
    """A line that tells how many tracks and compositions a split puts where, and which compositions straddle it.

    E.g. "urmp, split authors: train 29 tracks (18 compositions), validation 0 tracks, test 11 tracks (11 compositions);
    left out: 02_Sonata_vn_vn, …; on more than one side: Fugue, …".

    Args:
        dataset: an indexed dataset.
        name: one of its splits; its first where None.

    Raises:
        ParameterError: for an unknown split.
    """
    sides = dataset.split(name)
    counts = ", ".join(f"{side} {_count(tracks)}" for side, tracks in sides.items())
    placed = {track.name for tracks in sides.values() for track in tracks}
    left_out = ", ".join(track.name for track in dataset.tracks if track.name not in placed)
    straddling = ", ".join(_straddling(sides))
    line = f"{dataset.name}, split {name or next(iter(dataset.splits))}: {counts}"
    line += f"; left out: {left_out}" if left_out else ""
    return line + (f"; on more than one side: {straddling}" if straddling else "")


def _count(tracks: Sequence[Track]) -> str:
    compositions = len({track.composition for track in tracks})
    text = f"{len(tracks)} track{'s' * (len(tracks) != 1)}"
    return f"{text} ({compositions} composition{'s' * (compositions != 1)})" if tracks else text


def _straddling(sides: Mapping[str, Sequence[Track]]) -> list[str]:
    compositions = [composition for tracks in sides.values() for composition in {t.composition for t in tracks}]
    return sorted({composition for composition in compositions if compositions.count(composition) > 1})
