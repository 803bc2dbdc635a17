"""Crops of a picture whose pixels say where they come from."""

import numpy as np
import pytest

from vision.crops import MAX_SIDE, crop_square, plan_views, player_views, shrink_picture


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


class TestPlan:
    PLAYERS = [(10, 10, 40, 90), (50, 20, 70, 80)]
    THINGS = [(100, 20, 150, 80), (160, 10, 190, 60), (0, 0, 30, 30)]

    @pytest.mark.parametrize(
        "max_views, boxes",
        [
            (99, [0, 1, 0, 1, 2, 3, 4, 2, 3, 4]),  # players, closer, things, closer
            (9, [0, 1, 0, 1, 2, 3, 4, 2]),
            (7, [0, 1, 0, 1, 2, 3]),
            (4, [0, 1, 0]),
            (1, [0, 1]),  # no player is left out for want of room
        ],
    )
    def test_players_first_then_things_as_far_as_there_is_room(self, ramp, max_views, boxes):
        plan = plan_views(ramp, self.PLAYERS, self.THINGS, 64, max_views)
        np.testing.assert_array_equal(plan.boxes, boxes)
        assert plan.views.shape == (1 + len(boxes), 64, 64, 3)

    def test_each_view_shows_its_box_the_second_time_closer(self, ramp):
        plan = plan_views(ramp, self.PLAYERS, self.THINGS, 64, 99)
        for box, coordinates in enumerate(self.PLAYERS + self.THINGS):
            views = plan.views[1:][plan.boxes == box]
            np.testing.assert_array_equal(views, player_views(ramp, coordinates, 64))

    def test_the_first_view_is_the_whole_picture(self, ramp):
        (view,) = plan_views(ramp, [], [], 100, 12).views
        assert (view[:25] == 127).all() and (view[75:] == 127).all()
        means = ramp.reshape(50, 2, 100, 2, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(view[25:75], means, atol=0.51)

    def test_the_thinnest_picture_has_a_view(self):
        assert plan_views(np.zeros((1, 50, 3), np.uint8), [], [], 224, 12).views.shape == (1, 224, 224, 3)


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
