"""Random lines and their rendering, judged from outside: by the clock, the tuning fork and a level meter."""

import importlib.util
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from av_sep.datasets import soundfonts
from av_sep.datasets.instrument_ranges import VOICES, full_range, voices
from av_sep.datasets.melodies import Note, random_line
from av_sep.datasets.note_samples import LoadedNote, SampleSet
from av_sep.datasets.pitch import estimate_pitch
from av_sep.datasets.solo_lines import (
    join_lines,
    normalize_loudness,
    real_solos,
    render_samples,
    shorten_pauses,
    without_rumble,
)
from av_sep.datasets.soundfonts import (
    TICKS_PER_SECOND,
    line_events,
    midi_file,
    render_soundfont,
    require_soundfont,
    run_fluidsynth,
)
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import URMP_13

RATE_HZ = 16000
SET_RATE_HZ = 48000


def tone(pitch, seconds, rate_hz, partials=(1, 2, 3)):
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    hz = 440.0 * 2.0 ** ((pitch - 69) / 12)
    return (sum(np.sin(2 * np.pi * k * hz * time) / k for k in partials)).astype(np.float32)


def loaded_note(pitch, seconds=1.0, articulation="ordinary"):
    waveform = tone(pitch, seconds, SET_RATE_HZ)
    waveform /= np.sqrt(np.mean(waveform**2))
    return LoadedNote(waveform, float(pitch), articulation, 0.6, (0, len(waveform)))


@pytest.fixture(scope="module")
def sample_set():
    return SampleSet("made", "violin", SET_RATE_HZ, tuple(loaded_note(pitch) for pitch in range(56, 94, 3)))


def one_note(pitch, seconds=0.8, level_db=0.0):
    return [Note(0.0, seconds, pitch, level_db, False)]


# Ranges


def test_every_instrument_has_a_range_and_its_usual_part_lies_inside():
    assert tuple(VOICES) == URMP_13.names
    for name in VOICES:
        for voice in voices(name):
            assert voice.full[0] <= voice.usual[0] < voice.usual[1] <= voice.full[1]
            assert full_range(name)[0] <= voice.full[0] and voice.full[1] <= full_range(name)[1]


def test_open_strings_are_the_bottom_of_the_strings():
    assert [full_range(name)[0] for name in ("violin", "viola", "cello", "double_bass")] == [55, 48, 36, 28]


def test_unknown_instrument_is_named():
    with pytest.raises(ParameterError, match="'kazoo'"):
        voices("kazoo")


# Lines


@pytest.mark.parametrize("instrument", URMP_13.names)
def test_lines_stay_in_range_and_last_as_long_as_asked(instrument):
    rng = np.random.default_rng(3)
    voice = voices(instrument)[0]
    for _ in range(20):
        notes = random_line(12.0, *voice.full, voice.usual, rng)
        assert all(voice.full[0] <= note.pitch <= voice.full[1] for note in notes)
        assert notes[0].start_seconds == 0.0
        assert all(a.start_seconds < b.start_seconds for a, b in zip(notes, notes[1:]))
        end_seconds = max(note.start_seconds + note.duration_seconds for note in notes)
        assert 8.0 < end_seconds < 30.0


def test_same_seed_same_line_and_other_seed_another():
    lines = [random_line(15.0, 55, 96, (57, 88), np.random.default_rng(seed)) for seed in (5, 5, 6)]
    assert lines[0] == lines[1]
    assert lines[0] != lines[2]


def test_lines_are_varied():
    rng = np.random.default_rng(0)
    lines = [random_line(15.0, 55, 96, (57, 88), rng) for _ in range(60)]
    durations = np.array([note.duration_seconds for line in lines for note in line])
    assert np.mean(durations < 0.2) > 0.1 and np.mean(durations > 1.0) > 0.05
    assert np.mean([note.legato for line in lines for note in line]) == pytest.approx(0.5, abs=0.3)
    assert len({note.pitch for line in lines for note in line}) > 30
    assert np.std([note.level_db for line in lines for note in line]) > 2.0


def test_narrow_ranges_work_and_empty_ones_are_refused():
    rng = np.random.default_rng(0)
    assert {note.pitch for note in random_line(4.0, 60, 60, (60, 60), rng)} == {60}
    with pytest.raises(ParameterError, match="low=61, high=60"):
        random_line(4.0, 61, 60, (60, 60), rng)


# Rendering from samples


@pytest.mark.parametrize("pitch", [57, 69, 76, 90])
def test_rendered_note_has_the_pitch_it_was_written_with(sample_set, pitch):
    line = render_samples(one_note(pitch), sample_set, RATE_HZ, np.random.default_rng(1))
    assert estimate_pitch(line[: int(0.8 * RATE_HZ)], RATE_HZ) == pytest.approx(pitch, abs=0.35)


