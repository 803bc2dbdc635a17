"""Networks learn: a tiny one learns one mixture by heart, and its labels come to mean what they say."""

import keras
import numpy as np
import pytest

from audio.losses import make_loss
from audio.wave_unet import WaveUNet

NUM_SAMPLES = 256


@pytest.fixture(scope="module")
def duet():
    """(mixture `[1, time, 1]`, sources `[1, 2, time, 1]`): a high and a low tone, uneven in time."""
    time = np.arange(NUM_SAMPLES) / NUM_SAMPLES
    sources = np.stack([0.4 * np.sin(2 * np.pi * 30 * time) * time, 0.3 * np.cos(2 * np.pi * 5 * time) * (1 - time)])
    sources = sources[None, :, :, None].astype(np.float32)
    return sources.sum(axis=1), sources


def fitted(network, inputs, targets, loss, num_steps=400, learning_rate=1e-2):
    """Losses of all steps, float `[num_steps]`."""
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, num_steps, alpha=0.01)
    network.compile(keras.optimizers.Adam(schedule), make_loss(loss))
    repeated = {name: np.concatenate([values] * num_steps) for name, values in inputs.items()}
    targets = np.concatenate([targets] * num_steps)
    losses = []
    record = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    size = len(next(iter(inputs.values())))
    network.fit(repeated, targets, batch_size=size, shuffle=False, verbose=0, callbacks=[record])
    # Keras shows the mean over the epoch so far; its differences are the steps' own losses.
    return np.diff(np.arange(len(losses) + 1) * np.concatenate([[0], losses]))


@pytest.mark.parametrize("conditioning", [None, "multiplicative", "film"])
def test_one_mixture_is_learnt_by_heart(duet, conditioning):
    mixture, sources = duet
    keras.utils.set_random_seed(0)
    network = WaveUNet(("a", "b"), num_levels=3, num_filters=8, context=False, conditioning=conditioning)
    inputs = {"mixture": mixture, **({"label_vector": np.ones((1, 2), np.float32)} if conditioning else {})}
    losses = fitted(network, inputs, sources, "mse")
    assert losses[-1] < losses[0] / 100


@pytest.mark.parametrize("gate", [False, True])
def test_a_flipped_label_changes_its_stem_and_silences_the_absent_one(duet, gate):
    mixture, sources = duet
    keras.utils.set_random_seed(0)
    network = WaveUNet(
        ("a", "b"), num_levels=3, num_filters=8, context=False, conditioning="multiplicative", gate=gate,
        output_activation="linear",
    )  # fmt: skip
    # The same mixture with one label or the other: only the label can tell what is wanted.
    labels = np.array([[1, 0], [0, 1]], np.float32)
    targets = sources * labels[:, :, None, None]
    inputs = {"mixture": np.repeat(mixture, 2, axis=0), "label_vector": labels}
    fitted(network, inputs, targets, "mse", learning_rate=3e-3)
    estimates = np.asarray(network.predict(inputs, verbose=0))
    energy = np.sum(estimates**2, axis=(2, 3)) / np.sum(sources**2, axis=(2, 3))
    assert energy[0, 0] > 0.9 and energy[1, 1] > 0.9
    assert energy[0, 1] < (1e-12 if gate else 0.02) and energy[1, 0] < (1e-12 if gate else 0.02)
