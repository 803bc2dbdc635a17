"""Stages of made photos whose colours say who stands where. The script is loaded by its path: it is no package."""

import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "stage_pictures.py"
COLOURS = {"violin": (255, 0, 0), "tuba": (0, 255, 0), "other": (0, 0, 255)}


@pytest.fixture(scope="module")
def stage_pictures():
    spec = importlib.util.spec_from_file_location("stage_pictures", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["stage_pictures"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["stage_pictures"]


@pytest.fixture
def folder(tmp_path):
    """Photos of two origins: a block of the instrument's colour on white."""
    for label, colour in COLOURS.items():
        (tmp_path / label).mkdir()
        for name in ("web_some-one_1.png", "web_some-one_2.png", "large_7.png"):
            photo = np.full((200, 100, 3), 255, np.uint8)
            photo[20:180, 30:70] = colour[::-1]
            cv2.imwrite(str(tmp_path / label / name), photo)
    return tmp_path


def test_photos_are_grouped_by_origin(stage_pictures, folder):
    photos = stage_pictures.list_photos(folder)
    assert [(photo.label, photo.origin) for photo in photos[:3]] == [
        ("violin", "large"), ("violin", "web_some-one"), ("violin", "web_some-one")
    ]  # fmt: skip
    assert len(photos) == 9 and photos[-1].label == "other"


def test_boxes_are_tight_around_the_photos_in_their_order(stage_pictures, folder):
    photos = [photo for photo in stage_pictures.list_photos(folder) if photo.origin == "large"]
    stage = stage_pictures.compose_stage(photos, np.random.default_rng(3))
    assert stage.photos == tuple(photos) and (np.diff(stage.boxes_xyxy[:, 0]) > 0).all()
    for photo, box in zip(stage.photos, stage.boxes_xyxy):
        channel = int(np.argmax(COLOURS[photo.label]))
        others = np.delete(stage.picture.astype(int), channel, axis=2).max(axis=2)
        painted = (stage.picture[..., channel].astype(int) - others) > 120
        rows, columns = np.nonzero(cv2.erode(painted.astype(np.uint8), np.ones((5, 5))))
        np.testing.assert_allclose(box, (columns.min(), rows.min(), columns.max(), rows.max()), atol=6)


def test_each_photo_stands_once_a_round_among_its_own_origin(stage_pictures, folder):
    photos = stage_pictures.list_photos(folder)
    stages = list(stage_pictures.make_stages(photos, seed=5, num_rounds=2))
    assert all(len({photo.origin for photo in stage.photos}) == 1 for stage in stages)
    assert sorted(str(photo.path) for stage in stages for photo in stage.photos) == sorted(
        str(photo.path) for photo in photos * 2
    )
    again, other = (next(stage_pictures.make_stages(photos, seed)) for seed in (5, 6))
    np.testing.assert_array_equal(again.picture, stages[0].picture)
    assert other.picture.shape != stages[0].picture.shape or (other.picture != stages[0].picture).any()
