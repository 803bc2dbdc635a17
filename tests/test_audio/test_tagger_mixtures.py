"""Windows that the tagger is trained on: labels true to what sounds, chance from the seed alone."""

import json

import numpy as np
import pytest

from audio.tagger.mixtures import TaggerWindowConfig, draw_pool, filter_sources, keep_a_stretch, make_windows
from av_sep.datasets.solo_bank import SoloBank, open_bank
from av_sep.instruments import URMP_13, Taxonomy

RATE_HZ, NUM_SAMPLES = 8000, 8192
HZ = {"cello": 200, "flute": 900, "oboe": 2100}
NAMES = ("flute", "tuba", "oboe", "cello")  # no line for the tuba
TAXONOMY = Taxonomy("four", [URMP_13.instruments[URMP_13.index(name)] for name in NAMES])
PLAIN = {
    "second_player_probability": 0.0,
    "max_shift_semitones": 0.0,
    "room_probability": 0.0,
    "short_probability": 0.0,
    "lowpass_probability": 0.0,
    "noise_db": (-70.0, -60.0),
}


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """Every instrument a tone of its own, in two sources."""
    root = tmp_path_factory.mktemp("bank")
    (root / "bank.json").write_text(json.dumps({"sample_rate_hz": RATE_HZ}))
    for name, hz in HZ.items():
        for source, num_samples in (("first", 30_000), ("second", 5_000)):
            folder = root / "train" / name
            folder.mkdir(parents=True, exist_ok=True)
            wave = 9000 * np.sin(2 * np.pi * hz * np.arange(num_samples) / RATE_HZ)
            np.save(folder / f"{source}.npy", wave.astype(np.int16))
    return open_bank(root, "train")


def test_ensembles_lend_no_silent_players(bank):
    """Their lines are the longest by far, and mostly silent."""
    passages = {name: np.zeros(200_000, np.int16) for name in NAMES}
    lines = {name: {**bank.lines.get(name, {}), "ensembles": passages[name]} for name in NAMES}
    pool = draw_pool(SoloBank(RATE_HZ, lines), TaggerWindowConfig(NUM_SAMPLES, **PLAIN), seed=1, num_players=20)
    assert sorted(pool.waveforms) == ["cello", "flute", "oboe"]
    for players in pool.waveforms.values():
        np.testing.assert_allclose(np.sqrt(np.mean(players.astype(np.float32) ** 2, axis=1)), 1, rtol=0.01)


def test_labels_name_exactly_the_instruments_that_sound(bank):
    config = TaggerWindowConfig(NUM_SAMPLES, num_instruments_weights=(0.2, 0.3, 0.3, 0.2), **PLAIN)
    pool = draw_pool(bank, config, seed=1, num_players=6)
    waveforms, candidates, labels = make_windows(pool, TAXONOMY, config, seed=1, index=0, batch_size=48)
    assert candidates.shape == (48, 4) and candidates.sum(axis=1).min() >= 1
    assert waveforms.shape == (48, NUM_SAMPLES) and labels.shape == (48, 4)
    power = np.abs(np.fft.rfft(waveforms * np.hanning(NUM_SAMPLES), axis=1)) ** 2
    hz = np.fft.rfftfreq(NUM_SAMPLES, 1 / RATE_HZ)
    for slot, name in enumerate(NAMES):
        near = np.abs(hz - HZ.get(name, 3000)) < 12
        share = power[:, near].max(axis=1) / np.median(power, axis=1)
        np.testing.assert_array_equal(share > 3e4, labels[:, slot] == 1, err_msg=name)
    assert set(labels.sum(axis=1)) == {0, 1, 2, 3} and not labels[:, 1].any()
    np.testing.assert_allclose(np.abs(waveforms).max(axis=1), 1, atol=1e-5)


def test_a_batch_follows_from_seed_and_index_alone(bank):
    config = TaggerWindowConfig(NUM_SAMPLES)
    pool = draw_pool(bank, config, seed=0, num_players=4)
    batches = [
        make_windows(pool, TAXONOMY, config, seed=seed, index=index, batch_size=3)
        for seed, index in ((0, 5), (0, 5), (0, 6), (1, 5))
    ]
    for values, same_again in zip(*batches[:2], strict=True):
        np.testing.assert_array_equal(values, same_again)
    first, _, next_one, other = (waveforms for waveforms, _, _ in batches)
    assert np.abs(first - next_one).max() > 0.1 and np.abs(first - other).max() > 0.1
    assert np.isfinite(first).all()


def test_a_pool_holds_players_of_unit_level_each_its_own_and_the_same_for_a_seed(bank):
    config = TaggerWindowConfig(NUM_SAMPLES)
    pool, again, other = (draw_pool(bank, config, seed=seed, num_players=5) for seed in (0, 0, 1))
    assert pool.sample_rate_hz == RATE_HZ and set(pool.waveforms) == set(HZ)
    for name, players in pool.waveforms.items():
        assert players.shape == (5, NUM_SAMPLES) and players.dtype == np.float16
        np.testing.assert_allclose(np.sqrt(np.mean(players.astype(np.float64) ** 2, axis=1)), 1, atol=2e-3)
        correlation = np.corrcoef(players.astype(np.float64))
        assert np.abs(correlation - np.eye(5)).max() < 0.9
        np.testing.assert_array_equal(players, again.waveforms[name])
        assert np.abs(players - other.waveforms[name]).max() > 0.1


def test_a_line_that_pauses_stays_a_pause(bank):
    lines = {name: {"pause": np.zeros(NUM_SAMPLES * 2, np.int16)} for name in bank.lines}
    pool = draw_pool(SoloBank(RATE_HZ, lines), TaggerWindowConfig(NUM_SAMPLES), seed=0, num_players=1)
    assert not any(players.any() for players in pool.waveforms.values())


def test_sources_that_are_not_wanted_are_not_drawn(bank):
    only = filter_sources(bank, lambda instrument, source: instrument != "oboe" and source == "second")
    assert {name: list(lines) for name, lines in only.lines.items()} == {"cello": ["second"], "flute": ["second"]}
    config = TaggerWindowConfig(NUM_SAMPLES, **PLAIN)
    only = draw_pool(only, config, seed=0, num_players=2)
    assert not make_windows(only, TAXONOMY, config, seed=0, index=0, batch_size=24)[2][:, 2].any()


def test_of_a_player_who_rests_a_loud_stretch_stays(rng):
    player = np.zeros(NUM_SAMPLES, np.float16)
    player[3000:5000] = np.sin(np.arange(2000))
    for _ in range(20):
        kept = keep_a_stretch(player, RATE_HZ, (0.1, 0.2), rng)
        heard = np.flatnonzero(kept)
        assert 0 < len(heard) <= 0.2 * RATE_HZ and np.ptp(heard) < 0.2 * RATE_HZ
        assert np.all(np.abs(kept) <= np.abs(player)) and np.abs(kept).max() > 0.3
    whole = keep_a_stretch(player, RATE_HZ, (5.0, 6.0), rng)
    np.testing.assert_array_equal(whole[3000:5000], player[3000:5000])
