"""Wrong labels: as often as asked, the same for the same seed, and with the references that they ask for."""

import numpy as np
import pytest
import tensorflow as tf

from audio.label_noise import LabelNoise, noisy_labels, with_label_noise
from av_sep.errors import ParameterError

NOTHING = {"drop_probability": 0.0, "add_probability": 0.0, "lowest_confidence": 1.0}
LABELS = np.array([1, 0, 0.8, 0, 1], np.float32)
NUM_DRAWN = 600


@pytest.fixture
def references(rng):
    return rng.normal(size=(5, 7, 2)).astype(np.float32) * (LABELS > 0)[:, None, None]


def draw(references, labels=LABELS, num=NUM_DRAWN, **options):
    """Labels `[num, 5]` and references `[num, 5, 7, 2]` of many seeds."""
    noise = LabelNoise(**{**NOTHING, **options})
    seeds = tf.stack([tf.range(num), tf.fill([num], 9)], axis=1)
    shapes = (tf.TensorSpec([5], tf.float32), tf.TensorSpec([5, 7, 2], tf.float32))

    @tf.function
    def draw_all():
        return tf.map_fn(lambda seed: noisy_labels(labels, references, seed, noise), seeds, fn_output_signature=shapes)

    return [part.numpy() for part in draw_all()]


def test_no_noise_changes_nothing(references):
    labels, changed = draw(references, num=50)
    np.testing.assert_array_equal(labels, np.repeat(LABELS[None], 50, axis=0))
    np.testing.assert_array_equal(changed, np.repeat(references[None], 50, axis=0))


def test_dropped_labels_take_their_references_along(references):
    labels, changed = draw(references, drop_probability=0.3)
    dropped = (labels == 0) & (LABELS > 0)
    np.testing.assert_array_equal(labels, np.where(dropped, 0, LABELS))
    np.testing.assert_array_equal(changed, np.where(dropped[:, :, None, None], 0, references))
    # Each with the chance, but for the case of all three, 0.3^3, in which one stays.
    expected = 0.3 - 0.3**3 / 3
    np.testing.assert_allclose(dropped.mean(axis=0)[LABELS > 0], expected, atol=4 * np.sqrt(0.21 / NUM_DRAWN))
    assert len(set(map(tuple, dropped))) == 7


def test_one_label_always_stays(references):
    labels, _ = draw(references, drop_probability=1.0)
    np.testing.assert_array_equal((labels > 0).sum(axis=1), 1)
    assert np.all((labels > 0).any(axis=0) == (LABELS > 0))


def test_added_labels_leave_the_references(references):
    labels, changed = draw(references, add_probability=0.5)
    np.testing.assert_array_equal(changed, np.repeat(references[None], NUM_DRAWN, axis=0))
    added = labels != LABELS
    assert np.all(added.sum(axis=1) <= 1) and np.all(labels[added] == 1)
    # One of five, and where it was 1 already nothing changes.
    np.testing.assert_allclose(added.mean(axis=0), [0, 0.1, 0.1, 0.1, 0], atol=4 * np.sqrt(0.09 / NUM_DRAWN))


def test_dropped_label_is_not_added_again(references):
    labels, changed = draw(references, drop_probability=0.5, add_probability=1.0)
    silent = ~np.any(changed, axis=(2, 3))
    np.testing.assert_array_equal(labels[:, LABELS > 0] == 0, silent[:, LABELS > 0])
    assert 0.2 < np.mean(labels[:, 0] == 0) < 0.7


def test_confidence_is_spread_evenly_and_silence_stays_silence(references):
    labels, changed = draw(references, lowest_confidence=0.4)
    np.testing.assert_array_equal(changed, np.repeat(references[None], NUM_DRAWN, axis=0))
    np.testing.assert_array_equal(labels[:, LABELS == 0], 0)
    factors = labels[:, LABELS > 0] / LABELS[LABELS > 0]
    assert 0.4 <= factors.min() < 0.41 and 0.99 < factors.max() <= 1
    np.testing.assert_allclose(factors.mean(axis=0), 0.7, atol=4 * 0.6 / np.sqrt(12 * NUM_DRAWN))
    assert abs(np.corrcoef(factors[:, 0], factors[:, 1])[0, 1]) < 0.2


def make_batches(num_batches=4):
    rng = np.random.default_rng(3)
    mixtures = rng.normal(size=(num_batches, 3, 7, 2)).astype(np.float32)
    labels = np.repeat(LABELS[None, None], 3, axis=1).repeat(num_batches, axis=0)
    references = rng.normal(size=(num_batches, 3, 5, 7, 2)).astype(np.float32)
    inputs = {"mixture": mixtures, "label_vector": labels, "picture": mixtures}
    return tf.data.Dataset.from_tensor_slices((inputs, references)), references


def taken(batches):
    return [(inputs["label_vector"], references) for inputs, references in batches.as_numpy_iterator()]


def test_batches_keep_everything_else_and_their_shapes():
    batches, _ = make_batches()
    noisy = with_label_noise(batches, LabelNoise(0.5, 0.5, 0.5))
    assert noisy.element_spec == batches.element_spec
    for (inputs, _), (given, _) in zip(noisy, batches):
        np.testing.assert_array_equal(inputs["mixture"], given["mixture"])
        np.testing.assert_array_equal(inputs["picture"], given["picture"])


def test_every_item_and_batch_has_noise_of_its_own_and_the_same_again():
    batches, references = make_batches()
    noise = LabelNoise(0.5, 0.5, 0.5)
    first, again = (taken(with_label_noise(batches, noise, seed=4)) for _ in range(2))
    other = taken(with_label_noise(batches, noise, seed=5))
    for ours, theirs in zip(first, again):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])
    labels = np.concatenate([labels for labels, _ in first])
    assert len(np.unique(labels, axis=0)) == len(labels) == 12
    assert not np.array_equal(labels, np.concatenate([labels for labels, _ in other]))
    for (labels, changed), given in zip(first, references):
        dropped = (labels == 0) & (LABELS > 0)
        np.testing.assert_array_equal(changed, np.where(dropped[:, :, None, None], 0, given))


def test_run_that_goes_on_hears_the_noise_of_its_batches():
    batches, _ = make_batches()
    whole = taken(with_label_noise(batches, LabelNoise(), seed=4))
    rest = taken(with_label_noise(batches.skip(2), LabelNoise(), seed=4, first_batch=2))
    for ours, theirs in zip(rest, whole[2:], strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"drop_probability": 1.5}, "drop_probability from 0 to 1. Received: 1.5"),
        ({"add_probability": -0.1}, "add_probability from 0 to 1. Received: -0.1"),
        ({"lowest_confidence": 0.0}, "lowest_confidence above 0 and up to 1. Received: 0.0"),
        ({"lowest_confidence": 1.1}, "lowest_confidence above 0 and up to 1. Received: 1.1"),
    ),
    ids=str,
)
def test_noise_that_cannot_be_is_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        LabelNoise(**options)
