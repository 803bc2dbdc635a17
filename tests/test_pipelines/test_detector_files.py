"""Which files a detector is made of: what is written again in its place is another detector."""

import os

import pytest

from pipelines.detector_files import detector_files, detector_states


@pytest.fixture
def model(tmp_path):
    """Files of an unpacked SavedModel, as TensorFlow names them."""
    folder = tmp_path / "detector"
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"12345")
        os.utime(folder / name, (1_000_000_000, 1_000_000_000))
    return folder


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index"])
@pytest.mark.parametrize("content", [b"67890", b"123456"])
def test_a_saved_model_that_is_trained_on_in_its_place_is_another(model, name, content):
    before = detector_states(f"hub:{model}")
    assert before == detector_states(f"hub: {model}") and len(before) == 3
    (model / name).write_bytes(content)
    assert [old == new for old, new in zip(before, detector_states(f"hub:{model}"))].count(False) == 1


def test_what_is_beside_a_model_is_none_of_it(model):
    before = detector_states(f"hub:{model}")
    (model / "notes.txt").write_text("mine")
    assert detector_states(f"hub:{model}") == before


def test_every_kind_of_detector(model, tmp_path):
    packed = tmp_path / "detector.tar.gz"
    packed.write_bytes(b"1")
    assert detector_files("eyes.keras")[0].name == "eyes.keras"
    assert detector_files("embedded") == detector_files("hub:https://tfhub.dev/google/x/1") == ()
    named = detector_files(f"labels:cast.json,hub:{packed},hub:{model}")
    assert [file.name for file in named[:3]] == ["cast.json", "detector.tar.gz", "saved_model.pb"] and len(named) == 5
    assert detector_states("labels:nowhere.json") == [
        {"name": "nowhere.json", "num_bytes": None, "modified_seconds": None}
    ]


def test_a_place_out_of_reach_has_no_files():
    assert detector_files("hub:" + "x" * 300) == ()
