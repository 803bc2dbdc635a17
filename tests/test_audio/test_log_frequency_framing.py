"""How far the log-frequency network hears: measured by changing a frame or a sample, and by cutting a mixture."""

import keras
import numpy as np
import pytest

from audio.separation_model import NetworkModel
from audio.separator import Separator

LABELS = np.array([0.9, 0, 0.4], np.float32)
NO_MEMORY = {"memory_units": 0}
# So many that no change is lost where rectifiers are shut.
WIDE = {"num_fine_filters": 8, "num_filters": 16}
SIZES = pytest.mark.parametrize(
    ("options", "reach"),
    (
        ({"num_blocks": 1, **NO_MEMORY}, 5),
        ({"num_blocks": 5, **NO_MEMORY}, 20),
        # The middle block is the last one.
        ({"num_blocks": 1}, 36),
        ({"num_blocks": 3}, 73),
    ),
    ids=str,
)


@SIZES
def test_reach_is_what_a_changed_frame_can_change(make_log_frequency_network, rng, options, reach):
    network = make_log_frequency_network(conditioning=None, **{"memory_units": 16, **WIDE, **options})
    assert network.reach_frames == reach
    inside = keras.Model(network.get_layer("spectrogram").output, network.get_layer("logits_bias").output)
    middle = reach + 4
    spectrogram = rng.uniform(size=(4, 2 * reach + 9, 16, 1)).astype(np.float32)
    before = np.asarray(inside(spectrogram))
    spectrogram[:, middle] += 100 * rng.uniform(size=(4, 16, 1))
    changed = np.flatnonzero(np.any(np.asarray(inside(spectrogram)) != before, axis=(0, 2, 3)))
    assert (changed[0], changed[-1]) == (middle - reach, middle + reach)


@pytest.mark.parametrize("place", (0, 7, 15))
def test_border_is_what_a_changed_sample_can_change(make_log_frequency_network, rng, place):
    """Of a sample in this place of its hop: to the first and last sample of the frames that can hear it."""
    network = make_log_frequency_network(num_blocks=1, **NO_MEMORY, **WIDE)
    assert network.border_samples == 5 * 16 + 64
    middle, labels = 16 * 12 + place, np.ones((4, 3), np.float32)
    mixture = (0.3 * rng.normal(size=(4, 2 * middle, 1))).astype(np.float32)
    before = np.asarray(network({"mixture": mixture, "label_vector": labels}))
    # So loud that next to nothing of it is lost in rounding.
    mixture[:, middle] += 1000
    after = np.asarray(network({"mixture": mixture, "label_vector": labels}))
    changed = np.flatnonzero(np.any(after != before, axis=(0, 1, 3)))
    earliest, latest = middle - changed[0], changed[-1] - middle
    # A Hann window's first sample is zero, and those beside it nearly.
    assert 144 - 17 + place - 3 <= earliest <= 144 - 17 + place
    assert 144 - 1 - (place or 16) - 3 <= latest <= 144 - 1 - (place or 16)


def separate(network, mixture, chunk_samples):
    separator = Separator(NetworkModel(network), mixture_consistency=False, chunk_samples=chunk_samples)
    return separator.separate(mixture, LABELS, 16000)


@pytest.mark.parametrize(
    "options", ({}, NO_MEMORY, {"num_slots": 2, "conditioning": "concat", "num_blocks": 1}), ids=str
)
def test_chunks_equal_one_pass_over_everything(make_log_frequency_network, rng, options):
    network = make_log_frequency_network(**options)
    mixture = (0.15 * rng.normal(size=(3000, 2))).astype(np.float32)
    border = network.border_samples
    padded = np.zeros((2, 3000 + 2 * border, 1), np.float32)
    padded[:, border : border + 3000, 0] = mixture.T
    once = np.asarray(network({"mixture": padded, "label_vector": np.repeat(LABELS[None], 2, axis=0)}))
    once = once[:, :, border : border + 3000, 0].transpose(1, 2, 0)
    assert np.abs(once[[0, 2]]).max(axis=(1, 2)).min() > 0.1
    for chunk_samples in (100, 1000):
        np.testing.assert_allclose(separate(network, mixture, chunk_samples), once, rtol=0, atol=1e-6)


def test_hops_lie_on_the_grid_of_stft_frames(make_log_frequency_network):
    network = make_log_frequency_network()
    plan = network.chunk_plan(100)
    assert (plan.hop_samples, plan.context_samples) == (112, network.border_samples)
    assert plan.num_input_samples == 112 + 2 * network.border_samples


def test_a_shorter_context_would_be_heard(make_log_frequency_network, rng, monkeypatch):
    network = make_log_frequency_network(**NO_MEMORY)
    mixture = (0.15 * rng.normal(size=(1000, 1))).astype(np.float32)
    expected = separate(network, mixture, 64)
    monkeypatch.setattr(type(network), "border_samples", network.border_samples // 4 // 16 * 16)
    assert np.abs(separate(network, mixture, 64) - expected).max() > 1e-4