def test_a4_has_its_fundamental_at_440_hz(sample_set):
    line = render_samples(one_note(69, 1.0), sample_set, RATE_HZ, np.random.default_rng(1))[:RATE_HZ]
    spectrum = np.abs(np.fft.rfft(line * np.hanning(len(line))))
    assert np.argmax(spectrum) == pytest.approx(440, rel=0.02)


def test_note_starts_and_ends_on_time(sample_set):
    notes = [Note(0.5, 0.6, 70, 0.0, False)]
    line = np.abs(render_samples(notes, sample_set, RATE_HZ, np.random.default_rng(1)))
    assert line[: int(0.49 * RATE_HZ)].max() < 1e-3
    assert line[int(0.5 * RATE_HZ) : int(0.53 * RATE_HZ)].max() > 0.5
    assert line[int(1.25 * RATE_HZ) :].max() < 1e-3


def test_long_note_is_held_beyond_its_sample(sample_set):
    line = render_samples(one_note(71, 3.0), sample_set, RATE_HZ, np.random.default_rng(1))
    level = [np.sqrt(np.mean(line[i * RATE_HZ // 10 :][: RATE_HZ // 10] ** 2)) for i in range(2, 28)]
    assert min(level) > 0.7 * max(level)
    assert estimate_pitch(line[: 3 * RATE_HZ], RATE_HZ) == pytest.approx(71, abs=0.35)


def test_plucked_note_is_not_held():
    plucked = SampleSet("made", "violin", SET_RATE_HZ, (loaded_note(69, 0.5, "pizzicato"),))
    line = render_samples(one_note(69, 2.0), plucked, RATE_HZ, np.random.default_rng(1))
    assert np.abs(line[int(0.7 * RATE_HZ) :]).max() < 1e-3


def test_level_follows_the_score(sample_set):
    loud, soft = (
        render_samples(one_note(68, 0.8, level_db), sample_set, RATE_HZ, np.random.default_rng(1)).std()
        for level_db in (0.0, -12.0)
    )
    assert 20 * np.log10(loud / soft) == pytest.approx(12.0, abs=0.5)


def test_legato_has_no_gap_and_staccato_has_one(sample_set):
    def quietest(legato):
        duration = 0.5 if legato else 0.25
        notes = [Note(0.5 * i, duration, 68 + i, 0.0, legato and i < 3) for i in range(4)]
        line = render_samples(notes, sample_set, RATE_HZ, np.random.default_rng(1))
        frames = line[int(0.1 * RATE_HZ) : int(1.7 * RATE_HZ)].reshape(-1, 320)
        return np.sqrt(np.mean(frames**2, axis=1)).min()

    assert quietest(True) > 0.3
    assert quietest(False) < 1e-3


def test_rendering_repeats_exactly_with_the_seed(sample_set):
    notes = random_line(5.0, 57, 90, (60, 85), np.random.default_rng(2))
    first, second, third = (
        render_samples(notes, sample_set, RATE_HZ, np.random.default_rng(seed)) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)


# Levels and pauses


def test_loudness_ignores_silence_and_never_clips():
    sound = tone(60, 2.0, RATE_HZ) * 0.01
    padded = np.concatenate([sound, np.zeros(4 * RATE_HZ, np.float32)])
    leveled = normalize_loudness(padded, RATE_HZ)
    assert 20 * np.log10(leveled[: len(sound)].std()) == pytest.approx(-20.0, abs=0.1)
    spiky = np.zeros(RATE_HZ, np.float32)
    spiky[::400] = 1.0
    assert np.abs(normalize_loudness(spiky, RATE_HZ)).max() <= 0.951
    assert not normalize_loudness(np.zeros(100, np.float32), RATE_HZ).any()


def test_pauses_are_shortened_and_sound_is_kept():
    sound = tone(60, 1.0, RATE_HZ)
    silence = np.zeros(3 * RATE_HZ, np.float32)
    result = shorten_pauses(np.concatenate([silence, sound, silence, sound, silence]), RATE_HZ, 0.3)
    assert 2.2 < len(result) / RATE_HZ < 2.7
    assert np.sum(result**2) == pytest.approx(2 * np.sum(sound**2), rel=0.02)
    assert len(shorten_pauses(silence, RATE_HZ)) == 0


def test_rumble_goes_and_music_stays():
    music = tone(40, 2.0, RATE_HZ, partials=(1,))
    offset = without_rumble(music + 0.5, RATE_HZ) - without_rumble(music, RATE_HZ)
    assert np.abs(offset[RATE_HZ:]).max() < 1e-3
    assert without_rumble(music, RATE_HZ).std() == pytest.approx(music.std(), rel=0.05)


def test_joined_lines_are_leveled_and_hardly_silent():
    rng = np.random.default_rng(0)
    lines = [gain * tone(60, 3.0, RATE_HZ) for gain in (1.0, 0.01)] + [np.zeros(100, np.float32)]
    joined = join_lines(lines, RATE_HZ, rng)
    assert 6.1 < len(joined) / RATE_HZ < 6.8
    assert np.mean(np.abs(joined) < 1e-4) < 0.15
    halves = joined[: 3 * RATE_HZ].std(), joined[int(3.4 * RATE_HZ) : 6 * RATE_HZ].std()
    np.testing.assert_allclose(20 * np.log10(halves), -20.0, atol=0.3)
    assert len(join_lines([], RATE_HZ, rng)) == 0


def test_real_solos_are_cut_into_lines(tmp_path):
    sf.write(tmp_path / "a.ogg", 0.3 * tone(69, 5.0, RATE_HZ), RATE_HZ)
    sf.write(tmp_path / "b.ogg", 0.3 * tone(72, 5.0, RATE_HZ), RATE_HZ)
    lines = real_solos(tmp_path, RATE_HZ, max_seconds=8.0, piece_seconds=2.0)
    assert sum(len(line) for line in lines) == 8 * RATE_HZ
    assert estimate_pitch(lines[0], RATE_HZ) == pytest.approx(69, abs=0.05)
    assert estimate_pitch(lines[-1], RATE_HZ) == pytest.approx(72, abs=0.05)


# Soundfonts


def test_midi_file_reads_back_in_an_independent_reader():
    mido = pytest.importorskip("mido", reason="mido is the outside reader of the MIDI files")
    notes = [Note(0.0, 0.5, 69, 0.0, False), Note(0.5, 1.0, 72, 0.0, False)]
    content = midi_file(line_events(notes, 40, 0.1, np.random.default_rng(0)))
    onsets, time, programs = [], 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(content)):
        time += message.time
        if message.type == "note_on":
            onsets.append((round(time, 2), message.note))
        if message.type == "program_change":
            programs.append(message.program)
    assert onsets == [(0.1, 69), (0.6, 72)] and programs == [40]


def test_missing_soundfont_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/true")
    with pytest.raises(MediaError, match="missing.sf2"):
        run_fluidsynth([], tmp_path / "missing.sf2", RATE_HZ)


def test_missing_fluidsynth_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MediaError, match="fluidsynth"):
        run_fluidsynth([], tmp_path / "any.sf2", RATE_HZ)


def test_fluidsynth_that_hangs_is_ended_after_a_time_that_grows_with_the_sound(monkeypatch, tmp_path):
    (tmp_path / "fluidsynth").write_text("#!/bin/sh\nexec sleep 1\n")
    (tmp_path / "fluidsynth").chmod(0o755)
    (tmp_path / "small.sf2").write_bytes(b"RIFF\x04\0\0\0sfbk")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(soundfonts, "_TIMEOUT_SECONDS", 0.1)
    with pytest.raises(MediaError, match="fluidsynth did not end within 0 s. Received: .*small.sf2"):
        run_fluidsynth([], tmp_path / "small.sf2", RATE_HZ)
    # This one ends in time, without having written anything.
    with pytest.raises(MediaError, match="fluidsynth failed on .*small.sf2"):
        run_fluidsynth([(30 * TICKS_PER_SECOND, 1, b"")], tmp_path / "small.sf2", RATE_HZ)


def find_soundfont():
    """A small soundfont of this machine: AV_SEP_SOUNDFONT, or the one that pretty_midi brings."""
    if os.environ.get("AV_SEP_SOUNDFONT"):
        return os.environ["AV_SEP_SOUNDFONT"]
    spec = importlib.util.find_spec("pretty_midi")
    path = Path(spec.origin).parent / "TimGM6mb.sf2" if spec and spec.origin else None
    return str(path) if path and path.is_file() else None


def test_soundfont_plays_each_line_in_its_slot_and_in_tune():
    if shutil.which("fluidsynth") is None:
        pytest.skip("the program fluidsynth is not on PATH")
    soundfont = find_soundfont()
    if soundfont is None:
        pytest.skip("no soundfont: set AV_SEP_SOUNDFONT or install pretty_midi")
    scores = [(73, one_note(69, 1.0)), (58, one_note(41, 1.0)), (40, one_note(76, 1.0))]
    lines = render_soundfont(scores, soundfont, RATE_HZ, np.random.default_rng(0))
    for line, (_, notes) in zip(lines, scores):
        assert estimate_pitch(line[:RATE_HZ], RATE_HZ) == pytest.approx(notes[0].pitch, abs=0.35)
        assert 2.0 < len(line) / RATE_HZ < 2.4
        assert np.abs(line[-RATE_HZ // 10 :]).max() < 0.05 * np.abs(line).max()
    again = render_soundfont(scores, soundfont, RATE_HZ, np.random.default_rng(0))
    np.testing.assert_array_equal(lines[0], again[0])


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"hello\n", "Expected a soundfont"), (b"", "Expected a soundfont"), (b"RIFF\x00\x10\x00\x00sfbkLIST", "cut off")],
)
def test_what_is_no_soundfont_is_refused(tmp_path, content, words):
    """fluidsynth itself would play its default soundfont instead and report success."""
    (tmp_path / "fake.sf2").write_bytes(content)
    with pytest.raises(MediaError, match=words):
        require_soundfont(tmp_path / "fake.sf2")
