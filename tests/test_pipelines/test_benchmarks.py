"""Scripts under benchmarks/: what they tell the library, and how they end where they cannot go on."""

import importlib
import json
import math
import signal
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import click
import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from audio.activity import Activity
from audio.activity_detector.mixtures import draw_leveled_pool, make_resting_windows, resting_windows
from audio.activity_detector.network import ActivityDetector
from audio.tagger.mixtures import TaggerWindowConfig, draw_pool, make_windows
from audio.tagger.network import InstrumentTagger
from av_sep.datasets.solo_bank import open_bank
from av_sep.instruments import URMP_13

FOLDER = Path(__file__).parents[2] / "benchmarks"
RATE_HZ, NUM_SAMPLES = 8000, 4096


@pytest.fixture
def script(monkeypatch):
    """Imports a script by its name, as the scripts import each other, and forgets it afterwards."""
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == FOLDER:
            del sys.modules[name]


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_every_script_can_be_imported(script, name):
    assert script(name).__doc__


@pytest.fixture
def bank(tmp_path):
    """A bank of two instruments, each a tone."""
    for name, hz in (("violin", 900), ("tuba", 80)):
        (tmp_path / "bank" / "train" / name).mkdir(parents=True)
        tone = 9000 * np.sin(2 * np.pi * hz * np.arange(20_000) / RATE_HZ)
        np.save(tmp_path / "bank" / "train" / name / "tone.npy", tone.astype(np.int16))
    (tmp_path / "bank" / "bank.json").write_text(json.dumps({"sample_rate_hz": RATE_HZ}))
    return tmp_path / "bank"


# The input pipeline


def test_the_measured_network_is_as_precise_as_in_training(script, monkeypatch, tmp_path):
    """Keras's "bfloat16" would round the weights as well, which a recipe's does not."""
    module, policies = script("input_pipeline"), []

    class Seen(Exception):
        pass

    def network(**options):
        raise Seen

    monkeypatch.setattr(module, "WaveUNet", network)
    monkeypatch.setattr(module, "list_shards", lambda location: SimpleNamespace(spec=None))
    monkeypatch.setattr(keras.config, "set_dtype_policy", policies.append)
    with pytest.raises(Seen):
        module.measure(str(tmp_path), 2, 1024, 0.1)
    (policy,) = map(keras.dtype_policies.get, policies)
    assert (policy.compute_dtype, policy.variable_dtype) == ("bfloat16", "float32")


# Training networks that listen


def sent_by(produce, *arguments):
    """What a worker sends."""
    sent = []
    produce(SimpleNamespace(send=sent.append), *arguments)
    return sent


def test_batches_of_the_tagger_come_in_order_and_end(script, bank, monkeypatch):
    """More of them than are made ahead, and not from the first one on."""
    module = script("train_tagger")
    monkeypatch.setattr(module, "PLAYERS", 2)
    monkeypatch.setattr(module, "BATCH_SIZE", 3)
    sent = sent_by(module.produce, bank, frozenset(), 7, NUM_SAMPLES, 5, 20)
    config = TaggerWindowConfig(NUM_SAMPLES)
    pool = draw_pool(open_bank(bank), config, seed=7, num_players=2)
    expected = [make_windows(pool, URMP_13, config, seed=7, index=index, batch_size=3) for index in range(5, 20)]
    assert len(sent) == 15
    for batch, truth in zip(sent, expected):
        assert all(np.array_equal(one, other) for one, other in zip(batch, truth, strict=True))


def test_batches_of_the_activity_detector_are_those_of_its_windows(script, bank, monkeypatch):
    module = script("train_activity_detector")
    monkeypatch.setattr(module, "PLAYERS", 2)
    monkeypatch.setattr(module, "BATCH_SIZE", 3)
    sent = sent_by(module.produce, bank, 7, NUM_SAMPLES, 1024, 2, 4)
    config = resting_windows(NUM_SAMPLES, 1024)
    pool = draw_leveled_pool(open_bank(bank), config, seed=7, num_players=2)
    expected = [make_resting_windows(pool, URMP_13, config, seed=7, index=i, batch_size=3) for i in (2, 3)]
    for batch, truth in zip(sent, expected, strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(batch, truth, strict=True))


