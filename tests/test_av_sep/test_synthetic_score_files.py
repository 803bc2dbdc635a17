"""Scores from MusicXML and MIDI files, against what was written into them by hand."""

import sys
import zipfile

import numpy as np
import pytest

from av_sep.datasets.instrument_ranges import voices
from av_sep.datasets.melodies import Note
from av_sep.datasets.synthetic import score_files
from av_sep.datasets.synthetic.ensembles import Player
from av_sep.datasets.synthetic.score_files import excerpt, read_score, score_paths
from av_sep.datasets.synthetic.scores import Score, ScorePart, score_midi
from av_sep.errors import MediaError, ParameterError

PLAYERS = (Player("violin", voices("violin")[0]), Player("tuba", voices("tuba")[0]))
STEPS = {0: ("C", 0), 2: ("D", 0), 4: ("E", 0), 5: ("F", 0), 7: ("G", 0), 9: ("A", 0), 10: ("B", -1), 11: ("B", 0)}

needs_partitura = pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("partitura"), reason="partitura (the extra `scores`) is missing"
)


def note_xml(pitch, duration, extra="", notations=""):
    step, alter = STEPS[pitch % 12]
    return (
        f"<note>{extra}<pitch><step>{step}</step><alter>{alter}</alter><octave>{pitch // 12 - 1}</octave></pitch>"
        f"<duration>{duration}</duration><voice>1</voice><notations>{notations}</notations></note>"
    )


def part_xml(name, measures, transpose=0):
    attributes = (
        "<attributes><divisions>2</divisions><time><beats>4</beats><beat-type>4</beat-type></time>"
        f"<transpose><chromatic>{transpose}</chromatic></transpose></attributes>"
        '<direction><sound tempo="120"/></direction>'
    )
    body = "".join(
        f'<measure number="{i + 1}">{attributes if i == 0 else ""}{measure}</measure>'
        for i, measure in enumerate(measures)
    )
    return f'<part id="{name}">{body}</part>'


def score_xml(*parts):
    names = [f"P{i}" for i in range(len(parts))]
    listing = "".join(f'<score-part id="{name}"><part-name>{name}</part-name></score-part>' for name in names)
    body = "".join(part_xml(name, *part) for name, part in zip(names, parts))
    return (
        '<?xml version="1.0" encoding="UTF-8"?><score-partwise version="3.1">'
        f"<part-list>{listing}</part-list>{body}</score-partwise>"
    )


LOW = [note_xml(48, 4) + note_xml(50, 4), note_xml(52, 8), note_xml(53, 8), note_xml(48, 8)]
SLUR = '<slur type="start" number="1"/>', '<slur type="stop" number="1"/>'
# Written a tone higher than it sounds, as for a clarinet in B flat; a chord, a tie over the bar line and a slur.
HIGH = [
    note_xml(74, 2, notations=SLUR[0]) + note_xml(76, 2) + note_xml(77, 2, notations=SLUR[1])
    + note_xml(79, 2, '<tie type="start"/>', '<tied type="start"/>'),
    note_xml(79, 2, '<tie type="stop"/>', '<tied type="stop"/>') + note_xml(74, 6) + note_xml(79, 6, "<chord/>"),
    note_xml(76, 8),
    note_xml(74, 8),
]  # fmt: skip


@pytest.fixture
def quartet_folder(tmp_path):
    text = score_xml((LOW,), (HIGH, -2))
    (tmp_path / "My Piece No. 1.musicxml").write_text(text, encoding="utf-8")
    return tmp_path


@needs_partitura
def test_musicxml_is_read_as_it_sounds(quartet_folder):
    score = read_score(score_paths(quartet_folder)[0])
    assert score.title == "MyPieceNo1" and score.bars == (0.0, 4.0, 8.0, 12.0)
    assert score.tempo_bpm(5.0, np.random.default_rng(0)) == 120.0
    high, low = score.parts
    assert [(tone.beat, tone.beats, tone.pitch) for tone in low] == [
        (0.0, 2.0, 48), (2.0, 2.0, 50), (4.0, 4.0, 52), (8.0, 4.0, 53), (12.0, 4.0, 48),
    ]  # fmt: skip
    assert [(tone.beat, tone.beats, tone.pitch) for tone in high] == [
        (0.0, 1.0, 72), (1.0, 1.0, 74), (2.0, 1.0, 75), (3.0, 2.0, 77), (5.0, 3.0, 77), (8.0, 4.0, 74), (12.0, 4.0, 72),
    ]  # fmt: skip
    assert [tone.slurred for tone in high] == [True, True, False, False, False, False, False]


