"""The ideal ratio mask: near perfect where sources share no frequency, above the mixture everywhere."""

import numpy as np
import pytest

from audio.baselines.oracle import ideal_ratio_mask
from audio.metrics import sdr

RATE = 16000


def mean_sdr(references, estimates):
    return np.mean([sdr(reference, estimate) for reference, estimate in zip(references, estimates, strict=True)])


def test_sources_in_bands_of_their_own_are_nearly_perfect(rng, make_band_noise):
    bands = ((3000, 5000), (100, 2000), (6000, 7500))
    references = np.stack([make_band_noise(rng, 20001, 2, *band, RATE) for band in bands])
    estimates = ideal_ratio_mask(references.sum(axis=0), references)
    assert estimates.shape == (3, 20001, 2)
    for reference, estimate in zip(references, estimates, strict=True):
        assert sdr(reference, estimate) > 30


def test_noises_in_one_band_still_gain_over_the_mixture(rng):
    references = rng.normal(size=(3, 20000, 2)) * np.array([1.0, 0.5, 2.0])[:, None, None]
    mixture = references.sum(axis=0)
    estimates = ideal_ratio_mask(mixture, references)
    assert mean_sdr(references, estimates) > mean_sdr(references, [mixture] * 3) + 5
    for i in range(3):
        assert sdr(references[i], estimates[i]) > sdr(references[i], estimates[i - 1]) + 1


@pytest.mark.parametrize("num_samples", (1, 2, 500, 2047, 5000))
def test_masks_sum_to_one_wherever_there_is_sound(rng, num_samples):
    references = rng.normal(size=(2, num_samples, 1))
    mixture = references.sum(axis=0)
    estimates = ideal_ratio_mask(mixture, references)
    assert estimates.shape == references.shape
    np.testing.assert_allclose(estimates.sum(axis=0), mixture, rtol=0, atol=1e-10)


def test_silent_reference_gets_silence(rng):
    references = rng.normal(size=(2, 5000, 1))
    references[1] = 0
    estimates = ideal_ratio_mask(references[0], references)
    np.testing.assert_array_equal(estimates[1], 0)
    np.testing.assert_allclose(estimates[0], references[0], rtol=0, atol=1e-10)
