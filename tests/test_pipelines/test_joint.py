"""The joint model as a network: its two halves are one, examples do not meet, files and backends agree."""

import importlib.util
import inspect
import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from audio.framing import valid_lengths
from audio.keras_file import load_keras
from audio.losses import make_loss
from av_sep.errors import ParameterError
from pipelines.joint.files import load_joint
from pipelines.joint.model import JointModel
from pipelines.joint.soft_labels import soft_consistency, soft_gate

# Keras saves TensorFlow's variables by an `np.array` that NumPy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
NAMES = ("violin", "cello", "tuba")
SEPARATOR = {
    "num_levels": 2,
    "num_filters": 4,
    "context": False,
    "conditioning": "multiplicative",
    "gate": True,
    "mixture_consistency": True,
}
TINY = {"sample_rate_hz": 8000, "separator": SEPARATOR, "picture_size": (32, 64)}


def make_model(seed=3, **options):
    keras.utils.set_random_seed(seed)
    model = JointModel(NAMES, **{**TINY, **options})
    # XLA costs more seconds than it saves on so few examples.
    model.compile(jit_compile=False)
    return model


def make_batch(size=4, num_samples=64):
    rng = np.random.default_rng(11)
    sources = 0.3 * rng.normal(size=(size, 3, num_samples, 1)).astype(np.float32)
    labels = (rng.uniform(size=(size, 3)) < 0.6).astype(np.float32)
    sources *= labels[:, :, None, None]
    inputs = {
        "mixture": sources.sum(axis=1),
        "picture": rng.integers(0, 256, (size, 32, 64, 3)).astype(np.uint8),
        "picture_mask": np.ones(size, np.float32),
    }
    return inputs, {"sources": sources, "label_vector": labels}


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def outputs(model):
    return model.predict_on_batch(make_batch()[0])


def test_shapes_and_ranges(outputs):
    assert outputs["sources"].shape == (4, 3, 64, 1) and outputs["label_vector"].shape == (4, 3)
    assert 0 < outputs["label_vector"].min() and outputs["label_vector"].max() < 1
    assert np.ptp(outputs["label_vector"], axis=0).min() > 1e-4
    assert np.abs(outputs["sources"]).max() > 0.05


def test_context_gives_the_mixture_s_centre():
    with_context = make_model(separator={**SEPARATOR, "context": True})
    num_samples = valid_lengths(20, num_levels=2).num_input_samples
    inputs, _ = make_batch(num_samples=num_samples)
    sources = with_context.predict_on_batch(inputs)["sources"]
    assert sources.shape[2] == with_context.output_samples(num_samples) < num_samples
    # Everything is shared out wherever labels sum to 1 or more.
    some = with_context.separate(inputs["mixture"], np.ones((4, 3), np.float32)).numpy()
    excess = (num_samples - sources.shape[2]) // 2
    np.testing.assert_allclose(some.sum(axis=1), inputs["mixture"][:, excess:-excess], atol=1e-5)


def test_without_a_picture_any_instrument_may_play(model):
    inputs, _ = make_batch()
    inputs["picture_mask"][1:3] = 0
    labels = model.predict_on_batch(inputs)["label_vector"]
    np.testing.assert_array_equal(labels[1:3], 1)
    assert (labels[[0, 3]] < 1).all()
    other = {**inputs, "picture": inputs["picture"][::-1].copy()}
    other["picture"][[0, 3]] = inputs["picture"][[0, 3]]
    np.testing.assert_array_equal(model.predict_on_batch(other)["sources"], model.predict_on_batch(inputs)["sources"])


def separation_gradients(model, inputs, targets):
    loss = make_loss("neg_snr")
    with tf.GradientTape() as tape:
        value = loss(targets["sources"], model(inputs, training=True)["sources"])
    return tape.gradient(value, model.head.trainable_variables + model.backbone.trainable_variables)


@pytest.mark.parametrize("network", ["WaveUNet", "SpectrogramUNet"])
def test_separation_alone_has_a_gradient_for_who_looks(network):
    sizes = {"frame_length": 16, "hop_length": 4, "num_time_levels": 1} if network == "SpectrogramUNet" else {}
    shared = {name: value for name, value in SEPARATOR.items() if name != "context" or not sizes}
    joint = make_model(network=network, separator={**shared, **sizes})
    kernel, bias = separation_gradients(joint, *make_batch())
    assert np.abs(kernel.numpy()).max(axis=0).min() > 1e-4 and np.abs(bias.numpy()).min() > 1e-4


def test_gradient_reaches_a_backbone_that_is_trained():
    gradients = separation_gradients(make_model(train_backbone=True), *make_batch())
    assert all(np.abs(gradient.numpy()).max() > 0 for gradient in gradients[:3])


