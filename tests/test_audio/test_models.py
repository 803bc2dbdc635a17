"""Models by name and by file, and what is said about files that are none."""

import json
import zipfile

import keras
import numpy as np
import pytest

from audio import models
from audio.framing import ChunkPlan
from audio.models import (
    BUILT_IN,
    available_models,
    load_model,
    make_separator,
    packaged_models,
    save_packaged,
    source_names,
    weights_files,
)
from audio.separation_model import NetworkModel, SeparationModel
from audio.separator import Separator
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import TAXONOMIES

# Keras saves TensorFlow's variables by an `np.array` that NumPy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

EVERY_PACKAGED = pytest.mark.parametrize("name", [entry.name for entry in packaged_models()])


@pytest.fixture(scope="module")
def saved_network(conditioned_network, tmp_path_factory):
    """The conditioned network in a `.keras` file."""
    path = tmp_path_factory.mktemp("models") / "network.keras"
    conditioned_network.save(path)
    return path


def contents(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("context", (0, 1000, 300_000))
def test_context_is_a_third_of_the_work_at_most(context):
    class Shy:
        """Asks for context around a chunk."""

        source_names, sample_rate_hz = ("violin",), 22050

        def chunk_plan(self, chunk_samples):
            return ChunkPlan(chunk_samples + 2 * context, chunk_samples, context)

        def separate_chunk(self, chunk, label_vector):
            raise AssertionError("nothing is separated here")

    chunk_samples = make_separator(Shy()).chunk_samples
    assert 2 * context / (chunk_samples + 2 * context) <= 1 / 3 and chunk_samples >= 131_072
    assert context == 300_000 or chunk_samples == 131_072
    assert make_separator(Shy(), chunk_samples=5).chunk_samples == 5


# --- packaged models -------------------------------------------------------------------------------------------------


def test_the_floor_to_beat_is_packaged():
    assert "wiener" in {entry.name for entry in packaged_models()}


@EVERY_PACKAGED
def test_packaged_model_loads_and_separates(name, rng):
    model = load_model(name)
    assert isinstance(model, SeparationModel)
    labels = np.zeros(len(model.source_names))
    labels[[0, -1]] = 1
    mixture = (0.1 * rng.normal(size=(3000, 1))).astype(np.float32)
    estimates = Separator(model, chunk_samples=4096).separate(mixture, labels, model.sample_rate_hz)
    np.testing.assert_allclose(estimates.sum(axis=0), mixture, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(estimates[labels == 0], 0)
    assert np.abs(estimates[0] - estimates[-1]).max() > 1e-4


@EVERY_PACKAGED
def test_packaged_model_carries_its_taxonomy_and_says_what_it_is(name):
    config = json.loads((models.WEIGHTS_DIR / name / "config.json").read_text())
    names = load_model(name).source_names
    # All of a taxonomy, or some of it in its order.
    assert any(names == tuple(n for n in taxonomy.names if n in names) for taxonomy in TAXONOMIES.values())
    if config["class"] != "PooledModel":
        assert names == tuple(config["options"]["source_names"])
        assert load_model(name).sample_rate_hz == config["options"]["sample_rate_hz"]
    assert config["training"]
    entry = next(entry for entry in packaged_models() if entry.name == name)
    assert entry.description == config["description"] and 10 < len(entry.description) < 200
    assert "\n" not in entry.description


def test_sources_of_a_model_are_known_without_it(saved_network, tmp_path):
    for entry in available_models():
        assert source_names(entry.name) == tuple(load_model(entry.name).source_names)
    assert source_names("default") == source_names(models.DEFAULT_MODEL)
    assert source_names(saved_network) == load_model(saved_network).source_names
    for members in ({"config.json": b"{}"}, {"config.json": b"no"}, {"config.json": b"[]"}, {"other": b""}):
        with pytest.raises(ParameterError, match=r"by this program\. Received: .*some\.keras, which names no sources"):
            source_names(write_zip(tmp_path / "some.keras", members))


def test_methods_that_name_by_packaged_spectra_follow_them():
    wiener = weights_files("wiener")
    assert all(path.is_file() for path in wiener) and len(wiener) == 2
    assert {weights_files(name) for name in BUILT_IN} == {wiener}


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ParameterError, match=r"model's name \(.*wiener.*\) or a \.keras file\. Received: 'weiner'"):
        load_model("weiner")


def test_oracle_is_no_model():
    with pytest.raises(ParameterError, match=r"The oracle ideal_ratio_mask must be told the stems"):
        load_model("ideal_ratio_mask")


def test_network_saved_as_packaged_comes_back_within_half_precision(make_network, tmp_path, monkeypatch, rng):
    network = make_network(context=False, conditioning="film", upsampling="learned", gate=True)
    save_packaged(network, tmp_path / "mine", description="a test's network", training={"steps": 0})
    monkeypatch.setattr(models, "WEIGHTS_DIR", tmp_path)
    assert [(entry.name, entry.description) for entry in packaged_models()] == [("mine", "a test's network")]
    loaded = load_model("mine").network
    assert loaded.options == {**network.options, "context": True}
    for ours, theirs in zip(network.get_weights(), loaded.get_weights(), strict=True):
        # float16 keeps 11 significant bits, and 2^-24 below its normal range.
        np.testing.assert_allclose(theirs, ours, rtol=2**-11, atol=2**-25)
    chunk = rng.normal(size=load_model("mine").chunk_plan(100).num_input_samples).astype(np.float32)
    labels = np.array([1, 0, 0.5], np.float32)
    expected = NetworkModel(network).separate_chunk(chunk, labels)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(load_model("mine").separate_chunk(chunk, labels), expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("shares_notes", (True, False))
def test_config_says_whether_notes_are_shared_out(make_network, tmp_path, monkeypatch, shares_notes):
    network = make_network(conditioning="additive")
    monkeypatch.setattr(models, "WEIGHTS_DIR", tmp_path)
    save_packaged(network, tmp_path / "mine", description="", training={}, shares_notes=shares_notes)
    options = {"models": ["mine", "mine"], "weights": [1, 1], "exponents": [1]}
    pool = {"class": "PooledModel", "description": "", "shares_notes": shares_notes, "options": options}
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "config.json").write_text(json.dumps(pool))
    for name in ("mine", "pool"):
        assert make_separator(load_model(name)).shares_notes == shares_notes
        assert make_separator(load_model(name), share_notes=not shares_notes).shares_notes != shares_notes


def test_networks_of_the_package_share_notes_out_and_classics_do_not():
    sharing = {entry.name for entry in packaged_models() if make_separator(load_model(entry.name)).shares_notes}
    classics = {"wiener", "nmf", "nmf_frobenius", "nmf_itakura_saito"}
    assert sharing == {entry.name for entry in packaged_models()} - classics


@pytest.mark.parametrize("alias", sorted(models.ALIASES))
def test_alias_stands_for_the_default_model(make_network, tmp_path, monkeypatch, alias):
    network = make_network(("a", "b"), conditioning="additive")
    save_packaged(network, tmp_path / models.DEFAULT_MODEL, description="stand-in", training={})
    monkeypatch.setattr(models, "WEIGHTS_DIR", tmp_path)
    assert load_model(alias).source_names == ("a", "b")
    assert load_model().source_names == ("a", "b")


# --- files -----------------------------------------------------------------------------------------------------------


def test_network_from_a_keras_file_separates_as_before(saved_network, conditioned_network, rng):
    model = load_model(saved_network)
    chunk = rng.normal(size=model.chunk_plan(100).num_input_samples).astype(np.float32)
    labels = np.array([1, 0, 0.5], np.float32)
    expected = NetworkModel(conditioned_network).separate_chunk(chunk, labels)
    np.testing.assert_array_equal(model.separate_chunk(chunk, labels), expected)
    assert load_model(str(saved_network)).source_names == ("violin", "flute", "tuba")


@pytest.mark.parametrize("packaged", (True, False))
@pytest.mark.parametrize(
    ("maker", "options"),
    (
        ("make_spectrogram_network", {"masks": "softmax"}),
        ("make_log_frequency_network", {"num_slots": 2, "num_blocks": 1, "memory_units": 0}),
    ),
    ids=("spectrogram", "log_frequency"),
)
def test_network_of_masks_is_kept_and_separates(maker, options, request, tmp_path, monkeypatch, rng, packaged):
    network = request.getfixturevalue(maker)(conditioning="film", **options)
    monkeypatch.setattr(models, "WEIGHTS_DIR", tmp_path)
    save_packaged(network, tmp_path / "mine", description="a test's network", training={"steps": 0})
    network.save(tmp_path / "mine.keras")
    loaded = load_model("mine" if packaged else tmp_path / "mine.keras")
    assert type(loaded.network) is type(network) and loaded.network.options == network.for_inference().options
    mixture = (0.2 * rng.normal(size=(3000, 2))).astype(np.float32)
    labels = np.array([1, 0, 0.5], np.float32)
    expected = Separator(NetworkModel(network), chunk_samples=1024).separate(mixture, labels, 44100)
    estimates = Separator(loaded, chunk_samples=1024).separate(mixture, labels, 44100)
    assert np.abs(expected[0]).max() > 0.1
    np.testing.assert_array_equal(estimates[1], 0)
    np.testing.assert_allclose(estimates, expected, rtol=0, atol=0.01 if packaged else 1e-6)


def test_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(MediaError, match=r"Expected a \.keras file\. Received: .*gone\.keras, which does not exist"):
        load_model(tmp_path / "gone.keras")


def test_text_file_is_no_model(tmp_path):
    (tmp_path / "notes.keras").write_text("not a model")
    with pytest.raises(ParameterError, match=r"saved by this program\. Received: .*notes\.keras, which is none"):
        load_model(tmp_path / "notes.keras")


@pytest.mark.parametrize("members", ({"a.txt": b"hello"}, {"config.json": b"{"}, {"config.json": b"[]"}), ids=str)
def test_other_zip_file_is_no_model(tmp_path, members):
    with pytest.raises(ParameterError, match=r"\.keras model saved by this program\. Received: .*other\.keras \(.+\)"):
        load_model(write_zip(tmp_path / "other.keras", members))


@pytest.mark.parametrize("damage", ("absent", "junk", "cut"))
def test_model_with_broken_weights_is_refused(saved_network, tmp_path, damage):
    members = contents(saved_network)
    weights = members.pop("model.weights.h5")
    if damage != "absent":
        members["model.weights.h5"] = b"junk" * 100 if damage == "junk" else weights[: len(weights) // 2]
    with pytest.raises(ParameterError, match=r"saved by this program\. Received: .*broken\.keras \(.+\)"):
        load_model(write_zip(tmp_path / "broken.keras", members))


def test_model_with_flipped_bytes_is_refused(saved_network, tmp_path):
    damaged = bytearray(saved_network.read_bytes())
    middle = damaged.index(b"model.weights.h5") + 3000
    damaged[middle : middle + 40] = bytes(255 - byte for byte in damaged[middle : middle + 40])
    (tmp_path / "flipped.keras").write_bytes(damaged)
    with pytest.raises(ParameterError, match=r"saved by this program\. Received: .*flipped\.keras \(.*CRC"):
        load_model(tmp_path / "flipped.keras")


def test_foreign_network_is_refused(tmp_path):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "foreign.keras")
    with pytest.raises(ParameterError, match=r"separation network\. Received: .*foreign\.keras, a Sequential"):
        load_model(tmp_path / "foreign.keras")


def test_network_with_an_unknown_option_is_refused(saved_network, tmp_path):
    members = contents(saved_network)
    config = json.loads(members["config.json"])
    config["config"]["num_heads"] = 8
    members["config.json"] = json.dumps(config).encode()
    with pytest.raises(ParameterError, match=r"saved by this program\. Received: .*newer\.keras \(.+\)"):
        load_model(write_zip(tmp_path / "newer.keras", members))
