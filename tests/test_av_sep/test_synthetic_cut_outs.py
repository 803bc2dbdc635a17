"""Layers, and players cut out of photographs, compared with figures that the tests have drawn."""

import struct

import cv2
import numpy as np
import pytest

from av_sep.datasets.synthetic.cut_outs import cut_out, player_opacity
from av_sep.datasets.synthetic.layers import lay_over, leaning, lit, premultiplied, trimmed, visible_box
from av_sep.errors import MediaError

HEIGHT, WIDTH = 240, 180
FIGURE_COLOUR = (30, 60, 200)


def figure_mask():
    """A head on a body, which reaches the lower edge as in most photographs."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(mask, (90, 60), 30, 255, -1)
    cv2.ellipse(mask, (90, 190), (50, 100), 0, 0, 360, 255, -1)
    return mask


def photograph(ground):
    """The figure before a ground, uint8 RGB `[height, width, 3]`."""
    rng = np.random.default_rng(0)
    shades = np.array(FIGURE_COLOUR) + rng.integers(-12, 13, (HEIGHT, WIDTH, 1))
    return np.where(figure_mask()[..., None] > 0, shades, ground).clip(0, 255).astype(np.uint8)


def wallpaper():
    """A ground of warm colours, anything but even."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    checks = 60 * ((x // 12 + y // 12) % 2)
    return np.dstack([190 - checks, 150 - checks, 60 + 0 * x])


def overlap(opacity, mask):
    """Intersection over union of two masks."""
    a, b = opacity >= 128, mask >= 128
    return np.sum(a & b) / np.sum(a | b)


def save(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    order = [2, 1, 0, 3][: picture.shape[2]]
    assert cv2.imwrite(str(path), picture[..., order])
    return path


# Layers


def test_laying_over_is_the_weighted_mean_and_cuts_off_what_hangs_over():
    layer = premultiplied(np.full((4, 4, 3), 200, np.uint8), np.full((4, 4), 51, np.uint8))
    picture = np.full((6, 6, 3), 100, np.uint8)
    lay_over(picture, layer, -2, 4)
    expected = np.full((6, 6, 3), 100)
    expected[4:, :2] = 0.2 * 200 + 0.8 * 100
    np.testing.assert_allclose(picture, expected, atol=1)
    lay_over(picture, layer, 6, 0)
    np.testing.assert_allclose(picture, expected, atol=1)


def test_light_changes_colours_and_not_the_opacity():
    layer = premultiplied(np.full((2, 2, 3), 100, np.uint8), np.full((2, 2), 128, np.uint8))
    bright = lit(layer, np.array([0.5, 1.0, 9.0]))
    np.testing.assert_array_equal(bright[..., 3], layer[..., 3])
    np.testing.assert_allclose(bright[0, 0, :3], [25, 50, 128], atol=1)


def test_a_leaning_layer_keeps_its_feet_and_moves_its_head():
    layer = np.zeros((100, 20, 4), np.uint8)
    layer[:, 5:15] = 255
    leant = leaning(layer, 8.0, 10)
    assert leant.shape == (100, 40, 4)
    assert np.flatnonzero(leant[0, :, 3] > 128)[0] == pytest.approx(10 + 5 + 8, abs=1)
    assert np.flatnonzero(leant[-1, :, 3] > 128)[0] == pytest.approx(10 + 5, abs=1)


def test_trimmed_layers_keep_what_any_of_them_shows():
    a, b = np.zeros((2, 30, 40, 4), np.uint8)
    a[5:8, 10:12], b[20:25, 30:33] = 255, 255
    trimmed_a, trimmed_b = trimmed([a, b])
    assert trimmed_a.shape == trimmed_b.shape == (20, 23, 4)
    assert visible_box(trimmed_a) == (0, 0, 2, 3) and visible_box(trimmed_b) == (20, 15, 23, 20)
    assert visible_box(np.zeros((3, 3, 4), np.uint8)) is None


# Cut-outs


def test_a_picture_with_transparency_is_taken_as_it_is(tmp_path):
    picture = np.dstack([photograph(wallpaper()), figure_mask()])
    layer = cut_out(save(tmp_path / "a.png", picture))
    rows, columns = np.flatnonzero(figure_mask().any(axis=1)), np.flatnonzero(figure_mask().any(axis=0))
    inside = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    np.testing.assert_array_equal(layer[..., 3], inside[..., 3])
    np.testing.assert_array_equal(layer[..., :3], np.where(inside[..., 3:] > 0, inside[..., :3], 0))


@pytest.mark.parametrize("ground", [(255, 255, 255), (8, 8, 8), (90, 120, 90)])
def test_an_even_ground_is_taken_away(ground):
    mask = figure_mask()
    mask[-30:] = 0
    picture = np.where(mask[..., None] > 0, photograph(ground), np.array(ground, np.uint8))
    assert overlap(player_opacity(picture), mask) > 0.95


def test_a_figure_is_found_before_a_wallpaper():
    opacity = player_opacity(photograph(wallpaper()))
    assert opacity.shape == (HEIGHT, WIDTH)
    assert overlap(opacity, figure_mask()) > 0.9


def test_crumbs_are_left_behind():
    picture = photograph(wallpaper())
    picture[20:29, 140:149] = FIGURE_COLOUR
    opacity = player_opacity(picture)
    assert overlap(opacity, figure_mask()) > 0.9 and not opacity[15:35, 135:155].any()


def test_where_no_figure_is_found_the_photograph_is_hung_up_with_soft_edges():
    opacity = player_opacity(np.full((100, 200, 3), 120, np.uint8))
    assert (opacity[10:90, 10:190] == 255).all()
    assert (np.diff(opacity[50, :6].astype(int)) >= 0).all() and 0 < opacity[50, 0] < 128


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 480, 3), (480, 2, 3), (7, 7, 3)])
def test_tiny_photographs_are_hung_up(shape):
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    opacity = player_opacity(picture)
    assert opacity.shape == shape[:2] and opacity.max() == 255


