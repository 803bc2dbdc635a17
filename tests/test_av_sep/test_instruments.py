"""The taxonomy: order, spellings and what is said about words that are none."""

import dataclasses

import pytest

from av_sep.errors import ParameterError
from av_sep.instruments import MUSDB_4, TAXONOMIES, URMP_13, Instrument, Taxonomy, find_taxonomy

# The thirteen of URMP with the abbreviations of its file names (Li et al. 2019, table I), written out by hand.
URMP_FILE_NAMES = {
    "vn": "violin",
    "va": "viola",
    "vc": "cello",
    "db": "double_bass",
    "fl": "flute",
    "ob": "oboe",
    "cl": "clarinet",
    "sax": "saxophone",
    "bn": "bassoon",
    "tpt": "trumpet",
    "hn": "horn",
    "tbn": "trombone",
    "tba": "tuba",
}
EVERY_TAXONOMY = pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=TAXONOMIES)


def test_urmp_has_its_thirteen_instruments_in_order():
    assert URMP_13.names == tuple(URMP_FILE_NAMES.values())
    assert tuple(instrument.abbreviation for instrument in URMP_13.instruments) == tuple(URMP_FILE_NAMES)
    assert len(URMP_13) == 13


def test_musdb_has_its_four_stems_in_order():
    assert MUSDB_4.names == ("vocals", "drums", "bass", "other")


def test_there_is_no_slot_for_the_mixture():
    for taxonomy in TAXONOMIES.values():
        assert not {"mix", "mixture", "residual"} & set(taxonomy.names)
        assert [taxonomy.index(name) for name in taxonomy.names] == list(range(len(taxonomy)))


@EVERY_TAXONOMY
def test_every_spelling_belongs_to_one_instrument(taxonomy):
    spellings = [
        spelling.replace(" ", "_")
        for instrument in taxonomy.instruments
        for spelling in (instrument.name, instrument.abbreviation, *instrument.aliases)
    ]
    assert len(spellings) == len(set(spellings))
    for instrument in taxonomy.instruments:
        for spelling in (instrument.name, instrument.abbreviation, instrument.title, *instrument.aliases):
            assert taxonomy.parse(spelling) == instrument.name


@pytest.mark.parametrize(
    ("typed", "name"),
    (
        ("VN", "violin"),
        (" Violin ", "violin"),
        ("Double Bass", "double_bass"),
        ("double-bass", "double_bass"),
        ("upright  bass", "double_bass"),
        ("French Horn", "horn"),
        ("violoncello", "cello"),
        ("sax", "saxophone"),
        ("vla", "viola"),
        ("alto sax", "saxophone"),
        ("Tenor Saxophone", "saxophone"),
        ("soprano sax", "saxophone"),
        ("baritone saxophones", "saxophone"),
        ("Bb clarinet", "clarinet"),
        ("B-flat clarinet", "clarinet"),
        ("A clarinet", "clarinet"),
        ("clarinet in A", "clarinet"),
        ("bass clarinet", "clarinet"),
        ("1st violin", "violin"),
        ("second violins", "violin"),
        ("violin 1", "violin"),
        ("Violin II", "violin"),
        ("vn_2", "violin"),
        ("french horns", "horn"),
        ("contrabasses", "double_bass"),
        ("double basses", "double_bass"),
        ("violas", "viola"),
        ("tubas", "tuba"),
    ),
)
def test_people_s_spellings_are_understood(typed, name):
    assert URMP_13.parse(typed) == name


@pytest.mark.parametrize(
    ("typed", "suggestion"),
    (("violim", "violin"), ("trombon", "trombone"), ("clarinette", "clarinet"), ("ttuba", "tuba")),
)
def test_misspelt_instrument_is_answered_with_the_nearest(typed, suggestion):
    with pytest.raises(ParameterError, match=rf"Did you mean '{suggestion}'\?.*Received: '{typed}'$"):
        URMP_13.parse(typed)


@pytest.mark.parametrize(
    ("typed", "relative"),
    (("english horn", "oboe"), ("Cor anglais", "oboe"), ("piccolo", "flute"), ("flugelhorn", "trumpet")),
)
def test_an_instrument_that_is_none_of_them_is_answered_with_its_relative(typed, relative):
    with pytest.raises(ParameterError, match=rf"^Unknown instrument\. The nearest to it is '{relative}'\. Expected"):
        URMP_13.parse(typed)
    with pytest.raises(ParameterError, match="Expected any of voc") as caught:
        MUSDB_4.parse(typed)
    assert relative not in str(caught.value)


@pytest.mark.parametrize("typed", ("violin clarinet", "first", "2", "s", "1st", "alto", "violin x"))
def test_what_says_which_player_it_is_is_no_instrument(typed):
    with pytest.raises(ParameterError, match="Unknown instrument"):
        URMP_13.parse(typed)