@needs_partitura
def test_compressed_musicxml_is_read_too(quartet_folder):
    plain = next(quartet_folder.glob("*.musicxml"))
    packed = quartet_folder / "packed.mxl"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(
            "META-INF/container.xml", '<container><rootfiles><rootfile full-path="a.xml"/></rootfiles></container>'
        )
        archive.writestr("a.xml", plain.read_text())
    assert read_score(packed).parts == read_score(plain).parts


@needs_partitura
def test_midi_is_read_back(tmp_path):
    notes = [tuple(Note(0.5 * i, 0.5, base + i % 5, 0.0, False) for i in range(24)) for base in (70, 40)]
    parts = tuple(
        ScorePart(player.instrument, player.voice, line) for player, line in zip(PLAYERS, notes)
    )
    (tmp_path / "tune.mid").write_bytes(score_midi(Score("Tune", 12.0, 120.0, parts)))
    score = read_score(tmp_path / "tune.mid")
    assert [[tone.pitch for tone in part] for part in score.parts] == [[n.pitch for n in line] for line in notes]
    assert [tone.beat for tone in score.parts[0]] == [float(i) for i in range(24)]
    assert score.tempo_bpm(0.0, np.random.default_rng(0)) == 120.0


@needs_partitura
def test_excerpts_start_at_bars_and_give_the_high_part_to_the_high_player(quartet_folder):
    starts = set()
    for seed in range(20):
        piece = excerpt(quartet_folder, tuple(reversed(PLAYERS)), 4.0, np.random.default_rng(seed))
        tuba, violin = piece.parts
        assert [part.instrument for part in piece.parts] == ["tuba", "violin"]
        for part in piece.parts:
            low, high = part.voice.full
            assert part.notes and all(low <= note.pitch <= high for note in part.notes)
            assert all(note.start_seconds + note.duration_seconds <= 4.0 + 1e-9 for note in part.notes)
        assert piece.tempo_bpm == 120.0 and max(n.pitch for n in tuba.notes) < min(n.pitch for n in violin.notes)
        starts.add(tuple(note.duration_seconds for note in tuba.notes))
    assert starts == {(1.0, 1.0, 2.0), (2.0, 2.0)}


@needs_partitura
def test_more_players_than_parts_double_one(quartet_folder):
    piece = excerpt(quartet_folder, PLAYERS + PLAYERS, 6.0, np.random.default_rng(0))
    lines = [tuple(note.start_seconds for note in part.notes) for part in piece.parts]
    assert len(piece.parts) == 4 and len(set(lines)) == 2


@needs_partitura
def test_the_same_seed_gives_the_same_excerpt(quartet_folder):
    first, second = (excerpt(quartet_folder, PLAYERS, 4.0, np.random.default_rng(3)) for _ in range(2))
    assert first == second


@needs_partitura
@pytest.mark.parametrize("name, content", [("broken.musicxml", b"<score-partwise>"), ("broken.mid", b"MThd\0\0")])
def test_unreadable_scores_are_named_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError, match=f"partitura reads .*{name}") as caught:
        read_score(tmp_path / name)
    assert "\n" not in str(caught.value)


@needs_partitura
def test_scores_without_notes_are_refused(tmp_path):
    (tmp_path / "rest.musicxml").write_text(score_xml(([note_xml(60, 8)],)))
    with pytest.raises(MediaError, match="notes in it. Received: .*rest.musicxml"):
        read_score(tmp_path / "rest.musicxml")


def test_folders_without_scores_are_named(tmp_path):
    with pytest.raises(MediaError, match=r"\.mxl, \.musicxml or \.mid"):
        score_paths(tmp_path)


def test_a_missing_partitura_is_said_with_the_way_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "a.mxl").touch()
    monkeypatch.setitem(sys.modules, "partitura", None)
    score_files.read_score.cache_clear()
    with pytest.raises(ParameterError, match=r"pip install '\.\[scores\]'"):
        excerpt(tmp_path, PLAYERS, 4.0, np.random.default_rng(0))
