"""Public-domain tunes as data, each with a chord for every bar.

Conventions:
    Pitches are semitones above the tonic; lengths are beats. Chords are degrees, tonic = 0, one for each bar. A round
    can be sung in canon, the voices entering `round_bars` apart.
"""

from dataclasses import dataclass

from av_sep.datasets.synthetic.harmony import DOMINANT, MEDIANT, SUBDOMINANT, SUBMEDIANT, SUBTONIC, SUPERTONIC, TONIC


@dataclass(frozen=True)
class Tune:
    """A tune.

    Attributes:
        title: fit for a folder's name: letters only.
        beats_per_bar: its metre.
        minor: whether it is in a minor key.
        notes: (semitones above the tonic, beats) in order; the beats fill whole bars.
        chords: degree of each bar's chord.
        round_bars: distance of the voices where it works as a round, 0 where it does not.
    """

    title: str
    beats_per_bar: int
    minor: bool
    notes: tuple[tuple[int, float], ...]
    chords: tuple[int, ...]
    round_bars: int = 0


def _line(*bars: str) -> tuple[tuple[int, float], ...]:
    """Notes from text: "4:1.5 2:.5" is four semitones above the tonic for a beat and a half, then two for half one."""
    pairs = (token.split(":") for bar in bars for token in bar.split())
    return tuple((int(pitch), float(beats)) for pitch, beats in pairs)


_ODE_OPENING = "4:1 4:1 5:1 7:1", "7:1 5:1 4:1 2:1", "0:1 0:1 2:1 4:1"
_FRERE_BARS = (
    "0:1 2:1 4:1 0:1", "0:1 2:1 4:1 0:1", "4:1 5:1 7:2", "4:1 5:1 7:2", "7:.5 9:.5 7:.5 5:.5 4:1 0:1",
    "7:.5 9:.5 7:.5 5:.5 4:1 0:1", "0:1 -5:1 0:2", "0:1 -5:1 0:2",
)  # fmt: skip
_GREENSLEEVES_BARS = (
    "3:2 5:1", "7:1.5 8:.5 7:1", "5:2 2:1", "-2:1.5 0:.5 2:1", "3:2 0:1", "0:1.5 -1:.5 0:1", "2:2 -1:1", "-5:2 0:1",
    "3:2 5:1", "7:1.5 8:.5 7:1", "5:2 2:1", "-2:1.5 0:.5 2:1", "3:1.5 2:.5 0:1", "-1:1.5 -3:.5 -1:1", "0:3", "0:3",
)  # fmt: skip

TUNES = (
    Tune(
        "OdeToJoy", 4, False,
        _line(*_ODE_OPENING, "4:1.5 2:.5 2:2", *_ODE_OPENING, "2:1.5 0:.5 0:2"),
        (TONIC, DOMINANT, TONIC, DOMINANT, TONIC, DOMINANT, TONIC, TONIC),
    ),
    Tune("FrereJacques", 4, False, _line(*_FRERE_BARS), (TONIC,) * 8, 2),
    Tune(
        "Greensleeves", 3, True, _line(*_GREENSLEEVES_BARS),
        (
            TONIC, TONIC, SUBTONIC, SUBTONIC, TONIC, TONIC, DOMINANT, DOMINANT,
            TONIC, TONIC, SUBTONIC, SUBTONIC, TONIC, DOMINANT, TONIC, TONIC,
        ),
    ),
    Tune(
        "TwinkleTwinkle", 4, False,
        _line(
            "0:1 0:1 7:1 7:1", "9:1 9:1 7:2", "5:1 5:1 4:1 4:1", "2:1 2:1 0:2", "7:1 7:1 5:1 5:1", "4:1 4:1 2:2",
            "7:1 7:1 5:1 5:1", "4:1 4:1 2:2", "0:1 0:1 7:1 7:1", "9:1 9:1 7:2", "5:1 5:1 4:1 4:1", "2:1 2:1 0:2",
        ),
        (
            TONIC, SUBDOMINANT, TONIC, DOMINANT, TONIC, DOMINANT, TONIC, DOMINANT, TONIC, SUBDOMINANT, TONIC, DOMINANT,
        ),
    ),
    Tune(
        "RowYourBoat", 6, False,
        _line(
            "0:3 0:3", "0:2 2:1 4:3", "4:2 2:1 4:2 5:1", "7:6", "12:1 12:1 12:1 7:1 7:1 7:1", "4:1 4:1 4:1 0:1 0:1 0:1",
            "7:2 5:1 4:2 2:1", "0:6",
        ),
        (TONIC,) * 8, 2,
    ),
    Tune(
        "AmazingGrace", 3, False,
        _line(
            "0:2 4:.5 0:.5", "4:2 2:1", "0:2 -3:1", "-5:2 -5:1", "0:2 4:.5 0:.5", "4:2 2:1", "7:3", "7:2 4:1",
            "7:2 4:.5 0:.5", "4:2 2:1", "0:2 -3:1", "-5:2 -5:1", "0:2 4:.5 0:.5", "4:2 2:1", "0:3", "0:3",
        ),
        (
            TONIC, TONIC, SUBDOMINANT, TONIC, TONIC, SUBMEDIANT, DOMINANT, DOMINANT,
            TONIC, TONIC, SUBDOMINANT, TONIC, TONIC, DOMINANT, TONIC, TONIC,
        ),
    ),
    Tune(
        "PachelbelGround", 4, False,
        _line(
            "16:2 14:2", "12:2 11:2", "9:2 7:2", "9:2 11:2", "12:1 11:1 12:1 4:1", "2:1 7:1 4:1 2:1", "0:1 4:1 7:1 5:1",
            "4:1 0:1 2:1 7:1",
        ),
        (TONIC, SUBMEDIANT, SUBDOMINANT, DOMINANT, TONIC, DOMINANT, TONIC, DOMINANT),
    ),
    Tune(
        "ScarboroughFair", 3, True,
        _line(
            "0:2 0:1", "7:2 7:1", "2:1.5 3:.5 2:1", "0:3", "7:1 10:1 12:1", "10:1 7:1 9:.5 5:.5", "7:3", "7:3",
            "12:1 12:1 12:1", "10:2 7:1", "7:1 5:1 3:1", "2:1 -2:2", "0:2 7:1", "5:1 3:1 2:1", "0:1 -2:2", "0:3",
        ),
        (
            TONIC, TONIC, DOMINANT, TONIC, MEDIANT, TONIC, TONIC, TONIC,
            MEDIANT, MEDIANT, SUBMEDIANT, SUBTONIC, TONIC, SUBDOMINANT, SUBTONIC, TONIC,
        ),
    ),
    Tune(
        "AuldLangSyne", 4, False,
        _line(
            "0:1.5 0:.5 0:1 4:1", "2:1.5 0:.5 2:1 4:1", "0:1.5 0:.5 4:1 7:1", "9:3 9:1", "7:1.5 4:.5 4:1 0:1",
            "2:1.5 0:.5 2:1 4:1", "0:1.5 -3:.5 -3:1 -5:1", "0:4",
        ),
        (TONIC, DOMINANT, TONIC, SUBDOMINANT, TONIC, DOMINANT, SUPERTONIC, TONIC),
    ),
)  # fmt: skip
