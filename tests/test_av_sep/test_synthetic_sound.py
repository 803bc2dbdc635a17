"""Parts played by recorded notes and soundfonts: on time, in tune, in the room, by the clock and the tuning fork."""

import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from av_sep.datasets.instrument_ranges import voices
from av_sep.datasets.melodies import Note
from av_sep.datasets.note_samples import index_note_samples, onset_sample, wobble_cents
from av_sep.datasets.pitch import estimate_pitch
from av_sep.datasets.synthetic import sound_sources
from av_sep.datasets.synthetic.acoustics import (
    Room,
    draw_room,
    impulse_response,
    in_room,
    noise_floor,
    pan_gains,
    pans,
    reflections,
)
from av_sep.datasets.synthetic.f0_track import f0_track
from av_sep.datasets.synthetic.performance import PlayedNote, PlayedPart, vibrato_contour
from av_sep.datasets.synthetic.sample_player import interpolate, play_samples
from av_sep.datasets.synthetic.sound_sources import choose_voicing, open_sources, play_parts, thinned
from av_sep.errors import MediaError, ParameterError

RATE_HZ = 24000


def played(start, seconds, pitch, legato=False, cents=0.0, vibrato=0.0, level_db=0.0):
    return PlayedNote(Note(start, seconds, pitch, level_db, legato), cents, vibrato, 5.0)


def part(notes, instrument="violin"):
    return PlayedPart(instrument, voices(instrument)[0], tuple(notes))


