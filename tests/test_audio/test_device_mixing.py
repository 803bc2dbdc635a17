"""Mixtures made on the device are those of `av_sep.datasets.mixing` in everything but the random numbers.

JAX runs in a process of its own and leaves arrays, because the tests' own process computes under TensorFlow.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from av_sep.datasets.mixing import MixingConfig, add_colour, add_room, make_batch
from av_sep.datasets.solo_bank import ENSEMBLES, SoloBank

pytest.importorskip("jax", reason="needs av-sep[jax]")

# Compilation is most of the time; what is compiled quickly computes the same.
ENVIRONMENT = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
NAMES = ("violin", "flute", "tuba", "horn", "oboe")
RATE = 8000
NUM_SAMPLES = 1024
BATCH = 256
PLAIN = {"room_probability": 0.0, "tilt": 0.0, "max_shift_semitones": 0.0, "level_spread_db": 0.0}
CONFIGS = {
    "usual": {"doubling_probability": 0.3, "extra_label_probability": 0.3},
    "plain": {"num_instruments_weights": (1.0,), "mixture_level_db": (-20.0, -20.0), **PLAIN},
    "related": {
        "num_instruments_weights": (0.0, 1.0), "related_probability": 0.5, "detuning_semitones": 0.05,
        **PLAIN, "max_shift_semitones": 2.0,
    },  # fmt: skip
}

SCRIPT = """
import json, sys
import jax, numpy as np
from audio.device_label_noise import noisy_batch
from audio.device_mixing import DeviceMixer, _colour, _place, _read, _room, device_bank
from audio.label_noise_settings import LabelNoise
from av_sep.datasets.mixing import MixingConfig
from av_sep.datasets.solo_bank import SoloBank
from av_sep.errors import ParameterError

folder, names, rate, num_samples, batch_size, configs, noise = json.loads(sys.argv[1])
with np.load(f"{folder}/lines.npz") as lines:
    sources = {}
    for key in sorted(lines.files):
        instrument, source = key.split("/")
        sources.setdefault(instrument, {})[source] = lines[key]
bank = device_bank(SoloBank(rate, sources), names)
outputs = {}
for name, options in configs.items():
    mixer = DeviceMixer(MixingConfig(num_samples=num_samples, **options), len(names), rate, batch_size)
    make = jax.jit(mixer.batch)
    for seed, step in ((1, 0), (1, 0), (1, 1), (2, 0)) if name == "usual" else ((1, 0),):
        again = "again" if f"{name}/{seed}/{step}/mixture" in outputs else ""
        for part, array in zip(("mixture", "labels", "sources"), make(bank, seed, step)):
            outputs[f"{name}/{seed}/{step}{again}/{part}"] = array
    if name == "usual":
        noisy = jax.jit(lambda *batch: noisy_batch(*batch, LabelNoise(**noise), 1, 0))
        labels, references = outputs["usual/1/0/labels"], outputs["usual/1/0/sources"]
        outputs["noisy/labels"], outputs["noisy/sources"] = noisy(labels, references)
read = jax.jit(lambda which, where, shift: _read(bank, 0, *_place(bank, 0, which, where), shift, num_samples))
outputs["read"] = np.stack([read(0.0, 0.5, shift) for shift in (-2.0, 0.0, 1.996)])
outputs["chosen"] = np.array([read(drawn, 0.0, 0.0)[0] for drawn in np.linspace(0, 0.999, 200)])
normal = np.load(f"{folder}/normal.npz")
outputs["room"] = jax.jit(lambda tail: _room(tail, rate, 0.31, 0.6))(normal["tail"])
outputs["colour"] = jax.jit(lambda gains_db: _colour(gains_db, rate))(normal["gains_db"])
outputs["refusals"] = []
for act in (
    lambda: device_bank(SoloBank(rate, {"lute": {"one": np.zeros(9, np.int16)}}), names),
    lambda: DeviceMixer(MixingConfig(num_samples=600_000), 2, rate, 1),
):
    try:
        act()
    except ParameterError as error:
        outputs["refusals"].append(str(error))