@pytest.mark.parametrize("typed", ("zzz", "", "?"))
def test_unknown_instrument_is_answered_with_all_of_them(typed):
    everything = r"^Unknown instrument\. Expected any of vn \(violin\),.*tba \(tuba\)\."
    with pytest.raises(ParameterError, match=everything) as caught:
        URMP_13.parse(typed)
    assert "Did you mean" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "names"),
    (
        ("vn,vc", ("violin", "cello")),
        ("vc,vn", ("violin", "cello")),
        ("vn,vn,violin", ("violin",)),
        ("tuba, french horn ,db,", ("double_bass", "horn", "tuba")),
    ),
)
def test_lists_come_in_taxonomy_order_without_repeats(text, names):
    assert URMP_13.parse_list(text) == names


@pytest.mark.parametrize("text", ("vn va vc", "vn  va vc,fl"))
def test_spaces_in_the_place_of_commas_are_told(text):
    with pytest.raises(ParameterError, match="commas between instruments. Did you mean 'vn,va,vc'.*Received: 'vn"):
        URMP_13.parse_list(text)


@pytest.mark.parametrize("text", ("", " , ,"))
def test_empty_list_is_refused(text):
    with pytest.raises(ParameterError, match="at least one instrument, e.g. 'vn,vc'. Received: "):
        URMP_13.parse_list(text)


def test_one_bad_word_spoils_a_list():
    with pytest.raises(ParameterError, match="Did you mean 'cello'"):
        URMP_13.parse_list("vn,celo")


def test_positions_follow_the_order():
    assert URMP_13.index("violin") == 0 and URMP_13.index("tuba") == 12
    assert URMP_13.subset_indices(("tuba", "violin", "oboe")) == (0, 5, 12)


def test_positions_need_exact_names():
    with pytest.raises(ParameterError, match="Expected one of violin, viola,.*Received: 'vn'"):
        URMP_13.index("vn")
    with pytest.raises(ParameterError, match="Received: 'drums'"):
        URMP_13.subset_indices(("violin", "drums"))


def test_families_follow_the_orchestra():
    families = {}
    for name in URMP_13.names:
        families.setdefault(URMP_13.family(name), []).append(name)
    assert families == {
        "strings": ["violin", "viola", "cello", "double_bass"],
        "woodwinds": ["flute", "oboe", "clarinet", "saxophone", "bassoon"],
        "brass": ["trumpet", "horn", "trombone", "tuba"],
    }


def test_sections_are_families_with_the_strings_in_two():
    assert {section: [URMP_13.names[i] for i in slots] for section, slots in URMP_13.sections.items()} == {
        "violin family": ["violin", "viola"],
        "low strings": ["cello", "double_bass"],
        "woodwinds": ["flute", "oboe", "clarinet", "saxophone", "bassoon"],
        "brass": ["trumpet", "horn", "trombone", "tuba"],
    }
    assert MUSDB_4.sections == {"band": (0, 1, 2, 3)}
    # In the order of their first instrument, wherever that stands.
    some = Taxonomy("some", [URMP_13.instruments[i] for i in (9, 0, 10)] + [Instrument("kazoo", "kz", "other")])
    assert list(some.sections.items()) == [("brass", (0, 2)), ("violin family", (1,)), ("other", (3,))]


def test_repeated_names_are_refused():
    with pytest.raises(ParameterError, match=r"'pair' needs distinct instrument names\. Received: \('lute', 'lute'\)"):
        Taxonomy("pair", [Instrument("lute", "lt", "strings"), Instrument("lute", "l2", "strings")])


def test_taxonomies_are_equal_by_names_in_order():
    same = Taxonomy("copy", URMP_13.instruments)
    turned = Taxonomy("turned", URMP_13.instruments[::-1])
    assert same == URMP_13 and hash(same) == hash(URMP_13)
    assert turned != URMP_13 and MUSDB_4 != URMP_13 and URMP_13 != URMP_13.names


def test_taxonomy_of_a_model():
    assert find_taxonomy(URMP_13.names) is URMP_13 and find_taxonomy(MUSDB_4.names) is MUSDB_4
    some = find_taxonomy(("tuba", "kazoo"))
    assert some.names == ("tuba", "kazoo") and some.parse("tba") == "tuba" and some.parse("KAZOO") == "kazoo"
    assert some.family("tuba") == "brass" and some.family("kazoo") == "other"


def test_name_is_not_taken_for_another_s_short_form():
    # Of a double bass "bass" is a short form.
    both = find_taxonomy(("bass", "double_bass"))
    assert both.parse("bass") == "bass" and both.parse("db") == "double_bass"
    assert find_taxonomy(("double_bass", "cello")).parse("bass") == "double_bass"


def test_instruments_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        URMP_13.instruments[0].name = "fiddle"
