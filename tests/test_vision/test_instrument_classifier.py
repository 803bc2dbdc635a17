"""The head against NumPy, its file and its saved model, and the shipped classifier on pictures of no instrument."""

import inspect
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13
from vision.efficientnet_lite0 import scale_pictures
from vision.instrument_classifier import HeadWeights, InstrumentClassifier, build_instrument_classifier
from vision.instrument_head import InstrumentHead
from vision.players import letterbox

RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def shipped_model():
    return build_instrument_classifier()


class TestHead:
    def test_agrees_with_numpy_eagerly_and_compiled(self):
        import tensorflow as tf

        head = InstrumentHead(3, num_other=4, temperature=1.7)
        features = RNG.normal(size=(5, 11)).astype(np.float32)
        head.build((None, 11))
        kernel, bias = RNG.normal(size=(11, 7)).astype(np.float32), RNG.normal(size=7).astype(np.float32)
        head.set_weights([kernel, bias])
        scores = features.astype(np.float64) @ kernel + bias
        other = np.log(np.exp(scores[:, 3:]).sum(axis=1, keepdims=True))
        expected = np.concatenate([scores[:, :3], other], axis=1) / 1.7
        np.testing.assert_allclose(np.asarray(head(features)), expected, atol=1e-5)
        np.testing.assert_allclose(np.asarray(tf.function(head)(features)), expected, atol=1e-5)
        np.testing.assert_allclose(np.asarray(tf.function(head, jit_compile=True)(features)), expected, atol=1e-5)

    def test_config_names_every_argument_and_builds_the_same_head(self):
        head = InstrumentHead(3, num_other=4, temperature=1.7, name="h")
        arguments = set(inspect.signature(InstrumentHead.__init__).parameters) - {"self", "kwargs"}
        assert arguments <= set(head.get_config())
        again = InstrumentHead.from_config(head.get_config())
        assert again.get_config() == head.get_config() and again.num_other == 4 and again.temperature == 1.7
        assert head.compute_output_shape((2, 11)) == (2, 4)

    @pytest.mark.parametrize("arguments", [(0,), (3, 0), (3, 1, 0.0)])
    def test_impossible_arguments_are_refused(self, arguments):
        with pytest.raises(ValueError, match="Received: num_instruments="):
            InstrumentHead(*arguments)

    def test_gradients_reach_the_picture_and_the_kernel(self, shipped_model):
        import tensorflow as tf

        pictures = tf.constant(scale_pictures(RNG.integers(0, 255, (1, 224, 224, 3)).astype(np.uint8)))
        with tf.GradientTape() as tape:
            tape.watch(pictures)
            loss = -tf.math.log(shipped_model(pictures)[0, 4])
        kernel = shipped_model.get_layer("instrument_head").kernel
        for gradient in tape.gradient(loss, [pictures, kernel.value]):
            assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


class TestHeadFile:
    def test_round_trip(self, tmp_path):
        kernel = RNG.normal(size=(1280, 4)).astype(np.float16).astype(np.float32)
        HeadWeights(("violin", "tuba"), kernel, np.array([1, -2, 0.5, 3], np.float32), 0.75).save(tmp_path / "head.npz")
        loaded = HeadWeights.load(tmp_path / "head.npz")
        assert loaded.instruments == ("violin", "tuba") and loaded.temperature == 0.75
        np.testing.assert_array_equal(loaded.kernel, kernel)
        np.testing.assert_array_equal(loaded.bias, [1, -2, 0.5, 3])

    def test_another_file_is_refused(self, tmp_path):
        np.savez(tmp_path / "wrong.npz", kernel=np.zeros((3, 3)))
        with pytest.raises(ParameterError, match=r"Expected a head over 1280 features in wrong.npz.*: \['kernel'\]"):
            HeadWeights.load(tmp_path / "wrong.npz")

    def test_shipped_head_knows_the_taxonomy(self):
        assert HeadWeights.load().instruments == URMP_13.names


class TestClassifier:
    # Keras 3 copies TensorFlow variables in a way that NumPy 2.4 warns about.
    @pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
    def test_saved_model_gives_the_same_answers(self, shipped_model, tmp_path, portrait):
        views = scale_pictures(letterbox(portrait, 224)[0][None])
        shipped_model.save(tmp_path / "classifier.keras")
        loaded = keras.models.load_model(tmp_path / "classifier.keras")
        np.testing.assert_allclose(loaded.predict_on_batch(views), shipped_model.predict_on_batch(views), atol=1e-6)

    def test_batches_of_any_size_agree_with_single_views(self, classifier, portrait):
        views = np.stack([portrait[i : i + 224, 2 * i : 2 * i + 224] for i in range(0, 140, 4)])
        together = classifier.classify(views)
        assert together.shape == (35, 14)
        np.testing.assert_allclose(together.sum(axis=1), 1.0, atol=1e-5)
        for position in (0, 31, 34):  # 34 is in the second batch
            alone = classifier.classify(views[position : position + 1])[0]
            np.testing.assert_allclose(alone, together[position], atol=1e-4)
        assert np.abs(together[0] - together[34]).max() > 1e-3
        assert classifier.classify(views[:0]).shape == (0, 14)

    def test_jax_compiles_for_a_few_numbers_of_views_and_answers_alike(self, classifier, portrait, tmp_path):
        pytest.importorskip("jax", reason="needs av-sep[jax]")
        views = np.stack([portrait[i : i + 224, 2 * i : 2 * i + 224] for i in range(0, 32, 4)])
        np.save(tmp_path / "views.npy", views)
        code = (
            "import sys, jax, numpy as np; from vision.instrument_classifier import InstrumentClassifier\n"
            "compiled = []\n"
            "def heard(event, seconds, **more):\n"
            "    compiled.append(event) if event.endswith('backend_compile_duration') else None\n"
            "jax.monitoring.register_event_duration_secs_listener(heard)\n"
            "views, classifier, counts = np.load(sys.argv[1]), InstrumentClassifier(), []\n"
            "for num_views in (5, 6, 7, 8):\n"
            "    compiled.clear(); judged = classifier.classify(views[:num_views]); counts.append(len(compiled))\n"
            "    np.save(f'{sys.argv[1]}.{num_views}.npy', judged)\n"
            "print(*counts)"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "views.npy")]
        environment = {**os.environ, "KERAS_BACKEND": "jax"}
        told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        five, six, seven, eight = map(int, told.split())
        assert five > 0 and six == 0 and seven > 0 and eight == 0
        expected = classifier.classify(views)
        for num_views in (5, 6, 7, 8):
            judged = np.load(tmp_path / f"views.npy.{num_views}.npy")
            np.testing.assert_allclose(judged, expected[:num_views], atol=1e-3)

    def test_pictures_of_another_size_or_type_are_refused(self):
        with pytest.raises(ParameterError, match="Received: float64 array"):
            InstrumentClassifier().classify(np.zeros((1, 224, 224, 3)))
        with pytest.raises(ParameterError, match=r"shape \(1, 100, 224, 3\)"):
            InstrumentClassifier().classify(np.zeros((1, 100, 224, 3), np.uint8))
