"""Index, names and loading of note samples, on tiny made folders whose pitches are known from their synthesis."""

import numpy as np
import pytest
import soundfile as sf

from av_sep.datasets.note_samples import (
    articulation_from_name,
    dynamic_from_name,
    index_note_samples,
    load_sample_set,
    pitch_from_name,
    read_mono,
    sustained_part,
    trim_silence,
)
from av_sep.datasets.pitch import estimate_pitch, hz_from_midi
from av_sep.errors import MediaError, ParameterError

RATE_HZ = 16000


def make_tone(pitch, seconds=0.6, lead_seconds=0.0, num_partials=6):
    """A note with falling partials and soft ends, after silence; float32 `[time]`."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    hz = 440.0 * 2.0 ** ((pitch - 69) / 12)
    tone = sum(np.sin(2 * np.pi * k * hz * time) / k for k in range(1, num_partials + 1) if k * hz < RATE_HZ / 2)
    ramp = np.clip(np.minimum(time, seconds - time) / 0.02, 0, 1)
    return np.concatenate([np.zeros(int(lead_seconds * RATE_HZ)), 0.3 * tone * ramp]).astype(np.float32)


def write_note(folder, name, pitch, **options):
    folder.mkdir(parents=True, exist_ok=True)
    sf.write(folder / name, make_tone(pitch, **options), RATE_HZ)


@pytest.mark.parametrize(
    ("stem", "pitch"),
    [
        ("violin_A4_1_mezzo-forte_arco-normal", 69),
        ("french-horn_Gs4_long_forte_normal", 68),
        ("Samples_gb2_ss_vl1_rr3_dyn", 42),
        ("arco_arco_a2_f_up", 45),
        ("Violin.arco.ff.sulA.A4.stereo", 69),
        ("Ethan_Winer_Collection_Samples_bassoon_Bassoon_mf_A#1", 34),
        ("MTG_Solo_Saxophones_Samples_alt_b_07", None),
        ("Samples_nor_p_3_6", None),
    ],
)
def test_pitch_from_name(stem, pitch):
    assert pitch_from_name(stem) == pitch


@pytest.mark.parametrize(
    ("stem", "articulation"),
    [
        ("violin_A4_1_mezzo-forte_arco-normal", "ordinary"),
        ("double-bass_A2_1_forte_pizz-normal", "pizzicato"),
        ("violin_A4_1_forte_con-sord", "muted"),
        ("flute_A4_phrase_forte_legato", "phrase"),
        ("flute_A4_phrase_forte_minor-trill", "phrase"),
        ("viola_A4_1_forte_arco-minor-trill", None),
        ("cello_A3_025_forte_arco-col-legno-battuto", None),
        ("viola_A4_025_forte_snap-pizz", None),
        ("pizz_noises_pizz_noise_strum_1", None),
        ("Samples_pizz_perc8_rr3", None),
        ("Samples_a1_close_rr1", None),
    ],
)
def test_articulation_from_name(stem, articulation):
    assert articulation_from_name(stem) == articulation


def test_dynamics_are_ordered_and_optional():
    stems = ["flute_A4_1_pianissimo_normal", "x_A4_p", "x_A4_mezzo-forte", "x_A4_f", "x_A4_fortissimo_normal"]
    dynamics = [dynamic_from_name(stem) for stem in stems]
    assert dynamics == sorted(dynamics) and len(set(dynamics)) == len(dynamics)
    assert 0.0 <= dynamics[0] and dynamics[-1] <= 1.0
    assert dynamic_from_name("Samples_gb2_ss_vl1") is None


@pytest.mark.parametrize("pitch", [28, 45, 57.3, 69, 88])
def test_estimated_pitch_is_the_synthesized_one(pitch):
    assert estimate_pitch(make_tone(pitch), RATE_HZ) == pytest.approx(pitch, abs=0.05)
    assert hz_from_midi(69) == 440.0


def test_missing_fundamental_is_heard_at_its_period():
    time = np.arange(RATE_HZ) / RATE_HZ
    harmonics = sum(np.sin(2 * np.pi * 110 * k * time) for k in (2, 3, 4, 5))
    assert estimate_pitch(harmonics, RATE_HZ) == pytest.approx(45, abs=0.05)


def test_noise_and_stubs_have_no_pitch():
    noise = np.random.default_rng(0).normal(size=RATE_HZ).astype(np.float32)
    assert estimate_pitch(noise, RATE_HZ) is None
    assert estimate_pitch(make_tone(69)[:200], RATE_HZ) is None


def test_index_reads_names_only(tmp_path):
    folder = tmp_path / "acme" / "violin"
    folder.mkdir(parents=True)
    for name in ("violin_A4_1_forte_arco-normal.ogg", "violin_B4_1_piano_arco-col-legno.ogg", "notes.txt"):
        (folder / name).write_bytes(b"not sound")
    (tmp_path / "acme" / "oboe").mkdir()
    (tmp_path / "acme" / "oboe" / "oboe_C5_1_forte_normal.ogg").write_bytes(b"not sound")
    entries = index_note_samples(tmp_path)
    assert [(e.library, e.instrument, e.pitch, e.dynamic) for e in entries] == [
        ("acme", "oboe", 72, 0.8),
        ("acme", "violin", 69, 0.8),
    ]
    assert [e.instrument for e in index_note_samples(tmp_path, ["violin"])] == ["violin"]


def test_missing_folder_and_broken_file_are_named(tmp_path):
    with pytest.raises(MediaError, match="nowhere"):
        index_note_samples(tmp_path / "nowhere")
    (tmp_path / "broken.ogg").write_bytes(b"not sound")
    with pytest.raises(MediaError, match="broken.ogg"):
        read_mono(tmp_path / "broken.ogg", RATE_HZ)


def test_sets_do_not_mix_libraries(tmp_path):
    for library in ("a", "b"):
        write_note(tmp_path / library / "oboe", "oboe_A4.wav", 69)
    with pytest.raises(ParameterError, match="a/oboe"):
        load_sample_set(index_note_samples(tmp_path), RATE_HZ)
    with pytest.raises(ParameterError, match="0 samples"):
        load_sample_set([], RATE_HZ)


def test_read_mono_averages_channels_and_resamples(tmp_path):
    tone = make_tone(69, seconds=1.0)
    sf.write(tmp_path / "two.wav", np.stack([tone, 0 * tone], axis=1), RATE_HZ)
    half = read_mono(tmp_path / "two.wav", RATE_HZ)
    np.testing.assert_allclose(half, tone / 2, atol=1e-4)
    assert len(read_mono(tmp_path / "two.wav", 8000)) == 8000


def test_trim_keeps_the_onset_and_drops_silence():
    tone = make_tone(69, seconds=0.5, lead_seconds=0.3)
    trimmed = trim_silence(np.concatenate([tone, np.zeros(RATE_HZ, np.float32)]), RATE_HZ)
    assert len(trimmed) == pytest.approx(0.5 * RATE_HZ, abs=0.03 * RATE_HZ)
    assert np.abs(trimmed[: int(0.03 * RATE_HZ)]).max() > 0.1
    assert len(trim_silence(np.zeros(RATE_HZ, np.float32), RATE_HZ)) == 0


def test_held_part_leaves_the_release_out():
    tone = make_tone(69, seconds=1.0)
    release = np.exp(-np.arange(RATE_HZ) / (0.2 * RATE_HZ)).astype(np.float32)
    first, last = sustained_part(np.concatenate([tone, release * tone]), RATE_HZ)
    assert first < 0.05 * RATE_HZ
    assert 0.95 * RATE_HZ < last < 1.35 * RATE_HZ


def test_octaves_come_from_the_ear_and_tuning_too(tmp_path):
    folder = tmp_path / "acme" / "double_bass"
    for name, pitch in (("E3", 40.2), ("A3", 45.0), ("D4", 49.9), ("G4", 55.0)):
        write_note(folder, f"bass_{name}_1_forte_arco-normal.wav", pitch)
    loaded = load_sample_set(index_note_samples(tmp_path), RATE_HZ)
    np.testing.assert_allclose([note.pitch for note in loaded.notes], [40.2, 45.0, 49.9, 55.0], atol=0.05)


def test_mixed_octaves_in_one_library_are_told_apart(tmp_path):
    folder = tmp_path / "acme" / "trombone"
    for name, pitch in (("A3", 57), ("B3", 59), ("C4", 60), ("D5", 62), ("E5", 64)):
        write_note(folder, f"trombone_{name}.wav", pitch)
    loaded = load_sample_set(index_note_samples(tmp_path), RATE_HZ)
    np.testing.assert_allclose([note.pitch for note in loaded.notes], [57, 59, 60, 62, 64], atol=0.05)


def test_misnamed_and_unpitched_sounds_are_left_out(tmp_path):
    folder = tmp_path / "acme" / "oboe"
    for name, pitch in (("A4", 69), ("B4", 71), ("C5", 72), ("D5", 77)):
        write_note(folder, f"oboe_{name}.wav", pitch)
    noise = np.random.default_rng(0).normal(0, 0.1, RATE_HZ)
    sf.write(folder / "oboe_E5.wav", noise, RATE_HZ)
    loaded = load_sample_set(index_note_samples(tmp_path), RATE_HZ)
    assert [round(note.pitch) for note in loaded.notes] == [69, 71, 72]
    assert loaded.pitch_range() == (68, 73)


def test_unnamed_notes_are_heard_and_phrases_kept_apart(tmp_path):
    folder = tmp_path / "acme" / "flute"
    write_note(folder, "take_07.wav", 81)
    write_note(folder, "flute_A4_phrase_forte_legato.wav", 69)
    loaded = load_sample_set(index_note_samples(tmp_path), RATE_HZ)
    assert [round(note.pitch) for note in loaded.notes] == [81]
    assert len(loaded.phrases) == 1


def test_notes_are_leveled_in_memory(tmp_path):
    folder = tmp_path / "acme" / "flute"
    for name, pitch, gain in (("A4", 69, 1.0), ("B4", 71, 0.01)):
        folder.mkdir(parents=True, exist_ok=True)
        sf.write(folder / f"flute_{name}.wav", gain * make_tone(pitch), RATE_HZ, subtype="FLOAT")
    for note in load_sample_set(index_note_samples(tmp_path), RATE_HZ).notes:
        middle = note.waveform[len(note.waveform) // 4 : -len(note.waveform) // 4]
        assert np.sqrt(np.mean(middle**2)) == pytest.approx(1.0, rel=0.05)


def test_pick_prefers_near_pitch_length_and_dynamic(tmp_path):
    folder = tmp_path / "acme" / "flute"
    write_note(folder, "flute_A4_p.wav", 69, seconds=2.0)
    write_note(folder, "flute_A4_ff.wav", 69, seconds=2.0)
    write_note(folder, "flute_Gs4_ff.wav", 68, seconds=0.2)
    write_note(folder, "flute_A5_ff.wav", 81, seconds=2.0)
    loaded = load_sample_set(index_note_samples(tmp_path), RATE_HZ)
    rng = np.random.default_rng(0)
    picks = [loaded.pick(69, 1.5, 1.0, rng) for _ in range(50)]
    assert all(abs(note.pitch - 69) < 2 for note in picks)
    assert np.mean([note.dynamic > 0.9 and len(note.waveform) > RATE_HZ for note in picks]) > 0.7
