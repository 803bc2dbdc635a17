"""Made scores and performances, judged by the range of the instruments, the clock and an outside MIDI reader."""

import io
from collections import Counter

import numpy as np
import pytest

from av_sep.datasets.instrument_ranges import full_range, voices
from av_sep.datasets.melodies import Note
from av_sep.datasets.synthetic.ensembles import Player, draw_ensemble, voice_windows
from av_sep.datasets.synthetic.harmony import Key, fold, make_chord, progression, shift_into, voice_lead
from av_sep.datasets.synthetic.performance import PlayedNote, perform, vibrato_contour
from av_sep.datasets.synthetic.scores import Score, ScorePart, compose, score_midi
from av_sep.datasets.synthetic.textures import TEXTURES, Passage, imitation, unison
from av_sep.datasets.synthetic.tunes import TUNES
from av_sep.datasets.synthetic.voice_lines import Tone, bar_rhythm, within
from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13

QUARTET = tuple(Player(name, voices(name)[0]) for name in ("violin", "violin", "viola", "cello"))


def pieces(count, seconds=20.0):
    for seed in range(count):
        rng = np.random.default_rng([9, seed])
        yield compose(draw_ensemble(URMP_13.names, 1, 5, rng), seconds, rng)


# Harmony


def test_dominants_of_minor_keys_have_the_leading_tone():
    assert make_chord(Key(9, True), 4).tones == (4, 8, 11)
    assert make_chord(Key(0, False), 4, seventh=True).tones == (7, 11, 2, 5)
    assert make_chord(Key(9, True), 7).tones == (7, 11, 2)


def test_progressions_begin_on_the_tonic_and_end_in_a_cadence():
    key = Key(2, False)
    for seed in range(30):
        chords = progression(key, 6, True, np.random.default_rng(seed))
        assert chords[0].root == 2 and chords[-1].root == 2 and chords[-2].root == 9


def test_voices_move_little_stay_in_their_windows_and_sound_the_third():
    rng = np.random.default_rng(0)
    windows = [(64, 81), (57, 74), (50, 67), (40, 57)]
    pitches = [72, 65, 58, 48]
    for chord in progression(Key(0, False), 24, True, rng):
        moved = voice_lead(chord, windows, pitches, rng)
        assert all(low <= pitch <= high for pitch, (low, high) in zip(moved, windows))
        assert {pitch % 12 for pitch in moved} <= set(chord.tones)
        assert chord.tones[1] in {pitch % 12 for pitch in moved}
        assert max(abs(now - before) for now, before in zip(moved[:-1], pitches[:-1])) <= 7
        pitches = moved


@pytest.mark.parametrize("pitch, expected", [(40, 52), (52, 52), (71, 71), (72, 60), (95, 71), (20, 56)])
def test_pitches_fold_by_octaves(pitch, expected):
    assert fold(pitch, (50, 71)) == expected


def test_what_an_instrument_does_not_reach_is_played_an_octave_away():
    voice = within([Tone(0.0, 1.0, 54, True), Tone(1.0, 1.0, 60), Tone(2.0, 1.0, 97)], (55, 96))
    assert voice == [Tone(0.0, 1.0, 66, True), Tone(1.0, 1.0, 60), Tone(2.0, 1.0, 85)]


def test_lines_shift_by_whole_octaves():
    assert shift_into([60, 64, 67], (80, 98), (75, 100)) == [84, 88, 91]


# Tunes and textures


@pytest.mark.parametrize("tune", TUNES, ids=lambda tune: tune.title)
def test_tunes_fill_their_bars(tune):
    assert sum(beats for _, beats in tune.notes) == tune.beats_per_bar * len(tune.chords)
    borders = np.cumsum([beats for _, beats in tune.notes])
    assert set(tune.beats_per_bar * np.arange(1, len(tune.chords) + 1)) <= set(borders)
    assert tune.title.isalnum() and max(pitch for pitch, _ in tune.notes) <= 16


def test_ode_to_joy_is_ode_to_joy():
    ode = next(tune for tune in TUNES if tune.title == "OdeToJoy")
    degrees = {0: "1", 2: "2", 4: "3", 5: "4", 7: "5"}
    assert "".join(degrees[pitch] for pitch, _ in ode.notes) == "334554321123322" + "334554321123211"


def passage(num_voices=3, bars=4, **extra):
    chords = progression(Key(0, False), bars, True, np.random.default_rng(1))
    return Passage(chords, 4, ((64, 81), (55, 72), (45, 62))[:num_voices], **extra)


