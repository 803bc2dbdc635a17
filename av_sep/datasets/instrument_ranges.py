"""Sounding ranges of the URMP instruments: the one table that everything which writes notes must obey.

Conventions:
    Pitches are MIDI numbers at sounding (concert) pitch, so transposing instruments and the octave-transposing double
    bass are already resolved: A4 = 69 = 440 Hz. Ranges are inclusive. `full` is what a good orchestral player reaches;
    `usual` is where most of the repertoire lies and where random lines spend most of their time.

References:
    S. Adler, "The Study of Orchestration", 4th edition, 2016, appendix A (professional ranges).
"""

from dataclasses import dataclass

from av_sep.errors import ParameterError


@dataclass(frozen=True)
class Voice:
    """One member of an instrument's family, as General MIDI knows it.

    Attributes:
        program: General MIDI program number counted from 0 (violin is 40).
        full: lowest and highest sounding MIDI pitch, inclusive.
        usual: lowest and highest pitch of most music, inclusive.
    """

    program: int
    full: tuple[int, int]
    usual: tuple[int, int]


VOICES: dict[str, tuple[Voice, ...]] = {
    "violin": (Voice(40, (55, 96), (57, 88)),),
    "viola": (Voice(41, (48, 84), (50, 77)),),
    "cello": (Voice(42, (36, 79), (38, 69)),),
    "double_bass": (Voice(43, (28, 62), (29, 53)),),
    "flute": (Voice(73, (60, 96), (64, 91)),),
    "oboe": (Voice(68, (58, 89), (62, 84)),),
    "clarinet": (Voice(71, (50, 89), (53, 82)),),
    "saxophone": (
        Voice(64, (56, 86), (60, 82)),
        Voice(65, (49, 80), (53, 77)),
        Voice(66, (44, 75), (48, 72)),
        Voice(67, (36, 68), (41, 63)),
    ),
    "bassoon": (Voice(70, (34, 74), (38, 67)),),
    "trumpet": (Voice(56, (54, 84), (58, 79)),),
    "horn": (Voice(60, (36, 77), (46, 72)),),
    "trombone": (Voice(57, (38, 72), (43, 69)),),
    "tuba": (Voice(58, (26, 62), (31, 55)),),
}


def voices(instrument: str) -> tuple[Voice, ...]:
    """Members of the family that goes by this instrument's name; one for all but the saxophone.

    Raises:
        ParameterError: for an instrument that has no range in the table.
    """
    if instrument not in VOICES:
        raise ParameterError(f"Expected one of {', '.join(VOICES)}. Received: {instrument!r}")
    return VOICES[instrument]


def full_range(instrument: str) -> tuple[int, int]:
    """Lowest and highest MIDI pitch over all members of the family, inclusive."""
    members = voices(instrument)
    return min(member.full[0] for member in members), max(member.full[1] for member in members)
