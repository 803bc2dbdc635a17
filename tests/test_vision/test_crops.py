"""Crops of a picture whose pixels say where they come from."""

import numpy as np
import pytest

from vision.crops import MAX_SIDE, crop_square, frame_views, plan_views, player_views, region_boxes, shrink_picture


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
    boxes = np.array(region_boxes(ramp, [], 99))
    assert len(boxes) == 10  # 60 pixels wide, 2 rows 40 apart, 5 columns 35 apart
    np.testing.assert_allclose(boxes[:3, :2], [[0, 0], [35, 0], [70, 0]])
    np.testing.assert_allclose(boxes[-1], [140, 40, 200, 100])
    beside = region_boxes(ramp, [(80, 40, 100, 60)], 99)
    assert [box for box in map(tuple, boxes) if box not in beside] == [
        (35, 0, 95, 60), (70, 0, 130, 60), (35, 40, 95, 100), (70, 40, 130, 100)
    ]  # fmt: skip


def test_a_wall_is_no_region():
    picture = np.full((100, 200, 3), 90, np.uint8)
    picture[:, 180:] += np.random.default_rng(0).integers(0, 99, (100, 20, 3), np.uint8)
    assert {box[0] for box in region_boxes(picture, [], 99)} == {140.0}
    assert region_boxes(picture[:1, :1], [], 99) == []


def test_the_thinnest_picture_has_views():
    assert frame_views(np.zeros((1, 50, 3), np.uint8), 224).shape == (4, 224, 224, 3)


def test_of_many_regions_those_of_the_highest_contrast_are_taken():
    picture = np.random.default_rng(0).integers(60, 120, (100, 200, 3), np.uint8)
    picture[:, :60] += 90 * (np.arange(60) % 2).astype(np.uint8)[:, None]
    assert {box[0] for box in region_boxes(picture, [], 2)} == {0.0}
    assert region_boxes(picture, [], 0) == []


class TestPlan:
    def test_all_players_first_then_closer_then_the_parts_without_players(self, ramp):
        boxes = [(10, 10, 40, 90), (50, 20, 70, 80)]
        plan = plan_views(ramp, boxes, 64, 7)
        assert plan.views.shape == (7, 64, 64, 3) and plan.num_whole == 1
        np.testing.assert_array_equal(plan.players, [0, 1, 0, 1])
        for view, (player, close) in zip(plan.views[1:5], [(0, 0), (1, 0), (0, 1), (1, 1)]):
            np.testing.assert_array_equal(view, player_views(ramp, boxes[player], 64)[close])
        assert plan.regions_xyxy == region_boxes(ramp, boxes, 2) and len(plan.regions_xyxy) == 2
        for view, (x1, y1, x2, y2) in zip(plan.views[5:], plan.regions_xyxy):
            np.testing.assert_array_equal(view, crop_square(ramp, ((x1 + x2) / 2, (y1 + y2) / 2), x2 - x1, 64))

    def test_where_there_is_no_room_every_player_is_seen_and_the_first_closer(self, ramp):
        boxes = [(10, 10, 40, 90), (50, 20, 70, 80), (90, 20, 120, 80)]
        plan = plan_views(ramp, boxes, 64, 5)
        np.testing.assert_array_equal(plan.players, [0, 1, 2, 0])
        assert len(plan.views) == 5 and plan.regions_xyxy == []

    def test_without_players_there_are_tiles_and_regions(self, ramp):
        plan = plan_views(ramp, [], 64, 12)
        np.testing.assert_array_equal(plan.views[:4], frame_views(ramp, 64))
        assert (plan.num_whole, len(plan.players), len(plan.regions_xyxy)) == (4, 0, 8)

    def test_no_player_is_left_out_for_want_of_room(self, ramp):
        plan = plan_views(ramp, [(10 * i, 10, 10 * i + 30, 90) for i in range(6)], 64, 4)
        np.testing.assert_array_equal(plan.players, np.arange(6))
        assert (len(plan.views), plan.regions_xyxy) == (7, [])


class TestShrinking:
    @pytest.mark.parametrize("height, width, expected", [(1080, 1920, (540, 960)), (2200, 1001, (1100, 500))])
    def test_whole_pixels_are_averaged(self, height, width, expected):
        picture = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
        small = shrink_picture(picture)
        assert small.shape == (*expected, 3) and max(expected) >= MAX_SIDE
        if height % 2 == width % 2 == 0:
            means = picture.reshape(expected[0], 2, expected[1], 2, 3).mean(axis=(1, 3))
            np.testing.assert_allclose(small, means, atol=0.51)

    def test_small_pictures_stay_as_they_are(self, ramp):
        assert shrink_picture(ramp) is ramp
