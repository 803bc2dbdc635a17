"""Candidates that listening networks are trained with: what plays, mostly, and some that do not."""

import numpy as np
import pytest

from audio.listening.candidates import CandidateConfig, draw_candidates

FAMILIES = ("strings", "strings", "brass", "brass", "woodwinds", "woodwinds")
LABELS = np.array([1, 0, 0, 0, 1, 0], np.float32)
KNOWING = {"all_probability": 0.0, "missing_probability": 0.0}


def draw(labels=LABELS, count=2000, **settings):
    rng = np.random.default_rng(3)
    config = CandidateConfig(**settings)
    return np.stack([draw_candidates(labels, FAMILIES, config, rng) for _ in range(count)])


def test_number_of_extra_candidates_is_as_asked():
    candidates = draw(num_extra_weights=(0.5, 0.2, 0.3), **KNOWING)
    assert candidates.dtype == np.float32 and set(np.unique(candidates)) == {0, 1}
    assert np.all(candidates[:, LABELS == 1] == 1)
    shares = np.bincount(candidates.sum(axis=1).astype(int) - 2, minlength=3) / len(candidates)
    np.testing.assert_allclose(shares, [0.5, 0.2, 0.3], atol=0.04)


def test_all_are_candidates_and_playing_ones_are_missed_as_often_as_asked():
    assert np.all(draw(all_probability=1.0) == 1)
    candidates = draw(all_probability=0.25, missing_probability=0.2, num_extra_weights=(1.0,))
    is_all = candidates.sum(axis=1) == 6
    assert is_all.mean() == pytest.approx(0.25, abs=0.04)
    # Where both are missed another one is asked for.
    assert candidates[~is_all][:, 0].mean() == pytest.approx(0.8, abs=0.04)
    assert candidates.sum(axis=1).min() >= 1


@pytest.mark.parametrize(("probability", "expected"), [(0.0, 0.5), (1.0, 1.0)])
def test_relatives_of_what_plays_are_preferred_as_asked(probability, expected):
    """Two of the four that do not play are relatives of one that does."""
    candidates = draw(num_extra_weights=(0.0, 1.0), relative_probability=probability, **KNOWING)
    assert candidates[:, [1, 5]].sum(axis=1).mean() == pytest.approx(expected, abs=0.05)


def test_there_is_a_candidate_where_nothing_plays_and_where_all_do():
    nothing = draw(np.zeros(6, np.float32), num_extra_weights=(1.0,), **KNOWING)
    assert np.all(nothing.sum(axis=1) == 1)
    chances = {"num_extra_weights": (0.0, 0.0, 1.0), "all_probability": 0.0, "missing_probability": 1.0}
    everything = draw(np.ones(6, np.float32), **chances)
    assert np.all(everything == 1)