def test_the_gradient_points_to_who_plays():
    """Turning up the label of an instrument that is heard lowers the loss; that of another raises it."""
    estimates = tf.constant(np.random.default_rng(1).normal(size=(1, 3, 50, 1)).astype(np.float32))
    present = np.array([1, 1, 0], np.float32)
    labels = tf.Variable([[0.5, 0.5, 0.5]])
    with tf.GradientTape() as tape:
        loss = make_loss("neg_snr")(estimates * present[None, :, None, None], soft_gate(estimates, labels))
    gradient = tape.gradient(loss, labels).numpy()[0]
    assert gradient[0] < -1 and gradient[1] < -1 and gradient[2] > 1


def test_given_labels_steer_and_then_nobody_looks(model):
    inputs, targets = make_batch()
    inputs = {**inputs, "label_vector": targets["label_vector"], "label_given": np.array([1, 1, 0, 0], np.float32)}
    given, seen = model.predict_on_batch(inputs), model.predict_on_batch(make_batch()[0])
    np.testing.assert_allclose(given["label_vector"], seen["label_vector"], atol=1e-6)
    np.testing.assert_allclose(given["sources"][2:], seen["sources"][2:], atol=1e-6)
    network = model.separation_network()
    expected = network.predict_on_batch({name: inputs[name] for name in ("mixture", "label_vector")})
    np.testing.assert_allclose(given["sources"][:2], expected[:2], atol=1e-6)
    assert np.abs(given["sources"][:2] - seen["sources"][:2]).max() > 1e-3
    inputs["label_given"] = np.ones(4, np.float32)
    assert not any(np.abs(gradient.numpy()).max() for gradient in separation_gradients(model, inputs, targets))


def test_soft_labels_of_0_and_1_are_hard_ones():
    from audio.consistency import LabelGate, MixtureConsistency

    rng = np.random.default_rng(2)
    estimates, mixture = rng.normal(size=(5, 4, 9, 2)), rng.normal(size=(5, 9, 2))
    labels = (rng.uniform(size=(5, 4)) < 0.5).astype(np.float64)
    labels[0], labels[1] = 0, 1
    np.testing.assert_allclose(soft_gate(estimates, labels), LabelGate(dtype="float64")(estimates, labels))
    expected = MixtureConsistency(dtype="float64")(estimates, mixture, labels)
    np.testing.assert_allclose(soft_consistency(estimates, mixture, labels), expected, atol=1e-12)


def trained(model, num_steps=3):
    # Building the graph of all gradients takes longer than three steps without it.
    model.compile(optimizer=keras.optimizers.SGD(1e-2), run_eagerly=True, **model.objectives(make_loss("neg_snr")))
    before = {part: getattr(model, part).get_weights() for part in ("backbone", "head", "separator")}
    inputs, targets = make_batch()
    weights = {"sources": np.ones(4, np.float32), "label_vector": inputs["picture_mask"]}
    for _ in range(num_steps):
        model.train_on_batch(inputs, targets, weights)
    after = {part: getattr(model, part).get_weights() for part in before}
    return {part: [not np.array_equal(a, b) for a, b in zip(before[part], after[part])] for part in before}


def test_a_frozen_backbone_stays_bit_identical():
    moved = trained(make_model())
    assert not any(moved["backbone"]) and all(moved["head"]) and all(moved["separator"])


def test_a_backbone_that_is_trained_moves_but_for_its_statistics():
    joint = make_model(train_backbone=True)
    moved = trained(joint)["backbone"]
    statistics = [weight.name.startswith("moving_") for weight in joint.backbone.weights]
    assert sum(statistics) > 90
    assert not any(m for m, is_statistic in zip(moved, statistics) if is_statistic)
    assert np.mean([m for m, is_statistic in zip(moved, statistics) if not is_statistic]) > 0.95


def test_labels_cost_nothing_where_there_is_no_picture():
    model = make_model()
    model.compile(optimizer="sgd", jit_compile=False, **model.objectives(make_loss("neg_snr")))
    inputs, targets = make_batch()
    weights = {"sources": np.ones(4, np.float32), "label_vector": np.array([1, 0, 0, 1], np.float32)}
    before = model.test_on_batch(inputs, targets, weights, return_dict=True)
    targets["label_vector"][1:3] = 1 - targets["label_vector"][1:3]
    after = model.test_on_batch(inputs, targets, weights, return_dict=True)
    assert after == pytest.approx(before)
    labels = np.clip(model.predict_on_batch(inputs)["label_vector"], 1e-7, 1 - 1e-7)[[0, 3]]
    true = targets["label_vector"][[0, 3]]
    entropy = -(true * np.log(labels) + (1 - true) * np.log(1 - labels)).mean(axis=1).sum() / 4
    assert after["label_vector_loss"] == pytest.approx(entropy, rel=1e-4)
    assert after["loss"] == pytest.approx(after["sources_loss"] + 10 * after["label_vector_loss"], rel=1e-5)
    tp = ((labels > 0.5) * true).sum()
    assert after["label_vector_f1"] == pytest.approx(2 * tp / max(1, (labels > 0.5).sum() + true.sum()), abs=1e-5)


