"""Crops of a picture whose pixels say where they come from."""

import numpy as np
import pytest

from vision.crops import crop_square, frame_views, player_views, region_boxes


@pytest.fixture
def ramp():
    """Red counts columns, green counts rows: a view tells which part of the picture it shows."""
    rows, columns = np.mgrid[0:100, 0:200]
    return np.stack([columns, rows, np.full_like(rows, 50)], axis=-1).astype(np.uint8)


def test_square_is_cut_out_pixel_by_pixel(ramp):
    np.testing.assert_array_equal(crop_square(ramp, (60, 50), 40, 40), ramp[30:70, 40:80])


def test_square_moves_inside_where_it_fits(ramp):
    np.testing.assert_array_equal(crop_square(ramp, (0, 0), 40, 40), ramp[:40, :40])
    np.testing.assert_array_equal(crop_square(ramp, (199, 99), 40, 40), ramp[60:, 160:])


def test_square_higher_than_the_picture_is_filled_up_with_grey(ramp):
    view = crop_square(ramp, (100, 10), 160, 160)
    assert (view[:30] == 127).all() and (view[130:] == 127).all()
    np.testing.assert_array_equal(view[30:130], ramp[:, 20:180])


def test_player_views_show_the_whole_player_and_closer_his_upper_part(ramp):
    whole, close = player_views(ramp, (90, 10, 120, 90), 224)
    assert whole[..., 0].min() <= 65 and whole[..., 0].max() >= 145  # 1.15 * 80 pixels around column 105
    assert close[..., 1].min() == pytest.approx(10, abs=2) and close[..., 1].max() < 55
    assert close[..., 0].min() > 80 and close[..., 0].max() < 130


def test_square_picture_has_one_view_and_a_long_one_tiles_along_it(ramp):
    assert frame_views(np.ascontiguousarray(ramp[:, :100]), 64).shape == (1, 64, 64, 3)
    views = frame_views(ramp, 100)
    np.testing.assert_array_equal(views[1], ramp[:, :100])
    np.testing.assert_array_equal(views[2], ramp[:, 50:150])
    np.testing.assert_array_equal(views[3], ramp[:, 100:])
    turned = frame_views(np.ascontiguousarray(ramp.transpose(1, 0, 2)), 100)
    np.testing.assert_array_equal(turned[3], ramp[:, 100:].transpose(1, 0, 2))


def test_regions_cover_the_picture_where_nobody_is(ramp):
    boxes = np.array(region_boxes(ramp, []))
    assert len(boxes) == 10  # 60 pixels wide, 2 rows 40 apart, 5 columns 35 apart
    np.testing.assert_allclose(boxes[:3, :2], [[0, 0], [35, 0], [70, 0]])
    np.testing.assert_allclose(boxes[-1], [140, 40, 200, 100])
    beside = region_boxes(ramp, [(80, 40, 100, 60)])
    assert [box for box in map(tuple, boxes) if box not in beside] == [
        (35, 0, 95, 60), (70, 0, 130, 60), (35, 40, 95, 100), (70, 40, 130, 100)
    ]  # fmt: skip


def test_a_wall_is_no_region():
    picture = np.full((100, 200, 3), 90, np.uint8)
    picture[:, 180:] += np.random.default_rng(0).integers(0, 99, (100, 20, 3), np.uint8)
    assert {box[0] for box in region_boxes(picture, [])} == {140.0}
    assert region_boxes(picture[:1, :1], []) == []


def test_the_thinnest_picture_has_views():
    assert frame_views(np.zeros((1, 50, 3), np.uint8), 224).shape == (4, 224, 224, 3)
