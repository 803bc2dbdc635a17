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
import pytest
from click.testing import CliRunner

from audio.tagger.mixtures import WindowConfig, draw_pool, make_windows
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


# Training the tagger


def test_batches_come_in_order_and_end(script, bank, monkeypatch):
    """More of them than are made ahead, and not from the first one on."""
    module = script("train_tagger")
    monkeypatch.setattr(module, "PLAYERS", 2)
    monkeypatch.setattr(module, "BATCH_SIZE", 3)
    sent = []
    module._produce(SimpleNamespace(send=sent.append), bank, frozenset(), 7, 5, 20, NUM_SAMPLES)
    config = WindowConfig(NUM_SAMPLES)
    pool = draw_pool(open_bank(bank), config, seed=7, num_players=2)
    expected = [make_windows(pool, URMP_13, config, seed=7, index=index, batch_size=3) for index in range(5, 20)]
    assert len(sent) == 15
    for batch, truth in zip(sent, expected):
        assert all(np.array_equal(one, other) for one, other in zip(batch, truth, strict=True))


def test_a_bank_that_is_not_there_ends_the_training(script, tmp_path, capfd):
    stream = script("train_tagger").batches(tmp_path / "nobank", frozenset(), 0, 0, 3, NUM_SAMPLES)
    with pytest.raises(click.ClickException, match="exit status 1"):
        next(stream)
    assert "nobank" in capfd.readouterr().err


def test_a_process_that_is_killed_within_a_batch_ends_the_training(script, tmp_path, monkeypatch):
    """Much of a batch has been sent by then, for a pipe holds little."""
    module = script("train_tagger")
    (tmp_path / "dies.py").write_text(
        "import os, signal, threading\n"
        "def produce(writer, *arguments):\n"
        "    writer.send('first')\n"
        "    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()\n"
        "    writer.send(bytes(10_000_000))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "_produce", importlib.import_module("dies").produce)
    stream = module.batches(tmp_path, frozenset(), 0, 0, 3, NUM_SAMPLES)
    assert next(stream) == "first"
    (worker,) = module.multiprocessing.active_children()
    worker.join()
    with pytest.raises(click.ClickException, match=f"exit status -{signal.SIGKILL.value}"):
        next(stream)


def test_a_stopped_training_ends_where_an_undisturbed_one_does(script, monkeypatch, tmp_path):
    module = script("train_tagger")
    tagger = partial(InstrumentTagger, ("violin", "tuba"), window_samples=8192, filters=(2, 2, 2), dropout=0.0)

    def batches(bank, leave_out, seed, first, last, num_samples, stop=None):
        for index in range(first, last):
            if index == stop:
                raise KeyboardInterrupt
            rng = np.random.default_rng((seed, index))
            labels = np.eye(2, dtype="f")[[0, 1]]
            yield rng.normal(size=(2, num_samples)).astype("f"), np.ones((2, 2), "f"), labels

    def weights_of(run, stop=None):
        monkeypatch.setattr(module, "batches", partial(batches, stop=stop))
        keras.utils.set_random_seed(0)
        arguments = ["train", "--bank", "none", "--output", str(run), "--steps", "4"]
        exit_code = CliRunner().invoke(module.main, arguments).exit_code
        network = tagger()
        if exit_code == 0:
            network.load_weights(run / "final.weights.h5")
        return exit_code, network.get_weights()

    monkeypatch.setattr(module, "make_network", tagger)
    monkeypatch.setattr(module, "_limit_threads", lambda: None)
    monkeypatch.setattr(module, "SAVE_EVERY", 2)
    _, expected = weights_of(tmp_path / "undisturbed")
    stopped, _ = weights_of(tmp_path / "stopped", stop=3)
    resumed, weights = weights_of(tmp_path / "stopped")
    assert (stopped, resumed) == (1, 0)
    for ours, truth in zip(weights, expected, strict=True):
        np.testing.assert_allclose(ours, truth, rtol=1e-5, atol=1e-7)


# Wrong labels


def test_the_stem_of_a_wrong_label_is_measured_against_the_mixture(script):
    module = script("wrong_labels")
    rng = np.random.default_rng(0)
    references = rng.normal(size=(2, 4000, 1)).astype(np.float32)
    example = script("score_models").Example(("violin", "cello"), references)
    names = ("violin", "cello", "tuba")

    def rows(share):
        """Of a separator that gives a share of the mixture to who does not play."""

        def separate(mixture, labels, rate_hz, activity=None):
            return np.stack([*(references + 0.1 * labels[2]), share * labels[2] * mixture])

        separator = SimpleNamespace(source_names=names, model=None, separate=separate)
        return list(module.score(example, separator, "tuba", None))

    assert [row["below_db"] for row in rows(0.1)] == pytest.approx([20, 20], abs=1e-3)
    assert [row["below_db"] for row in rows(0.0)] == [math.inf, math.inf]
