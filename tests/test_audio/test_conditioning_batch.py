"""An example is steered by its own labels and by nobody else's.

Why this has a file of its own: the published code of conditioned separation tiles the labels and reshapes across the
batch axis, so that item b at step t is steered by the labels of item (9b + t) mod B. Trained that way a network hears
its neighbours' labels, and no test on a batch of one notices.
"""

import numpy as np
import pytest

from audio.conditioning import MECHANISMS
from audio.framing import valid_lengths

NUM_INPUT = valid_lengths(70, num_levels=3).num_input_samples
LABELS = np.array([[1, 0, 0], [0, 1, 0.5], [0.2, 0, 1], [1, 1, 0.7]], np.float32)
EVERY_MECHANISM = pytest.mark.parametrize("mechanism", MECHANISMS)


@pytest.fixture(scope="module")
def networks(make_network):
    return {mechanism: make_network(conditioning=mechanism) for mechanism in MECHANISMS}


@pytest.fixture
def mixture(rng):
    return rng.normal(size=(4, NUM_INPUT, 1)).astype(np.float32)


def run(network, mixture, labels):
    return np.asarray(network({"mixture": mixture, "label_vector": labels}))


@EVERY_MECHANISM
def test_changing_the_labels_of_an_item_changes_its_output(networks, mixture, mechanism):
    before = run(networks[mechanism], mixture, LABELS)
    changed = LABELS.copy()
    changed[0] = [0, 0.5, 1]
    after = run(networks[mechanism], mixture, changed)
    assert np.abs(after[0] - before[0]).max() > 0.01


@EVERY_MECHANISM
def test_changing_the_labels_of_an_item_leaves_its_neighbours_untouched(networks, mixture, mechanism):
    before = run(networks[mechanism], mixture, LABELS)
    changed = LABELS.copy()
    changed[0] = [0, 0.5, 1]
    after = run(networks[mechanism], mixture, changed)
    np.testing.assert_array_equal(after[1:], before[1:])


@EVERY_MECHANISM
def test_permuting_the_batch_permutes_the_output(networks, mixture, mechanism):
    order = [2, 0, 3, 1]
    outputs = run(networks[mechanism], mixture, LABELS)
    permuted = run(networks[mechanism], mixture[order], LABELS[order])
    np.testing.assert_allclose(permuted, outputs[order], rtol=0, atol=1e-6)
    assert np.abs(outputs - outputs[order]).max(axis=(1, 2, 3)).min() > 0.01


@EVERY_MECHANISM
def test_an_item_in_a_batch_equals_the_item_alone(networks, mixture, mechanism):
    together = run(networks[mechanism], mixture, LABELS)
    alone = [run(networks[mechanism], mixture[i : i + 1], LABELS[i : i + 1])[0] for i in range(4)]
    np.testing.assert_allclose(together, np.stack(alone), rtol=0, atol=1e-6)


def test_one_sound_under_four_labels_gives_four_outputs(networks, mixture):
    same = np.repeat(mixture[:1], 4, axis=0)
    outputs = run(networks["multiplicative"], same, LABELS)
    for i in range(4):
        for j in range(i):
            assert np.abs(outputs[i] - outputs[j]).max() > 0.01
