"""How far the spectrogram U-Net hears: counted, and measured on real networks by changing one frame."""

import keras
import numpy as np
import pytest

from audio.separation_model import NetworkModel
from audio.separator import Separator
from audio.spectrogram_framing import reach_of_u_net, spectrogram_chunk_plan

LABELS = np.array([0.9, 0, 0.4], np.float32)
# At a low rate, for it reads two seconds on each side.
GRU = {"bottleneck": "gru", "sample_rate_hz": 1000}
SIZES = ((2, 2, 5), (3, 3, 5), (3, 1, 5), (3, 0, 5), (2, 2, 3), (3, 3, 7))


def between_picture_and_logits(network):
    """The convolutional part of a network alone, `[batch, stft_frames, num_bins, 1]` in."""
    spectrogram, logits = network.get_layer("spectrogram").output, network.get_layer("masks_logits").output
    return keras.Model(spectrogram, logits)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_reach_is_what_a_changed_frame_can_change(make_spectrogram_network, rng, sizes):
    num_levels, num_time_levels, kernel_size = sizes
    grid = 2**num_time_levels
    reach = reach_of_u_net(num_levels, num_time_levels, kernel_size)
    network = make_spectrogram_network(
        num_levels=num_levels, num_time_levels=num_time_levels, kernel_size=kernel_size, normalization="none"
    )
    inside = between_picture_and_logits(network)
    num_frames = grid * (2 * reach // grid + 4)
    middle = grid * (num_frames // grid // 2)
    spectrograms = np.repeat(rng.normal(size=(1, num_frames, 32, 1)).astype(np.float32), grid + 1, axis=0)
    for offset in range(grid):
        spectrograms[offset + 1, middle + offset] += 100
    outputs = inside.predict_on_batch(spectrograms)
    changed = np.abs(outputs[1:] - outputs[:1]).max(axis=(2, 3)) > 1e-6
    distances = [
        abs(int(frame) - middle - offset) for offset in range(grid) for frame in np.flatnonzero(changed[offset])
    ]
    assert max(distances) == reach


def test_network_of_the_published_size_hears_three_seconds_on_each_side():
    assert reach_of_u_net(6, 6, 5) == 252
    assert 252 * 256 / 22050 == pytest.approx(2.9, abs=0.05)


@pytest.mark.parametrize("chunk_samples", (1, 64, 65, 131072))
def test_hops_lie_on_the_grid_and_cover_the_wish(chunk_samples):
    plan = spectrogram_chunk_plan(chunk_samples, grid_samples=64, context_samples=100)
    assert plan.hop_samples % 64 == 0 and chunk_samples <= plan.hop_samples < chunk_samples + 64
    assert (plan.num_input_samples, plan.context_samples) == (plan.hop_samples + 200, 100)


def separate(network, mixture, chunk_samples, rate=16000):
    separator = Separator(NetworkModel(network), mixture_consistency=False, chunk_samples=chunk_samples)
    return separator.separate(mixture, LABELS, rate)


@pytest.mark.parametrize(
    "options",
    ({}, {"num_levels": 3, "num_time_levels": 1}, {"normalization": "none", "masks": "softmax"}, GRU),
    ids=str,
)
def test_chunks_equal_one_pass_over_everything(make_spectrogram_network, rng, options):
    network = make_spectrogram_network(conditioning="film", **options)
    mixture = (0.15 * rng.normal(size=(5000, 2))).astype(np.float32)
    border = network.border_samples
    padded = np.zeros((2, 5000 + 2 * border, 1), np.float32)
    padded[:, border : border + 5000, 0] = mixture.T
    labels = np.repeat(LABELS[None], 2, axis=0)
    once = network.predict_on_batch({"mixture": padded, "label_vector": labels})[:, :, border : border + 5000, 0]
    once = once.transpose(1, 2, 0) * (LABELS > 0)[:, None, None]
    assert np.abs(once[[0, 2]]).max() > 0.1
    for chunk_samples in (64, 1000):
        estimates = separate(network, mixture, chunk_samples, network.sample_rate_hz)
        # What lies before those two seconds is not forgotten to the last bit.
        np.testing.assert_allclose(estimates, once, rtol=0, atol=1e-5 if "bottleneck" in options else 1e-6)


def test_a_shorter_context_would_be_heard(make_spectrogram_network, rng, monkeypatch):
    network = make_spectrogram_network(conditioning="film", normalization="none")
    mixture = (0.15 * rng.normal(size=(3000, 1))).astype(np.float32)
    expected = separate(network, mixture, 64)
    shorter = network.border_samples // 4 // 16 * 16
    monkeypatch.setattr(type(network), "border_samples", shorter)
    assert np.abs(separate(network, mixture, 64) - expected).max() > 1e-4


@pytest.mark.parametrize("rate", (16000, 44100))
@pytest.mark.parametrize("num_samples", (1, 777, 3001))
def test_separator_s_promises_hold(make_spectrogram_network, rng, num_samples, rate):
    network = make_spectrogram_network(conditioning="film")
    mixture = (0.15 * rng.normal(size=(num_samples, 2))).astype(np.float32)
    separator = Separator(NetworkModel(network), chunk_samples=1024)
    estimates = separator.separate(mixture, LABELS, rate)
    assert estimates.shape == (3, num_samples, 2) and estimates.dtype == np.float32
    np.testing.assert_array_equal(estimates[1], 0)
    np.testing.assert_allclose(estimates.sum(axis=0), mixture, rtol=0, atol=1e-6)
    assert np.abs(estimates[0] - estimates[2]).max() > 0 or num_samples == 1