np.savez(f"{folder}/outputs.npz", **outputs)
"""


@pytest.fixture(scope="module")
def bank():
    """Noise as lines, of two sources of different lengths for the first instrument; nobody plays the horn."""
    rng = np.random.default_rng(3)

    def line(num_samples):
        return rng.integers(-20000, 20000, size=num_samples).astype(np.int16)

    lines = {"tuba": {"one": line(300)}, "flute": {"one": line(5000)}, "oboe": {"one": line(3000)}}
    # First violin and flute, then flute and oboe, whose lines add up to a constant at any time.
    time = np.arange(20_000)
    lines["flute"][ENSEMBLES] = (20_000 - time).astype(np.int16)
    lines["oboe"][ENSEMBLES] = np.where(time >= 10_000, time, 0).astype(np.int16)
    first = np.where(time < 10_000, time + 1, 0).astype(np.int16)
    violins = {"large": line(9000), ENSEMBLES: first, "small": np.full(1000, 111, np.int16)}
    return SoloBank(RATE, {"violin": violins, **lines})


@pytest.fixture(scope="module")
def normal():
    """Normal numbers of which a room and a colour are made."""
    rng = np.random.default_rng(5)
    return {"tail": rng.normal(size=5600).astype(np.float32), "gains_db": rng.normal(0, 4, 9).astype(np.float32)}


NOISE = {"drop_probability": 0.4, "add_probability": 0.5, "lowest_confidence": 0.6}


@pytest.fixture(scope="module")
def device(bank, normal, tmp_path_factory):
    """What JAX makes of the bank."""
    folder = tmp_path_factory.mktemp("device")
    lines = {f"{name}/{source}": line for name, sources in bank.lines.items() for source, line in sources.items()}
    np.savez(folder / "lines.npz", **lines)
    np.savez(folder / "normal.npz", **normal)
    arguments = json.dumps([str(folder), NAMES, RATE, NUM_SAMPLES, BATCH, CONFIGS, NOISE])
    command = [sys.executable, "-c", SCRIPT, arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "outputs.npz") as outputs:
        return dict(outputs)


@pytest.fixture(scope="module")
def host(bank):
    """The same by NumPy."""
    config = MixingConfig(num_samples=NUM_SAMPLES, **CONFIGS["usual"])
    mixture, labels, sources = make_batch(bank, NAMES, config, seed=1, index=0, batch_size=BATCH)
    return {"mixture": mixture, "labels": labels, "sources": sources}


def usual(device, seed=1, step="0"):
    return {part: device[f"usual/{seed}/{step}/{part}"] for part in ("mixture", "labels", "sources")}


def levels_db(signals):
    return 10 * np.log10(np.mean(signals.astype(np.float64) ** 2, axis=-1))


def test_shapes_and_types_are_those_of_the_host(device, host):
    for part, array in usual(device).items():
        assert array.shape == host[part].shape and array.dtype == np.float32


def test_same_seed_and_step_give_the_same_batch_and_others_differ(device):
    batches = [usual(device, *which)["mixture"] for which in ((1, "0"), (1, "1"), (2, "0"))]
    np.testing.assert_array_equal(usual(device, 1, "0again")["mixture"], batches[0])
    assert len({mixture.tobytes() for batch in batches for mixture in batch}) == 3 * BATCH


def test_sources_sum_to_the_mixture(device):
    batch = usual(device)
    total = sum(batch["sources"][:, slot].astype(np.float64) for slot in range(len(NAMES)))
    assert np.abs(batch["mixture"]).max(axis=(1, 2)).min() > 0.01
    np.testing.assert_allclose(batch["mixture"], total, rtol=0, atol=1e-6)


def test_absent_sources_are_exactly_zero_and_the_bank_has_no_horn(device):
    sounding = np.any(usual(device)["sources"], axis=(2, 3))
    assert set(sounding.sum(axis=1)) == {1, 2, 3, 4}
    assert not sounding[:, NAMES.index("horn")].any()
    # Every other instrument plays in its share of the examples.
    assert np.ptp(np.delete(sounding, NAMES.index("horn"), axis=1).mean(axis=0)) < 0.15


def test_as_many_play_as_by_numpy(device, host):
    counts, expected = (np.any(batch["sources"], axis=(2, 3)).sum(axis=1) for batch in (usual(device), host))
    weights = (0.05, 0.45, 0.3, 0.2)
    for num in range(1, 5):
        assert np.mean(counts == num) == pytest.approx(weights[num - 1], abs=0.1)
        assert np.mean(counts == num) == pytest.approx(np.mean(expected == num), abs=0.12)


def test_labels_claim_what_sounds_and_now_and_then_one_more(device, host):
    shares = []
    for batch in (usual(device), host):
        sounding = np.any(batch["sources"], axis=(2, 3))
        assert np.all(batch["labels"][sounding] == 1) and set(np.unique(batch["labels"])) == {0, 1}
        extra = batch["labels"] > sounding
        assert set(extra.sum(axis=1)) == {0, 1}
        shares.append(extra.mean(axis=0))
    assert shares[0].min() > 0 and shares[0].sum() == pytest.approx(shares[1].sum(), abs=0.12)


def test_levels_are_those_of_numpy(device, host):
    found, expected = (levels_db(batch["mixture"][:, :, 0]) for batch in (usual(device), host))
    assert -36.01 < found.min() < -34 and -16 < found.max() < -13.99
    np.testing.assert_allclose(np.quantile(found, [0.25, 0.5, 0.75]), np.quantile(expected, [0.25, 0.5, 0.75]), atol=3)


def test_sources_spread_in_level_as_by_numpy(device, host):
    spreads = []
    for batch in (usual(device), host):
        sounding = np.any(batch["sources"], axis=(2, 3))
        pairs = [levels_db(example[plays][:, :, 0]) for example, plays in zip(batch["sources"], sounding)]
        spreads.append(np.std([levels[0] - levels[1] for levels in pairs if len(levels) == 2]))
    assert spreads[0] == pytest.approx(spreads[1], rel=0.3) and spreads[0] > 3


def test_spectra_are_those_of_numpy(device, host):
    """Tilts, rooms and interpolation colour noise in one way."""
    spectra = []
    for batch in (usual(device), host):
        stems = batch["sources"][np.any(batch["sources"], axis=(2, 3))][:, :, 0]
        stems = stems / np.sqrt(np.mean(stems**2, axis=1, keepdims=True))
        spectra.append(10 * np.log10(np.mean(np.abs(np.fft.rfft(stems)) ** 2, axis=0)[1:].reshape(16, -1).mean(axis=1)))
    np.testing.assert_allclose(*spectra, atol=1.0)


def test_plain_sources_are_stretches_of_their_lines_at_the_level_asked_for(device, bank):
    sources = device["plain/1/0/sources"]
    slots = np.any(sources, axis=(2, 3)).argmax(axis=1)
    np.testing.assert_allclose(levels_db(sources.sum(axis=1)[:, :, 0]), -20, atol=0.01)
    for slot, example in list(zip(slots, sources))[:6]:
        stretch = example[slot, :, 0].astype(np.float64)
        lines = [np.resize(line, len(line) + NUM_SAMPLES) for line in bank.solos(NAMES[slot]).values()]
        windows = np.concatenate([np.lib.stride_tricks.sliding_window_view(line, NUM_SAMPLES) for line in lines])
        dots = windows @ (stretch / np.linalg.norm(stretch)) / np.linalg.norm(windows.astype(np.float64), axis=1)
        assert dots.max() == pytest.approx(1, abs=1e-6)


def test_reading_at_a_speed_is_linear_interpolation(device, bank):
    line = np.resize(bank.lines["violin"]["large"] / 32768, 20_000)
    for waveform, semitones in zip(device["read"], (-2, 0, 2 * 0.998), strict=True):
        # Speeds are rounded to 1 / 4096.
        speed = round(2 ** (semitones / 12) * 4096) / 4096
        expected = np.interp(4500 + np.arange(NUM_SAMPLES) * speed, np.arange(len(line)), line)
        np.testing.assert_allclose(waveform, expected, rtol=0, atol=2e-6)


def test_larger_libraries_are_heard_by_the_square_root_of_their_size(device):
    share = np.mean(np.abs(device["chosen"] - 111 / 32768) < 1e-7)
    # sqrt(1000) : sqrt(9000) is 1 : 3.
    assert share == pytest.approx(0.25, abs=0.01)


def related_examples(device):
    """Examples of the related batch whose two players read the ramps of the ensembles together, `[num, sources, time]`.

    One ramp rises as the other falls; detunings come to a hundredth of what either changes by.
    """
    sources = device["related/1/0/sources"][:, :, :, 0].astype(np.float64)
    totals = sources.sum(axis=1)
    return sources[np.ptp(totals, axis=1) < 0.02 * np.abs(totals).max(axis=1)]


def test_related_players_read_one_passage_together(device):
    related = related_examples(device)
    violin, flute, _, _, oboe = range(5)
    pairs = {tuple(np.flatnonzero(example.any(axis=1))) for example in related}
    assert pairs == {(violin, flute), (flute, oboe)}
    # A little less than asked for: at the end of the lines the passage begins again.
    assert 0.35 < len(related) / BATCH < 0.55


def test_players_are_in_tune(device):
    related = related_examples(device)
    flutes, totals = related[:, 1], related.sum(axis=1)
    # Together the ramps are 20,000 high and the flute's falls by 1 a sample, before speed and level.
    speeds = (flutes[:, 0] - flutes[:, -1]) / (NUM_SAMPLES - 1) / (totals.mean(axis=1) / 20_000)
    shifts = 12 * np.log2(speeds)
    assert {-2, -1, 0, 1, 2} == set(np.round(shifts).astype(int))
    detunings = shifts - np.round(shifts)
    assert np.abs(detunings).max() < 0.2 and 0.03 < detunings.std() < 0.08


class _Fixed:
    """Gives `add_room` and `add_colour` the numbers that the device was given."""

    def __init__(self, evens, normals):
        self.evens, self.normals = list(evens), normals

    def uniform(self, lowest, highest):
        return lowest + (highest - lowest) * self.evens.pop(0)

    def normal(self, *arguments, size=None):
        return self.normals[:size].astype(np.float64) if size else self.normals.astype(np.float64)


def test_room_is_that_of_numpy(device, normal):
    impulse = np.zeros(5600)
    impulse[0] = 1.0
    expected = add_room(impulse, RATE, _Fixed((0.31, 0.6), normal["tail"]))
    np.testing.assert_allclose(device["room"], expected, rtol=0, atol=1e-5)
    assert np.sum(expected[1:] ** 2) > 0.01


def test_colour_is_that_of_numpy(device, normal):
    impulse = np.zeros(2001)
    impulse[1000] = 1.0
    expected = add_colour(impulse, RATE, 4.0, _Fixed((), normal["gains_db"]))
    np.testing.assert_allclose(device["colour"], expected[1000 - 256 : 1000 + 257], rtol=0, atol=1e-5)
    assert np.abs(device["colour"]).sum() - device["colour"].max() > 0.1


def test_label_noise_is_as_strong_as_asked_and_silences_what_it_drops(device):
    batch = usual(device)
    labelled, left = batch["labels"] > 0, device["noisy/labels"] > 0
    dropped, added = labelled & ~left, left & ~labelled
    silent = dropped[:, :, None, None] & np.ones_like(batch["sources"], bool)
    np.testing.assert_array_equal(device["noisy/sources"], np.where(silent, 0, batch["sources"]))
    assert np.all((labelled & left).any(axis=1))
    many = labelled.sum(axis=1) >= 3
    assert dropped[many].sum() / labelled[many].sum() == pytest.approx(NOISE["drop_probability"], abs=0.08)
    # One blind label in two examples; those that play already do not show.
    expected = NOISE["add_probability"] * np.mean(~labelled)
    assert set(added.sum(axis=1)) == {0, 1} and added.any(axis=1).mean() == pytest.approx(expected, abs=0.1)
    confidences = device["noisy/labels"][left]
    lowest = NOISE["lowest_confidence"]
    assert lowest <= confidences.min() < lowest + 0.05 and 0.95 < confidences.max() <= 1


def test_what_cannot_be_mixed(device):
    foreign, long = device["refusals"]
    assert "violin, flute, tuba, horn, oboe. Received: one of lute" in foreign
    assert "Received: 600000" in long
