"""One file from a run: small, whole, and the same model under either backend."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from audio.models import load_model
from audio.wave_unet import WaveUNet
from av_sep.errors import MediaError, ParameterError
from pipelines.export import export

CHUNK = np.random.default_rng(0).normal(size=1 << 12).astype(np.float32)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    import keras

    folder = tmp_path_factory.mktemp("run")
    keras.utils.set_random_seed(3)
    network = WaveUNet(("violin", "tuba"), num_levels=3, num_filters=16, context=False, conditioning="film", gate=True)
    network.compile(optimizer="adam", loss="mse")
    mixture = {"mixture": np.ones((1, 64, 1)), "label_vector": np.ones((1, 2))}
    network.fit(mixture, np.ones((1, 2, 64, 1)), verbose=0)
    network.save(folder / "best.keras")
    with zipfile.ZipFile(folder / "best.keras", "a") as archive:
        archive.writestr("train_config.json", '{"recipe": "tiny"}')
    return folder


def separate(model):
    plan = model.chunk_plan(64)
    return model.separate_chunk(CHUNK[: plan.num_input_samples], np.ones(2, np.float32))


def test_float16_is_half_the_size_and_the_same_sound(run_folder, tmp_path):
    half = export(run_folder, tmp_path / "half.keras")
    full = export(run_folder / "best.keras", tmp_path / "full.keras", float16=False)
    expected = separate(load_model(run_folder / "best.keras"))
    np.testing.assert_array_equal(separate(load_model(full)), expected)
    got = separate(load_model(half))
    assert 0 < np.abs(got - expected).max() < 2e-3 * np.abs(expected).max()
    assert half.stat().st_size < 0.62 * full.stat().st_size < 0.5 * (run_folder / "best.keras").stat().st_size


def test_float16_costs_no_more_than_is_said(tmp_path):
    import keras

    network = WaveUNet(("violin", "tuba"), num_levels=3, num_filters=16, context=False, conditioning="film")
    rng = np.random.default_rng(7)
    for variable in network.weights:
        # Weights of all sizes, most of them so small that float16 has no bits left for them.
        size = 10.0 ** rng.uniform(-10, 0, variable.shape)
        variable.assign(size * rng.choice([-1, 1], variable.shape))
    network.save(tmp_path / "full.keras")
    half = keras.saving.load_model(export(tmp_path / "full.keras", tmp_path / "half.keras"), compile=False)
    pairs = zip(network.get_weights(), half.get_weights(), strict=True)
    full, cost = np.concatenate([[np.abs(one).ravel(), np.abs(other - one).ravel()] for one, other in pairs], axis=1)
    small = full < 6e-5
    assert 0 < cost[~small].max() and (cost[~small] <= 5e-4 * full[~small]).all() and cost[small].max() <= 3e-8
    # The first bound alone would not hold.
    assert (cost[small] > 5e-4 * full[small]).any()


def test_settings_stay_inside(run_folder, tmp_path):
    with zipfile.ZipFile(export(run_folder, tmp_path / "model.keras")) as archive:
        assert json.loads(archive.read("train_config.json")) == {"recipe": "tiny"}


def test_the_file_gives_the_same_under_the_other_backend(run_folder, tmp_path):
    pytest.importorskip("jax", reason="needs av-sep[jax]")
    path = export(run_folder, tmp_path / "model.keras")
    code = (
        "import sys, numpy as np; from audio.models import load_model; import keras;"
        "assert keras.backend.backend() == 'jax'; model = load_model(sys.argv[1]); plan = model.chunk_plan(64);"
        "chunk = np.random.default_rng(0).normal(size=1 << 12).astype(np.float32)[:plan.num_input_samples];"
        "np.save(sys.argv[2], model.separate_chunk(chunk, np.ones(2, np.float32)))"
    )
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "out.npy")]
    subprocess.run(command, check=True, env={**os.environ, "KERAS_BACKEND": "jax"}, stderr=subprocess.DEVNULL)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), separate(load_model(path)), atol=1e-5)


def test_what_cannot_be_exported(run_folder, tmp_path):
    with pytest.raises(MediaError, match="best.keras"):
        export(tmp_path, tmp_path / "model.keras")
    with pytest.raises(ParameterError, match="ends in .keras"):
        export(run_folder, tmp_path / "model.h5")
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(ParameterError, match="text.keras"):
        export(tmp_path / "text.keras", tmp_path / "model.keras")
    (tmp_path / "there.keras").write_text("mine")
    with pytest.raises(ParameterError, match="--overwrite"):
        export(run_folder, tmp_path / "there.keras")
    assert (tmp_path / "there.keras").read_text() == "mine" and not (tmp_path / "model.keras").exists()
