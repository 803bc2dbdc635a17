"""Networks pooled: the separator's promises stand in test_separator.py, which runs such a model too."""

import json

import numpy as np
import pytest
from scipy.signal import istft, stft

from audio import models
from audio.models import load_model, save_packaged, weights_files
from audio.pooled_model import FAINT, FLOOR, PooledModel
from audio.separation_model import NetworkModel, SeparationModel
from audio.separator import Separator
from av_sep.errors import ParameterError

LABELS = np.array([1, 0, 0.7], np.float32)
ACTIVE = [0, 2]
RATE_HZ = 16000
FRAME, HOP = 4096, 1024  # 0.19 s at 16 kHz is nearest to 4,096 samples


@pytest.fixture(scope="module")
def parts(conditioned_network, make_log_frequency_network):
    """Two networks whose chunks have different hops and contexts, so that laying them on each other takes care."""
    masks, wave = NetworkModel(make_log_frequency_network()), NetworkModel(conditioned_network)
    assert wave.chunk_plan(1000).context_samples != masks.chunk_plan(1000).context_samples
    assert wave.chunk_plan(1000).hop_samples != masks.chunk_plan(1000).hop_samples
    return masks, wave


def separate(model, mixture, chunk_samples=1000):
    return Separator(model, mixture_consistency=False, chunk_samples=chunk_samples).separate(mixture, LABELS, RATE_HZ)


def pooled(estimates, weights, exponents):
    """The formula by scipy's transform; estimates are `[num_active, time]` each."""
    frames = {"window": np.sqrt(np.hanning(FRAME + 1)[:-1]), "nperseg": FRAME, "noverlap": FRAME - HOP}
    mean = np.average(estimates, axis=0, weights=weights)
    mean, *others = (stft(own, **frames)[2] for own in (mean, *estimates[1:]))
    magnitudes = [np.abs(own) + FAINT * np.abs(mean).mean(axis=0) for own in others]
    shares = [np.maximum(own / own.sum(axis=0), FLOOR) ** power for own, power in zip(magnitudes, exponents)]
    masks = np.prod(shares, axis=0) * np.abs(mean)
    scale = np.prod(shares, axis=0) * np.abs(mean).sum(axis=0) / masks.sum(axis=0)
    # What is in phase with the sum is a mask of it; the rest is shared out likewise.
    shared = scale * mean + masks / masks.sum(axis=0) * (mean - scale * mean).sum(axis=0)
    return istft(shared, **frames)[1]


@pytest.mark.parametrize(("weights", "exponent"), (((3, 1), 0.5), ((1, 1), 1.0), ((0.85, 0.15), 0.0)))
@pytest.mark.parametrize("swap", (False, True))
def test_the_mean_is_shared_out_bin_by_bin(parts, rng, weights, exponent, swap):
    chosen = parts[::-1] if swap else parts
    mixture = (0.15 * rng.normal(size=(40_000, 1))).astype(np.float32)
    own = [separate(model, mixture)[ACTIVE, :, 0] for model in chosen]
    expected = pooled(own, weights, [exponent])[:, : len(mixture)]
    estimates = separate(PooledModel(chosen, weights, (exponent,)), mixture)
    assert min(np.abs(other - expected).max() for other in own) > 0.02
    # The ends differ: what a network makes of the silence before and after reaches into them.
    inside = slice(FRAME, -FRAME)
    np.testing.assert_allclose(estimates[ACTIVE, inside, 0], expected[:, inside], rtol=0, atol=2e-5)
    np.testing.assert_array_equal(estimates[1], 0)
    total = np.average([estimates.sum(axis=0) for estimates in own], axis=0, weights=weights)
    np.testing.assert_allclose(estimates.sum(axis=0)[:, 0], total, rtol=0, atol=1e-5)


def test_one_model_serves_chunks_of_several_lengths(parts, rng):
    mixture = (0.15 * rng.normal(size=(30_000, 1))).astype(np.float32)
    model = PooledModel(parts, (3, 1), (0.5,))
    separators = [Separator(model, chunk_samples=length) for length in (1000, 9000)]
    short, long = (separator.separate(mixture, LABELS, RATE_HZ) for separator in separators)
    again = separators[0].separate(mixture, LABELS, RATE_HZ)
    np.testing.assert_allclose(short, long, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(short, again)


def test_it_is_a_model_that_is_told_labels_where_any_part_is(parts, make_network):
    plain = NetworkModel(make_network())
    assert isinstance(PooledModel(parts, (1, 1), (1,)), SeparationModel)
    assert not plain.takes_labels and not PooledModel((plain, plain), (1, 1), (1,)).takes_labels
    assert PooledModel((plain, parts[0]), (1, 1), (1,)).takes_labels
    assert PooledModel(parts, (1, 1), (1,)).source_names == ("violin", "flute", "tuba")


@pytest.mark.parametrize("weights", ((1,), (1, 1, 1), (1, 0), (1, -0.5), (1, float("nan")), (1, float("inf"))))
def test_weights_that_are_none_are_refused(parts, weights):
    with pytest.raises(ParameterError, match=r"a weight above 0 for each of 2 models\. Received: \(1"):
        PooledModel(parts, weights, (1,))


@pytest.mark.parametrize("exponents", ((), (1, 1), (-0.5,), (float("nan"),), (float("inf"),)))
def test_exponents_that_are_none_are_refused(parts, exponents):
    with pytest.raises(ParameterError, match=r"exponents from 0 for all models but the first\. Received: \("):
        PooledModel(parts, (1, 1), exponents)


@pytest.mark.parametrize("options", ({"sample_rate_hz": 8000}, {"source_names": ("tuba", "flute", "violin")}))
def test_models_of_another_rate_or_order_are_refused(parts, make_network, options):
    others = parts[0], NetworkModel(make_network(**options))
    with pytest.raises(ParameterError, match=r"the same sources\. Received: 16000 Hz violin, flute, tuba; "):
        PooledModel(others, (1, 1), (1,))


def test_one_alone_is_no_pool(parts):
    with pytest.raises(ParameterError, match=r"Expected two models or more"):
        PooledModel(parts[:1], (1,), ())


def test_packaged_pool_is_made_of_its_parts(conditioned_network, make_network, tmp_path, monkeypatch, rng):
    monkeypatch.setattr(models, "WEIGHTS_DIR", tmp_path)
    for name, network in {"one": conditioned_network, "two": make_network()}.items():
        save_packaged(network, tmp_path / name, description=name, training={})
    (tmp_path / "both").mkdir()
    options = {"models": ["one", "two"], "weights": [3, 1], "exponents": [0.5]}
    content = {"class": "PooledModel", "description": "both", "options": options, "training": {}}
    (tmp_path / "both" / "config.json").write_text(json.dumps(content))
    mixture = (0.15 * rng.normal(size=(9000, 1))).astype(np.float32)
    expected = separate(PooledModel((load_model("one"), load_model("two")), (3, 1), (0.5,)), mixture)
    np.testing.assert_array_equal(separate(load_model("both"), mixture), expected)
    # Whatever changes its numbers changes one of these: an option does it as well as a weight.
    one, two = ((tmp_path / name / "config.json", tmp_path / name / "weights.npz") for name in ("one", "two"))
    assert weights_files("both") == (tmp_path / "both" / "config.json", *one, *two)
    assert weights_files("one") == one and weights_files("pca") == ()