def test_permuting_the_batch_permutes_the_output(model, outputs):
    inputs, _ = make_batch()
    order = [2, 0, 3, 1]
    permuted = model.predict_on_batch({name: values[order] for name, values in inputs.items()})
    for name in outputs:
        np.testing.assert_allclose(permuted[name], outputs[name][order], atol=1e-5)


def test_one_picture_changes_one_example_alone(model, outputs):
    inputs, _ = make_batch()
    inputs["picture"][1] = 255 - inputs["picture"][1]
    changed = model.predict_on_batch(inputs)
    for name in outputs:
        assert np.abs(changed[name][1] - outputs[name][1]).max() > 1e-4
        np.testing.assert_array_equal(np.delete(changed[name], 1, 0), np.delete(outputs[name], 1, 0))


def test_config_is_the_signature_and_a_file_brings_everything_back(tmp_path):
    options = {
        "source_names": NAMES[::-1],
        "sample_rate_hz": 9000,
        "network": "WaveUNet",
        "separator": {**SEPARATOR, "gate": False, "conditioning": "film"},
        "picture_size": (64, 32),
        "train_backbone": True,
        "sharpness": 0.7,
        "label_weight": 3.0,
        "given_label_probability": 0.25,
        "extra_label_probability": 0.0,
    }
    joint = JointModel(**options)
    assert set(joint.get_config()) == set(inspect.signature(JointModel).parameters) == {*options, "name"}
    joint.head.set_weights([0.1 * np.ones((1280, 3)), np.arange(3.0)])
    joint.save(tmp_path / "joint.keras")
    loaded = keras.saving.load_model(tmp_path / "joint.keras")
    assert type(loaded) is JointModel and loaded.options == joint.options
    assert {**loaded.get_config(), "name": None} == {**joint.get_config(), "name": None}
    inputs, _ = make_batch()
    inputs["picture"] = inputs["picture"].reshape(4, 64, 32, 3)
    before, after = (one.predict_on_batch(inputs) for one in (joint, loaded))
    for name in before:
        np.testing.assert_array_equal(after[name], before[name])


def test_a_file_with_broken_weights_is_refused_as_that_of_any_network(model, tmp_path):
    model.save(tmp_path / "joint.keras")
    with zipfile.ZipFile(tmp_path / "joint.keras") as whole, zipfile.ZipFile(tmp_path / "broken.keras", "w") as broken:
        for name in whole.namelist():
            broken.writestr(name, whole.read(name)[:2000] if name.endswith(".h5") else whole.read(name))
    for load in (load_joint, load_keras):
        with pytest.raises(ParameterError, match=r"saved by this program\. Received: .*broken\.keras \([^\n]+\)$"):
            load(tmp_path / "broken.keras")


SCRIPT = """
import sys
import keras, numpy as np
import pipelines.joint.model
assert keras.backend.backend() == "jax"
with np.load(sys.argv[2]) as inputs:
    outputs = keras.saving.load_model(sys.argv[1], compile=False).predict_on_batch(dict(inputs))
np.savez(sys.argv[3], **{name: np.asarray(values) for name, values in outputs.items()})
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed (pip install av-sep[jax])")
def test_saved_under_tensorflow_it_gives_the_same_under_jax(model, outputs, tmp_path):
    model.save(tmp_path / "joint.keras")
    np.savez(tmp_path / "inputs.npz", **make_batch()[0])
    paths = [str(tmp_path / name) for name in ("joint.keras", "inputs.npz", "outputs.npz")]
    quick = "--xla_backend_optimization_level=0"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": quick}
    done = subprocess.run([sys.executable, "-c", SCRIPT, *paths], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "outputs.npz") as received:
        for name in outputs:
            np.testing.assert_allclose(received[name], outputs[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"network": "Transformer"}, "network among WaveUNet.*Transformer"),
        ({"separator": {"num_levels": 2}}, "with a conditioning"),
        ({"separator": {**SEPARATOR, "source_names": NAMES}}, "source_names and sample_rate_hz outside"),
        ({"separator": {**SEPARATOR, "output": "difference"}}, "no gate"),
        ({"separator": {**SEPARATOR, "num_lewels": 2}}, "num_lewels"),
        ({"picture_size": (16, 64)}, "at least 32 pixels.*16"),
        ({"label_weight": -1.0}, "label_weight=-1"),
        ({"given_label_probability": 1.5}, "given_label_probability=1.5"),
        ({"sharpness": 0.0}, "sharpness=0"),
    ],
)
def test_options_that_cannot_be(options, words):
    with pytest.raises(ParameterError, match=words):
        make_model(**options)
