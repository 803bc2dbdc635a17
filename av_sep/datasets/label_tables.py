"""What other datasets' labels mean in a taxonomy: the tables, to be read here and to be extended from outside.

A table is written down the way one would read it: each instrument with the labels that stand for it. Labels count as
the same in upper and lower case. To add labels, pass `labels=` to a dataset's opener: a table made with
`LabelTable.extended`, or a CSV file with the columns `label, instrument` (an empty instrument: none of ours).

References:
    MedleyDB's labels: https://github.com/marl/medleydb, `resources/taxonomy.yaml`.
"""

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from av_sep.errors import MediaError, ParameterError, shown
from av_sep.instruments import MUSDB_4, URMP_13, Taxonomy
from av_sep.media.files import require_readable


@dataclass(frozen=True)
class LabelTable:
    """Labels of a dataset and the instruments of a taxonomy they stand for.

    Attributes:
        taxonomy: whose instruments.
        instruments: label -> the instrument's long name, or None for a label that stands for none of them.
        otherwise: instrument for all labels that the table does not hold; None leaves them out.
    """

    taxonomy: Taxonomy
    instruments: Mapping[str, str | None]
    otherwise: str | None = None

    def __post_init__(self) -> None:
        for instrument in {*self.instruments.values(), self.otherwise} - {None}:
            self.taxonomy.index(str(instrument))
        spelled = {_spelling(label): instrument for label, instrument in self.instruments.items()}
        object.__setattr__(self, "instruments", MappingProxyType(spelled))

    def instrument(self, label: str) -> str | None:
        """Long name of the instrument that a label stands for; None where it is none of the taxonomy's."""
        return self.instruments.get(_spelling(label), self.otherwise)

    def extended(self, labels: Mapping[str, str | None]) -> "LabelTable":
        """A table with further labels, or other instruments for those it has; None: none of the taxonomy's.

        Raises:
            ParameterError: for an instrument that the taxonomy does not have.
        """
        spelled = {_spelling(label): instrument for label, instrument in labels.items()}
        return LabelTable(self.taxonomy, {**self.instruments, **spelled}, self.otherwise)

    def extended_from(self, path: str | os.PathLike[str]) -> "LabelTable":
        """As `extended`, from a CSV file with the columns `label` and `instrument` (any spelling of the taxonomy's).

        Raises:
            MediaError: for a file that cannot be read or is no such table, with the line.
        """
        labels: dict[str, str | None] = {}
        for line, row in _csv_rows(path):
            label, spelling = (row.get("label") or "").strip(), (row.get("instrument") or "").strip()
            try:
                labels[label] = self.taxonomy.parse(spelling) if spelling else None
            except ParameterError as error:
                raise MediaError(f"{shown(path)}, line {line}: {error}") from error
            if not label:
                raise MediaError(f"{shown(path)}, line {line}: Expected a label. Received: an empty one")
        return self.extended(labels)


Labels = LabelTable | str | os.PathLike[str] | None


def _csv_rows(path: str | os.PathLike[str]) -> list[tuple[int, dict]]:
    """The rows of a table of labels, each with its line number."""
    with require_readable(path).open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        try:
            rows = [(reader.line_num, {(key or "").strip(): text for key, text in row.items()}) for row in reader]
        except (csv.Error, UnicodeDecodeError) as error:
            raise MediaError(f"Expected a CSV table in UTF-8 ({error}). Received: {shown(path)}") from error
    columns = [(name or "").strip() for name in reader.fieldnames or ()]
    if columns != ["label", "instrument"]:
        raise MediaError(f"Expected the columns label, instrument. Received: {', '.join(columns)} in {shown(path)}")
    return rows


def _spelling(label: str) -> str:
    return " ".join(label.lower().replace("_", " ").split())


def _table(
    taxonomy: Taxonomy, labels: Mapping[str, str], *, none: str = "", otherwise: str | None = None
) -> LabelTable:
    """A table from instruments with their labels, comma-separated; `none` are labels that stand for none of them."""
    instruments: dict[str, str | None] = dict.fromkeys(filter(None, none.split(", ")))
    for instrument, line in labels.items():
        instruments.update(dict.fromkeys(line.split(", "), instrument))
    return LabelTable(taxonomy, instruments, otherwise)


# The order is that of the sound streams in a *.stem.mp4, after the mixture.
MUSDB = _table(MUSDB_4, {"drums": "drums", "bass": "bass", "other": "other", "vocals": "vocals"})

# The order is that of the rows of Bach10's annotations: soprano, alto, tenor, bass. "saxphone" is how its files say it.
BACH10 = _table(
    URMP_13,
    {"violin": "violin", "clarinet": "clarinet", "saxophone": "saxophone, saxphone", "bassoon": "bassoon"},
)

# Relatives that URMP never recorded (piccolo, bass clarinet, english horn, euphonium) stand for none, and so do mixed
# sections.
MEDLEYDB_TO_URMP_13 = _table(
    URMP_13,
    {
        "violin": "violin, violin section",
        "viola": "viola, viola section",
        "cello": "cello, cello section",
        "double_bass": "double bass",
        "flute": "flute, flute section",
        "oboe": "oboe",
        "clarinet": "clarinet, clarinet section",
        "saxophone": "soprano saxophone, alto saxophone, tenor saxophone, baritone saxophone",
        "bassoon": "bassoon",
        "trumpet": "trumpet, trumpet section, cornet",
        "horn": "french horn, french horn section",
        "trombone": "trombone, trombone section",
        "tuba": "tuba",
    },
)

# MUSDB's "drums" are all unpitched percussion; pitched percussion is "other", as in MUSDB18 itself.
MEDLEYDB_TO_MUSDB_4 = _table(
    MUSDB_4,
    {
        "vocals": "male singer, female singer, male speaker, female speaker, male rapper, female rapper, beatboxing,"
        " vocalists, choir",
        "drums": "drum set, drum machine, kick drum, snare drum, bass drum, toms, timpani, bongo, conga, tambourine,"
        " darbuka, doumbek, tabla, auxiliary percussion, triangle, sleigh bells, cowbell, cabasa, high hat, gong,"
        " guiro, gu, cymbal, chimes, castanet, claps, rattle, shaker, maracas",
        "bass": "electric bass, double bass",
    },
    none="main system, unlabeled",
    otherwise="other",
)

LABEL_TABLES = {
    ("musdb", MUSDB_4.name): MUSDB,
    ("bach10", URMP_13.name): BACH10,
    ("medleydb", URMP_13.name): MEDLEYDB_TO_URMP_13,
    ("medleydb", MUSDB_4.name): MEDLEYDB_TO_MUSDB_4,
}


def label_table(dataset: str, taxonomy: str, labels: Labels = None) -> LabelTable:
    """The table for a dataset's labels.

    Args:
        dataset: "musdb", "medleydb" or "bach10".
        taxonomy: name of the taxonomy to map into.
        labels: another table to take instead, or a CSV file that extends the one there is.

    Raises:
        ParameterError: where there is no table for this pair.
        MediaError: as `LabelTable.extended_from`.
    """
    if isinstance(labels, LabelTable):
        return labels
    if (dataset, taxonomy) not in LABEL_TABLES:
        known = ", ".join(into for name, into in LABEL_TABLES if name == dataset)
        raise ParameterError(f"Expected a taxonomy that {dataset}'s labels map into: {known}. Received: {taxonomy!r}")
    table = LABEL_TABLES[dataset, taxonomy]
    return table if labels is None else table.extended_from(labels)