@pytest.mark.parametrize("texture", [texture for _, texture in TEXTURES], ids=lambda texture: texture.__name__)
def test_textures_keep_to_their_bars_and_play_one_note_at_a_time(texture):
    for seed in range(10):
        voices_ = texture(passage(), np.random.default_rng(seed))
        assert len(voices_) == 3 and any(voices_)
        for voice in voices_:
            assert all(a.beat + a.beats <= b.beat + 1e-9 for a, b in zip(voice, voice[1:]))
            assert all(0 <= tone.beat and tone.beat + tone.beats <= 16 + 1e-9 for tone in voice)


def test_a_round_has_the_same_line_later():
    theme = tuple(Tone(float(i), 1.0, 60 + (0, 2, 4, 0, 4, 5, 7, 7)[i]) for i in range(8))
    rng = np.random.default_rng(4)
    first, second, _ = sorted(
        imitation(passage(theme=theme, round_bars=1), rng), key=lambda voice: voice[0].beat
    )
    shape = [(b.pitch - a.pitch, b.beat - a.beat) for a, b in zip(first, first[1:])]
    assert second[0].beat - first[0].beat == 4.0
    assert [(b.pitch - a.pitch, b.beat - a.beat) for a, b in zip(second, second[1:])] == shape[: len(second) - 1]


def test_unison_is_octaves():
    voices_ = unison(passage(), np.random.default_rng(0))
    for tones in zip(*voices_):
        assert len({tone.pitch % 12 for tone in tones}) == 1 and len({tone.beat for tone in tones}) == 1


@pytest.mark.parametrize("beats_per_bar", [1, 2, 3, 4, 6])
def test_rhythms_fill_the_bar(beats_per_bar):
    rng = np.random.default_rng(0)
    assert all(sum(bar_rhythm(beats_per_bar, rng)) == beats_per_bar for _ in range(50))


# Ensembles and pieces


def test_ensembles_are_plausible_and_implausible():
    rng = np.random.default_rng(0)
    ensembles = [draw_ensemble(URMP_13.names, 2, 5, rng) for _ in range(400)]
    assert {len(players) for players in ensembles} == {2, 3, 4, 5}
    families = [len({URMP_13.family(player.instrument) for player in players}) for players in ensembles]
    assert 0.3 < np.mean(np.array(families) == 1) < 0.9
    doubled = [max(Counter(player.instrument for player in players).values()) for players in ensembles]
    assert 0.05 < np.mean(np.array(doubled) == 2) < 0.6
    assert {player.instrument for players in ensembles for player in players} == set(URMP_13.names)


def test_few_instruments_are_doubled_as_often_as_needed():
    players = draw_ensemble(("viola",), 4, 4, np.random.default_rng(0))
    assert [player.instrument for player in players] == ["viola"] * 4


def test_highest_voice_goes_to_the_highest_player():
    players = [Player("tuba", voices("tuba")[0]), Player("flute", voices("flute")[0])]
    order, windows = voice_windows(players, np.random.default_rng(0))
    assert order == [1, 0] and windows[0][0] > windows[1][1]


def test_pieces_stay_in_range_and_everybody_plays_one_note_at_a_time():
    lengths = []
    for score in pieces(60):
        assert score.title.isalnum()
        for part in score.parts:
            low, high = part.voice.full
            assert full_range(part.instrument)[0] <= low and high <= full_range(part.instrument)[1]
            assert part.notes and all(low <= note.pitch <= high for note in part.notes)
            assert all(
                a.start_seconds + a.duration_seconds <= b.start_seconds + 1e-9
                for a, b in zip(part.notes, part.notes[1:])
            )
        lengths.append(score.seconds)
    assert 16.0 < min(lengths) and max(lengths) < 24.0


def test_somebody_always_plays_and_not_everybody_always():
    shares, gaps = [], []
    for score in pieces(40):
        grid = np.arange(0.05, score.seconds - 0.05, 0.1)
        sounding = np.array([
            [any(n.start_seconds <= t < n.start_seconds + n.duration_seconds for n in part.notes) for t in grid]
            for part in score.parts
        ])  # fmt: skip
        gaps.append(1.0 - sounding.any(axis=0).mean())
        shares += list(sounding.mean(axis=1))
    assert np.mean(gaps) < 0.1
    assert 0.5 < np.mean(shares) < 0.95 and min(shares) < 0.7


