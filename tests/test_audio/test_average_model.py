"""Networks averaged: the separator's promises stand in test_separator.py, which runs this model too."""

import json

import numpy as np
import pytest

from audio import models
from audio.average_model import AverageModel
from audio.models import load_model, save_packaged, weights_files
from audio.separation_model import NetworkModel, SeparationModel
from audio.separator import Separator
from av_sep.errors import ParameterError

LABELS = np.array([1, 0, 0.7], np.float32)
RATE_HZ = 16000


@pytest.fixture(scope="module")
def parts(conditioned_network, make_log_frequency_network):
    """Two networks whose chunks have different hops and contexts, so that laying them on each other takes care."""
    wave, masks = NetworkModel(conditioned_network), NetworkModel(make_log_frequency_network())
    assert wave.chunk_plan(1000).context_samples != masks.chunk_plan(1000).context_samples
    assert wave.chunk_plan(1000).hop_samples != masks.chunk_plan(1000).hop_samples
    return wave, masks


def separate(model, mixture):
    return Separator(model, mixture_consistency=False, chunk_samples=1000).separate(mixture, LABELS, RATE_HZ)


@pytest.mark.parametrize("weights", ((0.75, 0.25), (1, 4)))
@pytest.mark.parametrize("swap", (False, True))
def test_estimates_are_the_weighted_mean_of_the_parts_own(parts, rng, weights, swap):
    chosen = parts[::-1] if swap else parts
    mixture = (0.15 * rng.normal(size=(12_345, 2))).astype(np.float32)
    expected = np.average([separate(model, mixture) for model in chosen], axis=0, weights=weights)
    assert np.abs(separate(chosen[0], mixture) - separate(chosen[1], mixture)).max() > 0.1
    np.testing.assert_allclose(separate(AverageModel(chosen, weights), mixture), expected, rtol=0, atol=2e-6)


def test_one_model_serves_chunks_of_several_lengths(parts, rng):
    mixture = (0.15 * rng.normal(size=(9000, 1))).astype(np.float32)
    model = AverageModel(parts, (1, 1))
    separators = [Separator(model, chunk_samples=length) for length in (1000, 5000)]
    short, long = (separator.separate(mixture, LABELS, RATE_HZ) for separator in separators)
    again = separators[0].separate(mixture, LABELS, RATE_HZ)
    np.testing.assert_allclose(short, long, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(short, again)


def test_it_is_a_model_that_is_told_labels_where_any_part_is(parts, make_network):
    plain = NetworkModel(make_network())
    assert isinstance(AverageModel(parts, (1, 1)), SeparationModel)
    assert not plain.takes_labels and not AverageModel((plain, plain), (1, 1)).takes_labels
    assert AverageModel((plain, parts[0]), (1, 1)).takes_labels
    assert AverageModel(parts, (1, 1)).source_names == ("violin", "flute", "tuba")


@pytest.mark.parametrize("weights", ((1,), (1, 1, 1), (1, 0), (1, -0.5), (1, float("nan")), (1, float("inf"))))
def test_weights_that_are_none_are_refused(parts, weights):
    with pytest.raises(ParameterError, match=r"a weight above 0 for each of 2 models\. Received: \(1"):
        AverageModel(parts, weights)


@pytest.mark.parametrize("options", ({"sample_rate_hz": 8000}, {"source_names": ("tuba", "flute", "violin")}))
def test_models_of_another_rate_or_order_are_refused(parts, make_network, options):
    other = NetworkModel(make_network(**options))
    with pytest.raises(ParameterError, match=r"the same sources\. Received: 16000 Hz violin, flute, tuba; "):
        AverageModel((parts[0], other), (1, 1))


def test_one_alone_is_no_average(parts):
    with pytest.raises(ParameterError, match=r"Expected two models or more"):
        AverageModel(parts[:1], (1,))


def test_packaged_average_is_made_of_its_parts(conditioned_network, make_network, tmp_path, monkeypatch, rng):
    monkeypatch.setattr(models, "WEIGHTS_DIR", tmp_path)
    for name, network in {"one": conditioned_network, "two": make_network()}.items():
        save_packaged(network, tmp_path / name, description=name, training={})
    (tmp_path / "both").mkdir()
    options = {"models": ["one", "two"], "weights": [3, 1]}
    content = {"class": "AverageModel", "description": "both", "options": options, "training": {}}
    (tmp_path / "both" / "config.json").write_text(json.dumps(content))
    mixture = (0.15 * rng.normal(size=(5000, 1))).astype(np.float32)
    one, two, both = (separate(load_model(name), mixture) for name in ("one", "two", "both"))
    np.testing.assert_allclose(both, 0.75 * one + 0.25 * two, rtol=0, atol=2e-6)
    # Whatever changes its numbers changes one of these.
    own = [tmp_path / "both" / "config.json", tmp_path / "one" / "weights.npz", tmp_path / "two" / "weights.npz"]
    assert weights_files("both") == tuple(own)
    assert weights_files("one") == (tmp_path / "one" / "weights.npz",) and weights_files("pca") == ()
