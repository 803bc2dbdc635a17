"""The separator for methods that hear the whole mixture: what it promises beside what the methods do."""

import numpy as np
import pytest

from audio.models import make_separator
from audio.separation_model import WholeMixtureModel
from audio.separator import Separator
from audio.whole_mixture_separator import WholeMixtureSeparator
from av_sep.errors import ParameterError

NAMES = ("violin", "flute", "tuba")
LABELS = np.array([1, 0, 0.5], np.float32)


class Reversed:
    """The first source is the mixture backwards, the others half of it: nothing that hears a stretch could know."""

    source_names = NAMES

    def separate_mixture(self, mixture, label_vector, sample_rate_hz):
        """See `WholeMixtureModel`."""
        self.heard = (mixture.copy(), sample_rate_hz)
        estimates = np.stack([mixture[::-1], 0.5 * mixture, 0.5 * mixture])
        return estimates * (np.asarray(label_vector) > 0)[:, None, None]


@pytest.fixture
def mixture(rng):
    return rng.normal(size=(200_001, 2)).astype(np.float32)


def test_model_gets_its_separator():
    assert isinstance(Reversed(), WholeMixtureModel)
    assert isinstance(make_separator(Reversed()), WholeMixtureSeparator)
    assert not isinstance(make_separator(Reversed()), Separator)


@pytest.mark.parametrize("block_samples", (1000, 65_536, 300_000))
def test_method_hears_the_whole_whatever_the_blocks(mixture, block_samples):
    model = Reversed()
    blocks = (mixture[i : i + block_samples] for i in range(0, len(mixture), block_samples))
    separated = list(WholeMixtureSeparator(model, mixture_consistency=False).stream(blocks, LABELS, 44_100))
    np.testing.assert_array_equal(model.heard[0], mixture)
    assert model.heard[1] == 44_100
    np.testing.assert_array_equal(np.concatenate([block.mixture for block in separated]), mixture)
    estimates = np.concatenate([block.estimates for block in separated], axis=1)
    np.testing.assert_array_equal(estimates, [mixture[::-1], 0.5 * mixture])


def test_difference_is_shared_among_the_active(mixture):
    estimates = WholeMixtureSeparator(Reversed()).separate(mixture, LABELS, 44_100)
    np.testing.assert_allclose(estimates.sum(axis=0), mixture, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(estimates[1], 0)
    assert np.abs(estimates[0] - estimates[2]).max() > 0.1


def test_silence_and_nobody_never_reach_the_method(mixture):
    separator = WholeMixtureSeparator(Reversed())
    np.testing.assert_array_equal(separator.separate(0 * mixture, LABELS, 8000), np.zeros((3, *mixture.shape)))
    np.testing.assert_array_equal(separator.separate(mixture, 0 * LABELS, 8000), np.zeros((3, *mixture.shape)))
    assert list(separator.stream([], LABELS, 8000)) == [] and not hasattr(separator.model, "heard")


def test_too_long_a_stream_is_refused_before_it_fills_the_memory():
    def endless():
        while True:
            endless.count += 1
            yield np.zeros((1000, 1), np.float32)

    endless.count = 0
    with pytest.raises(ParameterError, match=r"Reversed must hear a recording as a whole: .* at most 0\.1 minutes"):
        list(WholeMixtureSeparator(Reversed(), max_seconds=6).stream(endless(), LABELS, 1000))
    assert endless.count == 7


def test_channels_may_not_change(mixture):
    with pytest.raises(ParameterError, match=r"Expected blocks \[time, 2\]\. Received: shape \(5, 1\)"):
        list(WholeMixtureSeparator(Reversed()).stream([mixture[:5], mixture[:5, :1]], LABELS, 8000))