def test_pieces_differ_and_repeat_with_their_seed():
    first, second, other = (compose(QUARTET, 20.0, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == second and first != other


def test_compositions_sound_tonal():
    """Most of each piece's notes lie in one major or minor scale, which random notes would not."""
    scales = [{(tonic + step) % 12 for step in (0, 2, 4, 5, 7, 9, 11)} for tonic in range(12)]
    for score in pieces(20):
        classes = [note.pitch % 12 for part in score.parts for note in part.notes]
        assert max(np.mean([c in scale for c in classes]) for scale in scales) > 0.85


def test_nobody_and_no_time_are_refused():
    with pytest.raises(ParameterError, match="0 players"):
        compose((), 20.0, np.random.default_rng(0))
    with pytest.raises(ParameterError, match="at least 4 s.*2 s"):
        compose(QUARTET, 2.0, np.random.default_rng(0))


def test_score_midi_reads_back_in_an_independent_reader():
    mido = pytest.importorskip("mido", reason="mido is the outside reader of the MIDI files")
    score = compose(QUARTET, 20.0, np.random.default_rng(1))
    onsets, time = [], 0.0
    for message in mido.MidiFile(file=io.BytesIO(score_midi(score))):
        time += message.time
        if message.type == "note_on":
            onsets.append((message.channel, message.note, time))
    expected = [(i, note.pitch, note.start_seconds) for i, part in enumerate(score.parts) for note in part.notes]
    assert len(onsets) == len(expected)
    for (channel, pitch, seconds), (part, written, start) in zip(sorted(onsets), sorted(expected)):
        assert (channel, pitch) == (part, written) and seconds == pytest.approx(start, abs=0.005)


# Performance


def performed(seed=0):
    score = compose(QUARTET, 20.0, np.random.default_rng(5))
    return score, perform(score, 0.5, 19.0, np.random.default_rng(seed))


def test_performance_keeps_the_score_in_order_and_in_time():
    score, parts = performed()
    for written, part in zip(score.parts, parts):
        assert [played.note.pitch for played in part.notes] == [note.pitch for note in written.notes]
        starts = np.array([played.note.start_seconds for played in part.notes])
        ends = starts + [played.note.duration_seconds for played in part.notes]
        assert np.all(np.diff(starts) > 0) and np.all(ends[:-1] <= starts[1:] + 1e-9)
        assert starts[0] >= 0.4 and ends[-1] <= 19.0
        assert {played.note.legato for played in part.notes} <= {True, False}
        assert all(-9 <= played.note.level_db <= 6 and abs(played.cents) < 40 for played in part.notes)


def test_players_are_together_but_not_exactly():
    score, parts = performed()
    onsets = {}
    for written, part in zip(score.parts, parts):
        for note, played in zip(written.notes, part.notes):
            onsets.setdefault(round(note.start_seconds, 6), []).append(played.note.start_seconds)
    spreads = np.array([max(times) - min(times) for times in onsets.values() if len(times) > 1])
    assert 0.002 < np.median(spreads) < 0.04 and spreads.max() < 0.08


def test_tempo_drifts_by_a_few_percent():
    score, parts = performed()
    written = np.array([note.start_seconds for note in score.parts[0].notes])
    played = np.array([played.note.start_seconds for played in parts[0].notes])
    residual = played - np.polyval(np.polyfit(written, played, 1), written)
    assert 0.005 < residual.std() < 0.5


def test_vibrato_has_its_rate_and_depth():
    played = PlayedNote(Note(0.0, 3.0, 69, 0.0, False), 0.0, 20.0, 5.0)
    times = np.arange(0.0, 3.0, 0.001)
    contour = vibrato_contour(times, played)
    assert not contour[times < 0.15].any()
    assert np.abs(contour).max() == pytest.approx(20.0, abs=0.1)
    spectrum = np.abs(np.fft.rfft(contour[1000:]))
    assert np.fft.rfftfreq(2000, 0.001)[spectrum.argmax()] == 5.0


def test_the_fastest_notes_do_not_overlap():
    """Notes shorter than any player's shortest, and timing that wobbles by more than they last."""
    notes = tuple(Note(0.04 * i, 0.04, 60 + i % 3, 0.0, False) for i in range(100))
    score = Score("Rush", 4.0, 120.0, (ScorePart("violin", voices("violin")[0], notes),))
    (part,) = perform(score, 0.5, 4.5, np.random.default_rng(0))
    starts = np.array([played.note.start_seconds for played in part.notes])
    ends = starts + [played.note.duration_seconds for played in part.notes]
    assert np.all(np.diff(starts) > 0) and np.all(ends[:-1] <= starts[1:] + 1e-9)


def test_no_time_to_play_is_refused():
    score, _ = performed()
    with pytest.raises(ParameterError, match="start < end.*3 and 3 s"):
        perform(score, 3.0, 3.0, np.random.default_rng(0))