def test_cut_outs_do_not_depend_on_threads_or_on_what_was_cut_out_before():
    # Clouds make it a photograph on which GrabCut's chance matters.
    clouds = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (HEIGHT, WIDTH, 3)), (0, 0), 10) * 10
    picture = np.clip(photograph(wallpaper()) + 500 * clouds, 0, 255).astype(np.uint8)
    threads, results = cv2.getNumThreads(), []
    try:
        for count in (1, 2, 4):
            cv2.setNumThreads(count)
            cv2.setRNGSeed(count)
            results.append(player_opacity(picture))
    finally:
        cv2.setNumThreads(threads)
    assert 0.06 < np.mean(results[0] > 128) < 0.85
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "webp", "png"])
def test_formats_and_grey_and_large_pictures(tmp_path, suffix):
    large = cv2.resize(photograph(wallpaper()), (900, 1200))
    layer = cut_out(save(tmp_path / f"large.{suffix}", large))
    assert max(layer.shape[:2]) <= 480 and layer.shape[2] == 4
    assert cv2.imwrite(str(tmp_path / f"grey.{suffix}"), cv2.cvtColor(large, cv2.COLOR_RGB2GRAY))
    grey = cut_out(tmp_path / f"grey.{suffix}")[..., :3].astype(int)
    assert np.abs(grey[..., 0] - grey[..., 1]).max() <= 2


def test_a_photograph_taken_sideways_stands_upright(tmp_path):
    upright = photograph((255, 255, 255))
    path = save(tmp_path / "sideways.jpg", np.rot90(upright))
    # EXIF 2.32, 4.6.4: tag 0x112, orientation, with the value 6, to be turned clockwise by a quarter.
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x112, 3, 1, 6, 0, 0)
    data = path.read_bytes()
    path.write_bytes(data[:2] + struct.pack(">HH", 0xFFE1, 2 + len(exif)) + exif + data[2:])
    expected = cut_out(save(tmp_path / "upright.jpg", upright))
    layer = cut_out(path)
    assert np.abs(np.subtract(layer.shape, expected.shape)).max() <= 4 and layer.shape[0] > 1.5 * layer.shape[1]
    assert overlap(cv2.resize(layer[..., 3], expected.shape[1::-1]), expected[..., 3]) > 0.95


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n and then nothing"])
def test_what_is_no_picture_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(MediaError, match="broken.png") as caught:
        cut_out(path)
    assert "\n" not in str(caught.value)


def test_a_missing_and_a_transparent_picture_are_named(tmp_path):
    with pytest.raises(MediaError, match="No such file.*missing.jpg"):
        cut_out(tmp_path / "missing.jpg")
    with pytest.raises(MediaError, match="all transparent.*clear.png"):
        cut_out(save(tmp_path / "clear.png", np.zeros((20, 20, 4), np.uint8)))