def test_the_activity_detector_starts_from_the_tagger_s_evidence(script):
    module = script("train_activity_detector")
    sizes = {"window_samples": 8192, "filters": (2, 3, 4), "dense_units": 6, "dropout": 0.0}
    tagger, network = (make(("violin", "tuba"), **sizes) for make in (InstrumentTagger, ActivityDetector))
    rng = np.random.default_rng(0)
    tagger.set_weights([rng.uniform(0.1, 1, w.shape) for w in tagger.get_weights()])
    module.start_from_tagger(network, tagger)
    inputs = {"waveform": rng.normal(size=(1, 8192)).astype("f"), "candidates": np.array([[1, 0]], "f")}
    features = keras.Model(tagger.inputs, tagger.get_layer("dropout_out").output).predict_on_batch(inputs)
    kernel, bias = tagger.get_layer("instruments").evidence.get_weights()
    np.testing.assert_allclose(network.predict_on_batch(inputs), features @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_only_what_is_asked_for_is_learnt(script):
    module = script("train_activity_detector")
    logits = np.array([[[0.5, -2.0], [3.0, 1.0]], [[0.0, 4.0], [-1.0, 2.0]]], "f")
    targets = np.array([[[1, -1], [0, -1]], [[-1, -1], [-1, 1]]], "f")
    expected = np.mean([np.log1p(np.exp(-0.5)), np.log1p(np.exp(3.0)), np.log1p(np.exp(-2.0))])
    assert float(module.asked_cross_entropy(targets, logits)) == pytest.approx(expected, rel=1e-5)
    assert float(module.asked_cross_entropy(np.full_like(targets, -1), logits)) == 0


def test_a_bank_that_is_not_there_ends_the_training(script, tmp_path, capfd):
    produce = script("train_tagger").produce
    arguments = (tmp_path / "nobank", frozenset(), 0, NUM_SAMPLES)
    stream = script("network_training").batches(produce, arguments, 0, 3)
    with pytest.raises(click.ClickException, match="exit status 1"):
        next(stream)
    assert "nobank" in capfd.readouterr().err


def test_a_process_that_is_killed_within_a_batch_ends_the_training(script, tmp_path, monkeypatch):
    """Much of a batch has been sent by then, for a pipe holds little."""
    module = script("network_training")
    (tmp_path / "dies.py").write_text(
        "import os, signal, threading\n"
        "def produce(writer, *arguments):\n"
        "    writer.send('first')\n"
        "    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()\n"
        "    writer.send(bytes(10_000_000))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    stream = module.batches(importlib.import_module("dies").produce, (), 0, 3)
    assert next(stream) == "first"
    (worker,) = module.multiprocessing.active_children()
    worker.join()
    with pytest.raises(click.ClickException, match=f"exit status -{signal.SIGKILL.value}"):
        next(stream)


SIZES = {"window_samples": 8192, "filters": (2, 2, 2), "dropout": 0.0}


def tagger_batch(rng):
    """Waveforms, candidates and labels."""
    return rng.normal(size=(2, 8192)).astype("f"), np.ones((2, 2), "f"), np.eye(2, dtype="f")


def detector_batch(rng):
    """Waveforms, candidates, who plays and whether to ask."""
    waveforms, candidates, labels = tagger_batch(rng)
    plays = np.repeat(labels[:, None], 4, axis=1)
    return waveforms, candidates, plays, np.ones_like(plays)


@pytest.mark.parametrize(
    ("name", "make", "make_batch"),
    [
        ("train_tagger", InstrumentTagger, tagger_batch),
        ("train_activity_detector", ActivityDetector, detector_batch),
    ],
)
def test_a_stopped_training_ends_where_an_undisturbed_one_does(script, monkeypatch, tmp_path, name, make, make_batch):
    module, shared = script(name), script("network_training")
    make_network = partial(make, ("violin", "tuba"), **SIZES)
    # Its layers of context drop features, by chance that no file keeps.
    monkeypatch.setattr("audio.activity_detector.layers.CONTEXT_DROPOUT", 0.0)

    def batches(produce, arguments, first, last, stop=None):
        for index in range(first, last):
            if index == stop:
                raise KeyboardInterrupt
            yield make_batch(np.random.default_rng((arguments[-1], index)))

    def weights_of(run, stop=None):
        monkeypatch.setattr(module, "batches", partial(batches, stop=stop))
        keras.utils.set_random_seed(0)
        arguments = ["train", "--bank", "none", "--output", str(run), "--steps", "4"]
        exit_code = CliRunner().invoke(module.main, arguments).exit_code
        network = make_network()
        if exit_code == 0:
            network.load_weights(run / "final.weights.h5")
        return exit_code, network.get_weights()

    monkeypatch.setattr(module, "make_network", make_network)
    monkeypatch.setattr(module, "limit_threads", lambda: None)
    monkeypatch.setattr(shared, "SAVE_EVERY", 2)
    if name == "train_activity_detector":
        monkeypatch.setattr(module, "start_from_tagger", lambda network, tagger: None)
    _, expected = weights_of(tmp_path / "undisturbed")
    stopped, _ = weights_of(tmp_path / "stopped", stop=3)
    resumed, weights = weights_of(tmp_path / "stopped")
    assert (stopped, resumed) == (1, 0)
    for ours, truth in zip(weights, expected, strict=True):
        np.testing.assert_allclose(ours, truth, rtol=1e-5, atol=1e-7)


def test_what_is_left_of_a_training_are_the_averages_of_its_weights(script, tmp_path):
    module = script("network_training")
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    module.compile_network(network, 8, 0.1, keras.losses.MeanSquaredError(), use_ema=True, ema_momentum=0.5)
    average, last, steps = 0.0, [], []

    def stream():
        for _ in range(8):
            steps.append(float(network.get_weights()[0][0, 0]))
            yield np.ones((1, 1), "f"), np.full((1, 1), 5, "f")
        # The last step is done by the time that the stream is asked for more.
        last.append(float(network.get_weights()[0][0, 0]))

    module.train(network, stream(), tmp_path, 0, 8)
    # It begins with the weights of before the first step.
    for weight in [*steps[1:], *last]:
        average = 0.5 * average + 0.5 * weight
    (left,) = network.get_weights()
    assert left[0, 0] == pytest.approx(average, rel=1e-4) and left[0, 0] < 0.98 * last[0]


# Mixtures to score on


@pytest.mark.parametrize("name", ["score_models", "rests", "wrong_labels", "score_activity"])
def test_scores_on_no_recordings_are_refused(script, name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--count", "1"])
    with pytest.raises(SystemExit, match="2"):
        script(name).main()
    assert "Expected --solos or --bank. Received: neither" in capsys.readouterr().err


def test_mixtures_are_drawn_by_seed_at_one_level_from_the_clips_of_each_instrument(script):
    """The violin is a constant, the tuba a ramp that is shorter than a mixture: heard again from its beginning."""
    module = script("mixtures")
    clips = {"violin": [np.full(9000, 0.5, "f")], "tuba": [np.linspace(-1, 1, 1000, dtype="f")]}
    first, again, other = (list(module.make_examples(clips, 2, 3, 0.2, seed)) for seed in (0, 0, 1))
    for example, same in zip(first, again, strict=True):
        assert example.names == ("violin", "tuba") and example.references.shape == (2, 4410, 1)
        np.testing.assert_array_equal(example.references, same.references)
        mixture = example.references.sum(axis=0)
        assert 20 * np.log10(np.sqrt(np.mean(mixture**2))) == pytest.approx(-23, abs=0.01)
        violin, tuba = example.references[..., 0]
        assert np.ptp(violin) == 0 and np.ptp(tuba[:1000]) == np.ptp(tuba)
        np.testing.assert_array_equal(tuba[1000:], tuba[:-1000])
    assert np.abs(first[0].references - other[0].references).max() > 1e-3


# Wrong labels


def test_the_stem_of_a_wrong_label_is_measured_against_the_mixture(script):
    module = script("wrong_labels")
    rng = np.random.default_rng(0)
    references = rng.normal(size=(2, 4000, 1)).astype(np.float32)
    example = script("mixtures").Example(("violin", "cello"), references)
    names = ("violin", "cello", "tuba")

    def rows(share):
        """Of a separator that gives a share of the mixture to who does not play."""

        def separate(mixture, labels, rate_hz, activity=None):
            return np.stack([*(references + 0.1 * labels[2]), share * labels[2] * mixture])

        separator = SimpleNamespace(source_names=names, model=None, separate=separate)
        return list(module.score(example, separator, "tuba", None))

    assert [row["below_db"] for row in rows(0.1)] == pytest.approx([20, 20], abs=1e-3)
    assert [row["below_db"] for row in rows(0.0)] == [math.inf, math.inf]


# The activity detector's scores


def test_nobody_is_asked_for_where_all_rest(script):
    """Four stages of three seconds: one plays in the first and third, the other in the second, in the fourth nobody."""
    module, resting = script("score_activity"), script("rests").RestingExample
    stage = 3 * module.RATE_HZ
    references = np.random.default_rng(0).normal(size=(2, 4 * stage, 1)).astype("f")
    references[0, stage : 2 * stage] = 0
    references[1, :stage] = references[1, 2 * stage :] = 0
    references[:, 3 * stage :] = 0
    times = np.array([1.5, 4.5, 7.5, 10.5])
    shares = module.power_shares(references, times)
    np.testing.assert_allclose(shares, [[1, 0, 1, np.nan], [0, 1, 0, np.nan]], atol=1e-6)

    class Detector:
        """Hears the first player all the time, the second and who is not there never."""

        instruments = ("violin", "flute", "tuba")

        def track(self, blocks, sample_rate_hz, candidates):
            assert candidates == ["violin", "flute", "tuba"] and sample_rate_hz == module.RATE_HZ
            return Activity(self.instruments, np.array([0.0, 12.0]), np.array([[2, -2, -2]] * 2, "f"))

    example = script("mixtures").Example(("violin", "flute"), references)
    rows = pd.DataFrame(module.judge(resting(example, (None, None), "tuba"), Detector()))
    scores = module.summarize(rows.assign(data="made", num_instruments=2)).iloc[0]
    # Of three stages the violin plays in two and the flute in one; the tuba rests in all of them.
    assert rows["plays"].mean() == pytest.approx(3 / 9, abs=0.06)
    assert scores["playing_right"] == pytest.approx(2 / 3, abs=0.05)
    assert scores["resting_right"] == pytest.approx(5 / 6, abs=0.05)