def first_heard(waveform, rate_hz, start_seconds, end_seconds):
    """When a stretch first comes within 15 dB of its loudest 2 ms, seconds."""
    hop = int(0.002 * rate_hz)
    stretch = waveform[int(start_seconds * rate_hz) : int(end_seconds * rate_hz)]
    frames = stretch[: len(stretch) // hop * hop].reshape(-1, hop)
    level = np.sqrt(np.mean(frames**2, axis=1))
    return start_seconds + np.argmax(level > level.max() * 10 ** (-15 / 20)) * hop / rate_hz


def sounding_pitch(waveform, rate_hz, note):
    start, end = note.start_seconds + 0.06, note.start_seconds + note.duration_seconds - 0.02
    return estimate_pitch(waveform[int(start * rate_hz) : int(end * rate_hz)], rate_hz)


@pytest.fixture(scope="module")
def sources(note_library):
    return open_sources(note_library, ())


def voicing(sources, one_part, seed=0):
    return choose_voicing(sources, one_part, RATE_HZ, np.random.default_rng(seed))


# Recorded notes


def test_detached_notes_are_heard_when_they_are_due_and_in_tune(sources):
    notes = [played(0.4 + 0.9 * i, 0.5, pitch, cents=cents) for i, (pitch, cents) in enumerate(
        [(57, 0.0), (69, 20.0), (75, -30.0), (88, 10.0), (62, 0.0)]
    )]  # fmt: skip
    chosen = voicing(sources, part(notes))
    rendered = play_samples(notes, chosen.sample_set, 5 * RATE_HZ, np.random.default_rng(0))
    assert len(rendered.waveform) == 5 * RATE_HZ and len(rendered.notes) == 5
    for note in rendered.notes:
        start = note.note.start_seconds
        assert first_heard(rendered.waveform, RATE_HZ, start - 0.3, start + 0.4) == pytest.approx(start, abs=0.02)
        assert sounding_pitch(rendered.waveform, RATE_HZ, note.note) == pytest.approx(note.pitch, abs=0.05)
        after = rendered.waveform[int((start + 0.62) * RATE_HZ) : int((start + 0.8) * RATE_HZ)]
        assert np.abs(after).max() < 0.02 * np.abs(rendered.waveform).max()


def test_slurred_notes_turn_into_the_next_where_it_is_due(sources):
    notes = [played(0.5, 0.6, 69, legato=True), played(1.1, 0.6, 74, legato=True), played(1.7, 0.6, 71)]
    chosen = voicing(sources, part(notes))
    rendered = play_samples(notes, chosen.sample_set, 3 * RATE_HZ, np.random.default_rng(1))
    for note in notes:
        assert sounding_pitch(rendered.waveform, RATE_HZ, note.note) == pytest.approx(note.note.pitch, abs=0.05)
    # No gap at the joints: everywhere between the first and the last note something sounds.
    hop = RATE_HZ // 50
    inside = rendered.waveform[int(0.6 * RATE_HZ) : int(2.2 * RATE_HZ)]
    level = np.sqrt(np.mean(inside[: len(inside) // hop * hop].reshape(-1, hop) ** 2, axis=1))
    assert level.min() > 0.25 * np.median(level)
    # 40 ms before a joint the old note sounds, 40 ms after it the new one.
    for time, before, after in ((1.1, 69, 74), (1.7, 74, 71)):
        for offset, pitch in ((-0.13, before), (0.04, after)):
            start = int((time + offset) * RATE_HZ)
            heard = estimate_pitch(rendered.waveform[start : start + int(0.09 * RATE_HZ)], RATE_HZ, min_hz=200.0)
            assert heard == pytest.approx(pitch, abs=0.3)


def test_levels_follow_the_notes(sources):
    notes = [played(0.5, 0.8, 69, level_db=0.0), played(2.0, 0.8, 69, level_db=-9.0)]
    chosen = voicing(sources, part(notes))
    waveform = play_samples(notes, chosen.sample_set, 4 * RATE_HZ, np.random.default_rng(0)).waveform
    loud, soft = (waveform[int(t * RATE_HZ) : int((t + 0.5) * RATE_HZ)].std() for t in (0.7, 2.2))
    assert 20 * np.log10(loud / soft) == pytest.approx(9.0, abs=0.5)


def test_vibrato_is_added_where_the_recording_has_none(sources):
    notes = [played(0.5, 2.0, 69, vibrato=30.0)]
    chosen = voicing(sources, part(notes))
    rendered = play_samples(notes, chosen.sample_set, 3 * RATE_HZ, np.random.default_rng(0))
    assert rendered.notes[0].vibrato_cents == 30.0
    track = f0_track(rendered.waveform, RATE_HZ, rendered.notes)
    held = (track[:, 0] > 0.6) & (track[:, 0] < 2.4)
    expected = vibrato_contour(track[held, 0] - 0.5, notes[0])
    measured = 1200 * np.log2(track[held, 1] / 440.0)
    assert np.sqrt(np.mean((measured - expected) ** 2)) < 5.0
    assert np.corrcoef(measured, expected)[0, 1] > 0.95


def test_notes_are_held_longer_than_their_recordings(sources):
    notes = [played(0.2, 3.0, 60)]
    rendered = play_samples(notes, voicing(sources, part(notes)).sample_set, 4 * RATE_HZ, np.random.default_rng(0))
    assert rendered.notes[0].note.duration_seconds == 3.0
    late = rendered.waveform[int(2.8 * RATE_HZ) : int(3.1 * RATE_HZ)]
    assert late.std() > 0.3 * np.abs(rendered.waveform).max() / np.sqrt(2)


def test_interpolation_is_better_than_straight_lines():
    time = np.arange(2000) / RATE_HZ
    source = np.sin(2 * np.pi * 2000.0 * time).astype(np.float32)
    positions = 10.3 + 1.037 * np.arange(1800)
    exact = np.sin(2 * np.pi * 2000.0 * positions / RATE_HZ)
    straight = np.abs(np.interp(positions, np.arange(2000), source) - exact).max()
    assert np.abs(interpolate(source, positions) - exact).max() < 0.25 * straight


def test_onset_and_wobble_of_a_recording():
    wave = np.concatenate([np.zeros(2400), np.sin(np.arange(24000) / 5.0)])
    assert onset_sample(wave, RATE_HZ) == pytest.approx(2400, abs=96)
    assert wobble_cents([69.0, 69.1, 68.9, 69.1, 68.9]) == pytest.approx(10.0)
    assert wobble_cents([]) == 0.0


# Choice of sounds


def test_large_libraries_are_thinned_evenly(tmp_path):
    folder = tmp_path / "big" / "violin"
    folder.mkdir(parents=True)
    for i in range(30):
        (folder / f"violin_A4_{i:02d}_forte.wav").touch()
    (folder / "violin_B4_00_forte.wav").touch()
    kept = thinned(index_note_samples(tmp_path))
    assert len(kept) == 7 and {sample.pitch for sample in kept} == {69, 71}
    assert kept[0].path.name.startswith("violin_A4_00") and kept[5].path.name.startswith("violin_A4_29")


def test_instruments_are_those_that_there_are_notes_of(sources):
    assert sources.instruments == ("violin", "cello", "flute")


def test_parts_beyond_a_library_are_folded_into_it(sources):
    low, high = voicing(sources, part([played(0.0, 1.0, 70)])).sample_set.pitch_range()
    far = part([played(0.0, 1.0, high + 8), played(1.0, 1.0, 70)])
    fitted = voicing(sources, far).fitted(far)
    assert fitted.notes[0].note.pitch == high + 8 - 12 and fitted.notes[1] == far.notes[1]


def test_the_library_that_covers_the_part_is_preferred(tmp_path, note_library):
    for name, pitches in (("alow", ("G3", "As3", "Cs4")), ("whole", None)):
        for path in sorted((note_library / "made" / "violin").iterdir()):
            if pitches is None or path.stem in pitches:
                (tmp_path / name / "violin").mkdir(parents=True, exist_ok=True)
                shutil.copy(path, tmp_path / name / "violin")
    both = open_sources(tmp_path, ())
    high = part([played(0.0, 1.0, 90)])
    assert {choose_voicing(both, high, RATE_HZ, np.random.default_rng(s)).name for s in range(8)} == {"whole"}


def test_missing_sounds_are_named(tmp_path, monkeypatch, sources):
    with pytest.raises(ParameterError, match="no sounds for this instrument. Received: 'tuba'"):
        choose_voicing(sources, part([played(0, 1, 40)], "tuba"), RATE_HZ, np.random.default_rng(0))
    monkeypatch.setattr(sound_sources, "USUAL_SOUNDFONTS", ())
    open_sources.cache_clear()
    with pytest.raises(MediaError, match="nothing to play with"):
        open_sources(None, ())
    with pytest.raises(MediaError, match=r"<library>/<instrument>/\*.wav. Received: .*empty"):
        (tmp_path / "empty").mkdir()
        open_sources(tmp_path / "empty", ())
    with pytest.raises(MediaError, match="no such soundfont. Received: .*none.sf2"):
        open_sources(None, (tmp_path / "none.sf2",))
    with pytest.raises(ParameterError, match=r"\.sf2 or \.sf3.*font.wav"):
        open_sources(None, (tmp_path / "font.wav",))


# Soundfonts


def find_soundfont():
    """A small soundfont of this machine: AV_SEP_SOUNDFONT, or the one that pretty_midi brings."""
    if os.environ.get("AV_SEP_SOUNDFONT"):
        return Path(os.environ["AV_SEP_SOUNDFONT"])
    spec = importlib.util.find_spec("pretty_midi")
    path = Path(spec.origin).parent / "TimGM6mb.sf2" if spec and spec.origin else None
    return path if path and path.is_file() else None


def test_soundfonts_are_on_time_in_tune_and_each_part_by_itself():
    if shutil.which("fluidsynth") is None:
        pytest.skip("the program fluidsynth is not on PATH")
    soundfont = find_soundfont()
    if soundfont is None:
        pytest.skip("no soundfont: set AV_SEP_SOUNDFONT or install pretty_midi")
    notes = [played(0.3 + 0.9 * i, 0.5, pitch, cents=15.0) for i, pitch in enumerate((64, 69, 76))]
    parts = [part(notes, "flute"), part([played(1.5, 0.8, 43, cents=-20.0)], "cello")]
    fonts = open_sources(None, (soundfont,))
    voicings = [choose_voicing(fonts, one, RATE_HZ, np.random.default_rng(0)) for one in parts]
    flute, cello = play_parts(parts, voicings, 4 * RATE_HZ, RATE_HZ, np.random.default_rng(0))
    for rendered in (flute, cello):
        assert len(rendered.waveform) == 4 * RATE_HZ
        for note in rendered.notes:
            start = note.note.start_seconds
            heard = first_heard(rendered.waveform, RATE_HZ, start - 0.15, start + 0.35)
            assert heard == pytest.approx(start, abs=0.02)
            assert sounding_pitch(rendered.waveform, RATE_HZ, note.note) == pytest.approx(note.pitch, abs=0.12)
    assert np.abs(cello.waveform[: int(1.3 * RATE_HZ)]).max() < 0.02 * np.abs(cello.waveform).max()
    again = play_parts(parts, voicings, 4 * RATE_HZ, RATE_HZ, np.random.default_rng(0))
    np.testing.assert_array_equal(again[0].waveform, flute.waveform)


# Fundamental frequency


@pytest.mark.parametrize("pitch", [33, 57, 76, 93])
def test_f0_track_follows_a_known_vibrato(pitch):
    notes = [played(0.5, 1.5, pitch, cents=13.0, vibrato=20.0), played(2.0, 0.5, pitch + 2)]
    waveform = np.zeros(3 * RATE_HZ)
    for note in notes:
        time = np.arange(int(note.note.duration_seconds * RATE_HZ)) / RATE_HZ
        hz = note.frequency_hz * 2 ** (vibrato_contour(time, note) / 1200)
        phase = 2 * np.pi * np.cumsum(hz) / RATE_HZ
        start = int(note.note.start_seconds * RATE_HZ)
        waveform[start : start + len(time)] += sum(np.sin(k * phase) / k for k in range(1, 5))
    track = f0_track(waveform.astype(np.float32), RATE_HZ, notes)
    np.testing.assert_allclose(np.diff(track[:, 0]), 0.01, atol=1e-9)
    inside = (track[:, 0] >= 0.5) & (track[:, 0] < 2.5)
    np.testing.assert_array_equal(track[:, 1] > 0, inside)
    steady = (track[:, 0] >= 0.55) & (track[:, 0] < 1.95)
    expected = notes[0].frequency_hz * 2 ** (vibrato_contour(track[steady, 0] - 0.5, notes[0]) / 1200)
    assert np.abs(1200 * np.log2(track[steady, 1] / expected)).max() < 8.0


# Room


def test_direct_sound_is_undelayed_and_panned_with_constant_power():
    room = draw_room(np.random.default_rng(0))
    for pan in (-0.8, 0.0, 0.5):
        response = impulse_response(room, pan, RATE_HZ, 2, np.random.default_rng(1))
        assert np.abs(response[0]).max() == np.abs(response).max()
        assert np.sum(response[0] ** 2) == pytest.approx(1.0)
        assert 10 * np.log10(np.sum(response[1:] ** 2)) == pytest.approx(room.wet_db, abs=0.3)
        np.testing.assert_allclose(response[0], pan_gains(pan, 2), rtol=1e-6)
    assert pan_gains(-1.0, 2) == pytest.approx([1, 0]) and pan_gains(1.0, 2) == pytest.approx([0, 1], abs=1e-12)
    assert np.all(np.diff(pans(5)) > 0) and pans(1) == [0.0]


def test_reflections_arrive_from_the_mirror_images():
    """By hand: 12 m in front of the microphone, both 1.2 m above the floor, so the floor's image is 2.4 m lower."""
    room = Room((40.0, 40.0, 30.0), (20.0, 20.0, 1.2), 3.0, -60.0)
    found = sorted(reflections(room, np.array([20.0, 8.0, 1.2])))
    delay_seconds, gain, side = found[0]
    mirrored = np.sqrt(12.0**2 + 2.4**2)
    assert delay_seconds == pytest.approx((mirrored - 12.0) / 343.0)
    absorption = 0.161 * 48000.0 / (8000.0 * 3.0)
    assert gain == pytest.approx(np.sqrt(1.0 - absorption) * 12.0 / mirrored) and side == 0.0
    # Six walls once; then each of the six twice or two different ones, opposite walls in either order.
    assert len(found) == 6 + 18 and {side > 0 for _, _, side in found} == {True, False}


def test_tail_dies_away_in_the_reverberation_time():
    room = Room((8.0, 9.0, 4.0), (4.0, 5.0, 1.8), 0.8, -10.0)
    response = impulse_response(room, 0.2, RATE_HZ, 1, np.random.default_rng(0))[:, 0].astype(np.float64)
    energy = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1])
    times = np.arange(len(response)) / RATE_HZ
    late = (times > 0.15) & (times < 0.45)
    slope = np.polyfit(times[late], energy[late], 1)[0]
    assert -60.0 / slope == pytest.approx(0.8, rel=0.15)


def test_room_keeps_length_and_time():
    dry = np.zeros(RATE_HZ, np.float32)
    dry[5000] = 1.0
    wet = in_room(dry, impulse_response(draw_room(np.random.default_rng(2)), 0.3, RATE_HZ, 2, np.random.default_rng(3)))
    assert wet.shape == (RATE_HZ, 2)
    assert np.abs(wet[:4999]).max() < 1e-5 and np.abs(wet).max(axis=1).argmax() == 5000


def test_noise_floor_has_its_level_and_more_bass():
    noise = noise_floor(4 * RATE_HZ, 2, RATE_HZ, -70.0, np.random.default_rng(0))
    assert 20 * np.log10(noise.std()) == pytest.approx(-70.0, abs=0.1)
    spectrum = np.abs(np.fft.rfft(noise[:, 0])) ** 2
    hz = np.fft.rfftfreq(len(noise), 1 / RATE_HZ)
    low, high = spectrum[(hz > 20) & (hz < 100)].mean(), spectrum[hz > 4000].mean()
    assert 10 * np.log10(low / high) > 10.0
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.05


def test_broken_recordings_are_named(tmp_path):
    folder = tmp_path / "made" / "flute"
    folder.mkdir(parents=True)
    (folder / "A4.wav").write_bytes(b"not a sound")
    with pytest.raises(MediaError, match="A4.wav"):
        choose_voicing(open_sources(tmp_path, ()), part([played(0, 1, 70)], "flute"), RATE_HZ, np.random.default_rng(0))


def test_unpitched_recordings_are_no_instrument(tmp_path):
    folder = tmp_path / "made" / "flute"
    folder.mkdir(parents=True)
    sf.write(folder / "puff.wav", 0.1 * np.random.default_rng(0).standard_normal(RATE_HZ), RATE_HZ)
    with pytest.raises(MediaError, match="can be used. Received: 'flute'"):
        choose_voicing(open_sources(tmp_path, ()), part([played(0, 1, 70)], "flute"), RATE_HZ, np.random.default_rng(0))
