"""The port against a NumPy rewrite of its first blocks, and against what ImageNet calls known photos."""

import cv2
import numpy as np
import pytest

from av_sep.errors import ParameterError
from vision.efficientnet_lite0 import load_efficientnet_lite0, scale_pictures
from vision.players import letterbox

WEIGHTS = "efficientnet_lite0_imagenet_fp16.npz"
IMAGENET_POSITIONS = {
    "violin": 889, "cello": 486, "flute": 558, "oboe": 683, "saxophone": 776, "trumpet": 513, "french_horn": 566,
    "trombone": 875,
}  # fmt: skip
MILITARY_UNIFORM = 652


@pytest.fixture(scope="module")
def model():
    return load_efficientnet_lite0()


@pytest.fixture(scope="module")
def arrays():
    from vision import efficientnet_lite0

    path = efficientnet_lite0.Path(efficientnet_lite0.__file__).parent / "weights" / "efficientnet_lite0" / WEIGHTS
    with np.load(path) as stored:
        return {name: stored[name].astype(np.float64) for name in stored.files}


def convolve(x, kernel, stride, depthwise=False):
    """TensorFlow's "same" convolution of one picture [height, width, channels], written out."""
    size = kernel.shape[0]
    pads = []
    for length in x.shape[:2]:
        total = max((-(-length // stride) - 1) * stride + size - length, 0)
        pads.append((total // 2, total - total // 2))
    x = np.pad(x, [*pads, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(0, 1))[::stride, ::stride]
    if depthwise:
        return np.einsum("hwcij,ijc->hwc", windows, kernel[..., 0])
    return np.einsum("hwcij,ijco->hwo", windows, kernel, optimize=True)


def normalise(x, arrays, name, relu=True):
    gamma, beta, mean, variance = (
        arrays[f"{name}/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    x = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    return np.clip(x, 0, 6) if relu else x


def expand_block(x, arrays, name, stride):
    x = normalise(convolve(x, arrays[f"{name}_exp/kernel"], 1), arrays, f"{name}_bn0")
    x = normalise(convolve(x, arrays[f"{name}_dw/kernel"], stride, depthwise=True), arrays, f"{name}_bn1")
    return normalise(convolve(x, arrays[f"{name}_proj/kernel"], 1), arrays, f"{name}_bn2", relu=False)


def test_first_blocks_agree_with_numpy(model, arrays, portrait):
    import keras

    picture = portrait[40:264, 100:324]
    x = (picture.astype(np.float64) - 127) / 128
    x = normalise(convolve(x, arrays["stem/kernel"], 2), arrays, "bn0")
    x = normalise(convolve(x, arrays["b0_dw/kernel"], 1, depthwise=True), arrays, "b0_bn1")
    x = normalise(convolve(x, arrays["b0_proj/kernel"], 1), arrays, "b0_bn2", relu=False)
    x = expand_block(x, arrays, "b1", stride=2)
    expected = x + expand_block(x, arrays, "b2", stride=1)  # the first block with a shortcut
    upto = keras.Model(model.input, model.get_layer("b2_add").output)
    found = np.asarray(upto(scale_pictures(picture[None])))[0]
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())


def test_logits_are_the_dense_layer_of_the_features(model, arrays, portrait):
    outputs = model.predict_on_batch(scale_pictures(portrait[None, 40:264, 100:324]))
    expected = outputs["features"] @ arrays["fc/kernel"] + arrays["fc/bias"]
    np.testing.assert_allclose(outputs["imagenet_logits"], expected, atol=1e-3)


def test_an_officer_wears_a_military_uniform(model, portrait):
    square = letterbox(portrait, 224)[0]
    logits = np.asarray(model.predict_on_batch(scale_pictures(square[None]))["imagenet_logits"])[0]
    assert logits.argmax() == MILITARY_UNIFORM


@pytest.mark.shared_data
def test_imagenet_names_of_instrument_photos(model, shared_data):
    paths = sorted((shared_data / "vision" / "validation").glob("*.jpg"))
    truth = np.array([IMAGENET_POSITIONS["_".join(path.stem.split("_")[2:])] for path in paths])
    squares = [letterbox(np.ascontiguousarray(cv2.imread(str(path))[..., ::-1]), 224)[0] for path in paths]
    logits = np.asarray(model.predict_on_batch(scale_pictures(np.stack(squares)))["imagenet_logits"])
    top5 = np.argsort(-logits, axis=1)[:, :5]
    assert (top5 == truth[:, None]).any(axis=1).mean() >= 0.9


def test_a_file_of_other_variables_is_refused(tmp_path):
    np.savez(tmp_path / "wrong.npz", **{"stem/kernel": np.zeros(3)})
    with pytest.raises(ParameterError, match=r"Expected the 247 variables.*Received: 1, with '.*' missing or unknown"):
        load_efficientnet_lite0(tmp_path / "wrong.npz")
