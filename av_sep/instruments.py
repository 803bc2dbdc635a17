"""The only place where instruments are listed.

A `Taxonomy` is an ordered tuple of instruments. Label vectors, source axes and stems all follow its order, and there is
no slot for the mixture. A trained model carries its taxonomy by value (a list of names in its config), so that a later
edit here cannot silently relabel old weights.

References:
    URMP: B. Li, X. Liu, K. Dinesh, Z. Duan, G. Sharma, "Creating a multitrack classical music performance dataset for
    multimodal music analysis", IEEE Trans. Multimedia 21(2), 2019. Abbreviations are those of its file names.
    MUSDB18: Z. Rafii, A. Liutkus, F.-R. Stoeter, S. I. Mimilakis, R. Bittner, 2017.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from av_sep.errors import ParameterError


@dataclass(frozen=True)
class Instrument:
    """One instrument: its name in files and tables, its short name, and other spellings people type.

    Attributes:
        name: long snake_case name, e.g. "double_bass"; also the stem's file name.
        abbreviation: URMP's short name, e.g. "db".
        family: "strings", "woodwinds", "brass", "band" or "other".
        aliases: further spellings accepted from users, lower case.
    """

    name: str
    abbreviation: str
    family: str
    aliases: tuple[str, ...] = ()

    @property
    def section(self) -> str:
        """The family, the strings in two: "violin family" (violin, viola) and "low strings" (cello, double bass).

        Within a section of the strings instruments look alike, between the two they do not.
        """
        return _STRING_SECTIONS.get(self.name, self.family)

    @property
    def title(self) -> str:
        """The name as a person would write it, e.g. "double bass"."""
        return self.name.replace("_", " ")


_STRING_SECTIONS = {
    "violin": "violin family",
    "viola": "violin family",
    "cello": "low strings",
    "double_bass": "low strings",
}


class Taxonomy:
    """An ordered set of instruments, and the only translator between names and positions."""

    def __init__(self, name: str, instruments: Sequence[Instrument]):
        self.name = name
        self.instruments = tuple(instruments)
        self._index = {instrument.name: i for i, instrument in enumerate(self.instruments)}
        if len(self._index) != len(self.instruments):
            raise ParameterError(f"Taxonomy {name!r} needs distinct instrument names. Received: {self.names}")
        self._spellings = {
            _normalize(spelling): instrument.name
            for instrument in self.instruments
            for spelling in (instrument.abbreviation, *instrument.aliases)
        }
        # Last, for in a model's own set one may be called what another is called for short.
        self._spellings.update({_normalize(name): name for name in self.names})

    def __len__(self) -> int:
        return len(self.instruments)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Taxonomy) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)

    def __repr__(self) -> str:
        return f"Taxonomy({self.name!r}, {len(self)} instruments)"

    @property
    def names(self) -> tuple[str, ...]:
        """Long names in order; position i is slot i of every label vector and source axis."""
        return tuple(instrument.name for instrument in self.instruments)

    def index(self, name: str) -> int:
        """Position of an instrument given by its exact long name."""
        if name not in self._index:
            raise ParameterError(f"Expected one of {', '.join(self.names)}. Received: {name!r}")
        return self._index[name]

    def parse(self, spelling: str) -> str:
        """Long name for whatever a person typed: long name, abbreviation or alias, in any case or number.

        Raises:
            ParameterError: for an unknown instrument, with the nearest known spelling as a suggestion.
        """
        name = self._find(spelling)
        if name is not None:
            return name
        hint = self._hint(_normalize(spelling))
        known = ", ".join(f"{i.abbreviation} ({i.name})" for i in self.instruments)
        raise ParameterError(f"Unknown instrument.{hint} Expected any of {known}. Received: {spelling!r}")

    def _find(self, spelling: str) -> str | None:
        """As `parse`; None for an unknown instrument."""
        key = _normalize(spelling)
        for known in (key, _PART.sub("", key)):
            for form in (known, known.removesuffix("s"), known.removesuffix("es")):
                if form in self._spellings:
                    return self._spellings[form]
        return None

    def _hint(self, key: str) -> str:
        relative = _RELATIVES.get(key)
        if relative in self.names:
            return f" The nearest to it is {relative!r}."
        nearest = difflib.get_close_matches(key, self._spellings, n=1, cutoff=0.6)
        return f" Did you mean {self._spellings[nearest[0]]!r}?" if nearest else ""

    def parse_list(self, text: str) -> tuple[str, ...]:
        """Long names for a comma-separated list, in taxonomy order, without repeats: "vc,vn,vn" is violin, cello.

        Raises:
            ParameterError: as `parse`, where there are spaces in the place of commas, and for an empty list.
        """
        for part in text.split(","):
            words = part.split()
            if self._find(part) is None and len(words) > 1 and all(map(self._find, words)):
                raise ParameterError(
                    f"Expected commas between instruments. Did you mean {','.join(words)!r}? Received: {text!r}"
                )
        names = {self.parse(part) for part in text.split(",") if part.strip()}
        if not names:
            raise ParameterError(f"Expected at least one instrument, e.g. 'vn,vc'. Received: {text!r}")
        return tuple(name for name in self.names if name in names)

    def family(self, name: str) -> str:
        """Family of an instrument given by its exact long name."""
        return self.instruments[self.index(name)].family

    @property
    def sections(self) -> dict[str, tuple[int, ...]]:
        """Section -> positions of its instruments, ascending; sections in the order of their first instrument."""
        names = dict.fromkeys(instrument.section for instrument in self.instruments)
        return {
            name: tuple(i for i, instrument in enumerate(self.instruments) if instrument.section == name)
            for name in names
        }

    def subset_indices(self, names: Iterable[str]) -> tuple[int, ...]:
        """Positions of the given long names, ascending."""
        return tuple(sorted(self.index(name) for name in names))


# What says which of several players it is: "1st violin", "violin 2", "violin II".
_PART = re.compile(r"^(?:1st|2nd|3rd|4th|first|second|third|fourth)_|_(?:\d+|i{1,3}|iv)$")
# Instruments of no taxonomy whose names are most like those of others.
_RELATIVES = {"english_horn": "oboe", "cor_anglais": "oboe", "flugelhorn": "trumpet", "piccolo": "flute"}


def _normalize(spelling: str) -> str:
    return "_".join(spelling.strip().lower().replace("-", " ").replace("_", " ").split())


_CLARINETS = (
    *(f"{key} clarinet" for key in ("bb", "b flat", "a", "eb", "e flat", "bass")),
    *(f"clarinet in {key}" for key in ("bb", "b flat", "a", "eb", "e flat")),
)
_SAXOPHONES = tuple(
    f"{voice} {name}" for voice in ("soprano", "alto", "tenor", "baritone", "bari") for name in ("sax", "saxophone")
)

URMP_13 = Taxonomy(
    "urmp13",
    (
        Instrument("violin", "vn", "strings", ("vln", "fiddle")),
        Instrument("viola", "va", "strings", ("vla",)),
        Instrument("cello", "vc", "strings", ("vcl", "violoncello", "celli")),
        Instrument("double_bass", "db", "strings", ("contrabass", "cb", "bass", "doublebass", "upright bass")),
        Instrument("flute", "fl", "woodwinds"),
        Instrument("oboe", "ob", "woodwinds"),
        Instrument("clarinet", "cl", "woodwinds", _CLARINETS),
        Instrument("saxophone", "sax", "woodwinds", ("sx", *_SAXOPHONES)),
        Instrument("bassoon", "bn", "woodwinds", ("bsn", "fagott")),
        Instrument("trumpet", "tpt", "brass", ("trp", "cornet", "bb trumpet", "c trumpet")),
        Instrument("horn", "hn", "brass", ("french horn", "hrn", "f horn", "horn in f")),
        Instrument("trombone", "tbn", "brass", ("trb", "tenor trombone", "bass trombone")),
        Instrument("tuba", "tba", "brass"),
    ),
)

MUSDB_4 = Taxonomy(
    "musdb4",
    (
        Instrument("vocals", "voc", "band", ("voice", "singer")),
        Instrument("drums", "dr", "band", ("percussion",)),
        Instrument("bass", "bs", "band", ("bass guitar",)),
        Instrument("other", "oth", "band", ("accompaniment",)),
    ),
)

TAXONOMIES = {taxonomy.name: taxonomy for taxonomy in (URMP_13, MUSDB_4)}


def find_taxonomy(names: tuple[str, ...]) -> Taxonomy:
    """The taxonomy that a model's names are, or one made of them, where unknown instruments are of family "other"."""
    for taxonomy in TAXONOMIES.values():
        if taxonomy.names == names:
            return taxonomy
    known = {instrument.name: instrument for taxonomy in TAXONOMIES.values() for instrument in taxonomy.instruments}
    return Taxonomy("model", [known.get(name) or Instrument(name, name, "other") for name in names])
