"""Windows that the activity detector is trained on: who plays when is true to what sounds."""

import json
from dataclasses import replace

import numpy as np
import pytest

from audio.activity_detector.mixtures import (
    SILENT_DB,
    RestingWindowConfig,
    draw_leveled_pool,
    draw_rests,
    gated,
    judge,
    levels_db,
    make_resting_windows,
    resting_windows,
)
from audio.listening.candidates import CandidateConfig
from audio.listening.mixtures import WindowConfig
from av_sep.datasets.solo_bank import open_bank
from av_sep.instruments import URMP_13, Taxonomy

RATE_HZ, MOMENT, NUM_SAMPLES = 8000, 1024, 32768
HZ = {"cello": 250, "flute": 1000, "oboe": 2250}
NAMES = ("flute", "tuba", "oboe", "cello")  # no line for the tuba
TAXONOMY = Taxonomy("four", [URMP_13.instruments[URMP_13.index(name)] for name in NAMES])
PLAIN = WindowConfig(
    NUM_SAMPLES,
    num_instruments_weights=(0.0, 0.3, 0.4, 0.3),
    second_player_probability=0.0,
    max_shift_semitones=0.0,
    own_recording_probability=0.0,
    player_eq_db=0.0,
    recording_eq_db=0.0,
    room_probability=0.0,
    lowpass_probability=0.0,
    noise_db=(-70.0, -69.0),
    candidates=CandidateConfig(all_probability=1.0),
)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """Every instrument a tone of its own."""
    root = tmp_path_factory.mktemp("bank")
    (root / "bank.json").write_text(json.dumps({"sample_rate_hz": RATE_HZ}))
    for name, hz in HZ.items():
        (root / "train" / name).mkdir(parents=True)
        wave = 9000 * np.sin(2 * np.pi * hz * np.arange(2 * NUM_SAMPLES) / RATE_HZ)
        np.save(root / "train" / name / "tone.npy", wave.astype(np.int16))
    return open_bank(root, "train")


def test_who_plays_is_who_sounds(bank):
    config = RestingWindowConfig(PLAIN, MOMENT, silent_probability=0.2, rests_probability=0.6)
    pool = draw_leveled_pool(bank, config, seed=1, num_players=3)
    batch = make_resting_windows(pool, TAXONOMY, config, seed=1, index=0, batch_size=24)
    waveforms, candidates, plays, asked = batch
    assert [part.shape for part in batch] == [(24, NUM_SAMPLES), (24, 4), (24, 32, 4), (24, 32, 4)]
    assert {part.dtype for part in batch} == {np.dtype(np.float32)} and candidates.all()
    # Every tone has whole periods in a moment, so that its bin holds nothing of the others.
    power = np.abs(np.fft.rfft(waveforms.reshape(24, 32, MOMENT), axis=2)) ** 2
    # Where somebody begins or ends within a moment, that is heard at all frequencies.
    changes = np.abs(np.diff(plays, axis=1)).max(axis=2) > 0
    steady = ~np.pad(changes, ((0, 0), (1, 0))) & ~np.pad(changes, ((0, 0), (0, 1)))
    for slot, name in enumerate(NAMES):
        heard = power[:, :, HZ.get(name, 3695) * MOMENT // RATE_HZ] / np.median(power, axis=2)
        told = steady & (asked[:, :, slot] == 1)
        np.testing.assert_array_equal((heard > 3e4)[told], plays[:, :, slot][told] == 1, err_msg=name)
        assert told.mean() > 0.7
    assert not plays[:, :, 1].any() and 0.2 < plays[:, :, [0, 2, 3]].mean() < 0.6
    assert (changes.sum(axis=1) > 0).mean() > 0.5


def test_a_batch_follows_from_seed_and_index_alone(bank):
    config = replace(resting_windows(NUM_SAMPLES, MOMENT), stretch_seconds=(0.2, 2.0))
    pool = draw_leveled_pool(bank, config, seed=0, num_players=2)
    first, again, other = (
        make_resting_windows(pool, TAXONOMY, config, seed=0, index=index, batch_size=3) for index in (5, 5, 6)
    )
    for values, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(values, same)
    assert np.abs(first[0] - other[0]).max() > 0.1 and np.isfinite(first[0]).all()


def test_only_candidates_are_asked_for(bank):
    config = resting_windows(NUM_SAMPLES, MOMENT)
    pool = draw_leveled_pool(bank, config, seed=0, num_players=2)
    _, candidates, _, asked = make_resting_windows(pool, TAXONOMY, config, seed=0, index=0, batch_size=32)
    assert 0 < candidates.mean() < 1 and asked.mean() > 0.7 * candidates.mean()
    assert not asked[np.broadcast_to(candidates[:, None] == 0, asked.shape)].any()


def test_levels_are_those_of_the_line_and_a_pause_is_silent():
    rng = np.random.default_rng(2)
    line = 3000 * rng.normal(size=4000).astype("f")
    line[1000:2000] *= 0.01
    line[3000:] = 0
    levels = levels_db(line, 1000)
    np.testing.assert_allclose(levels[[0, 2]], 0, atol=0.5)
    assert levels[1] == pytest.approx(-40, abs=0.5) and levels[3] == SILENT_DB
    np.testing.assert_array_equal(levels_db(np.full(4000, 0.4, "f"), 1000), SILENT_DB)


def test_soft_moments_and_those_in_which_the_room_rings_are_not_asked_for():
    levels = np.array([[-3, -40, -60, -60, -34, -51, -45, -70]], "f").T
    plays, asked = judge(levels)
    np.testing.assert_array_equal(plays[:, 0], [1, 0, 0, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(asked[:, 0], [1, 0, 1, 1, 1, 0, 0, 1])


def test_rests_are_as_often_and_as_long_as_asked_for():
    rng = np.random.default_rng(5)
    config = RestingWindowConfig(WindowConfig(80_000), MOMENT, 0.1, 0.5, (0.4, 5.0))
    gains = np.array([draw_rests(config, RATE_HZ, rng) for _ in range(600)])
    assert gains.min() == 0 and gains.max() == pytest.approx(1)
    silent, never = (gains == 0).all(axis=1), (gains > 0.999).all(axis=1)
    assert silent.mean() == pytest.approx(0.1, abs=0.03) and never.mean() == pytest.approx(0.4, abs=0.06)
    # Of the others each rests for half of the time on average.
    assert (gains[~silent & ~never] == 0).mean() == pytest.approx(0.5, abs=0.06)
    lengths = []
    for gain in gains[~silent & ~never]:
        edges = np.flatnonzero(np.diff((gain > 0.5).astype(int)))
        lengths += list(np.diff(edges) / RATE_HZ)
    assert 0.38 < min(lengths) and max(lengths) < 5.02


def test_a_frame_is_silent_where_its_player_rests_throughout():
    gain = np.ones(4000, "f")
    gain[900:3100] = 0
    np.testing.assert_array_equal(gated(np.array([-1, -2, -3, -4], "f"), gain, 1000), [-1, SILENT_DB, SILENT_DB, -4])
