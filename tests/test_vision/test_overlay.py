"""Where the ink goes."""

import numpy as np
import pytest

from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13
from av_sep.types import Detection
from vision.overlay import contact_sheet, draw_detections, instrument_color

VECTOR = (1.0,) + (0.0,) * 12


def test_the_box_has_its_color_and_the_given_picture_is_untouched():
    picture = np.zeros((200, 300, 3), np.uint8)
    drawn = draw_detections(picture, [Detection(0.0, (50.0, 60.0, 150.0, 160.0), "violin", 0.9, VECTOR)])
    assert not picture.any()
    for y, x in ((110, 50), (110, 150), (160, 100)):
        assert tuple(drawn[y, x]) == instrument_color("violin")
    assert not drawn[70:150, 60:140].any() and not drawn[170:].any() and not drawn[:, 170:].any()


def test_a_caption_at_the_edge_stays_inside():
    picture = np.zeros((120, 400, 3), np.uint8)
    drawn = draw_detections(picture, [Detection(0.0, (390.0, 0.0, 400.0, 120.0), "double_bass", 0.9, VECTOR)])
    assert (drawn[:12, 200:380].reshape(-1, 3) == instrument_color("double_bass")).all(axis=1).any()


def test_a_whole_frame_is_a_caption_and_no_box():
    picture = np.zeros((200, 300, 3), np.uint8)
    whole = Detection(0.0, (0.0, 0.0, 300.0, 200.0), "tuba", 0.5, VECTOR, whole_frame=True)
    drawn = draw_detections(picture, [whole])
    assert drawn[180:, :40].any() and not drawn[:170].any()


def test_tiny_pictures_can_be_drawn_on():
    one = Detection(0.0, (0.0, 0.0, 2.0, 2.0), "tuba", 0.5, VECTOR)
    assert draw_detections(np.zeros((2, 2, 3), np.uint8), [one]).shape == (2, 2, 3)


def test_every_instrument_has_a_color_of_its_own():
    assert len({instrument_color(name) for name in (*URMP_13.names, "other")}) == 14


def test_sheet_places_pictures_row_by_row():
    pictures = [np.full((50, 100, 3), value, np.uint8) for value in (10, 20, 30)] + [np.full((90, 30, 3), 40, np.uint8)]
    sheet = contact_sheet(pictures, num_columns=3, cell_width=100)
    assert sheet.shape == (100, 300, 3)
    assert (sheet[:50, :100] == 10).all() and (sheet[:50, 100:200] == 20).all() and (sheet[:50, 200:] == 30).all()
    assert (sheet[50:, 45:55] == 40).all() and (sheet[50:, :40] == 24).all() and (sheet[50:, 100:] == 24).all()


def test_an_empty_sheet_is_refused():
    with pytest.raises(ParameterError, match="Received: 0 pictures"):
        contact_sheet([])


def test_captions_can_be_given():
    one = Detection(0.0, (50.0, 60.0, 150.0, 160.0), "violin", 0.9, VECTOR)
    picture = np.zeros((200, 300, 3), np.uint8)
    usual = draw_detections(picture, [one])
    np.testing.assert_array_equal(draw_detections(picture, [one], ["violin 0.90"]), usual)
    longer = draw_detections(picture, iter([one]), ["1 violin or viola 0.95"])
    assert (longer[45:60, 160:230] != usual[45:60, 160:230]).any()
    np.testing.assert_array_equal(longer[62:], usual[62:])
    with pytest.raises(ValueError, match="shorter"):
        draw_detections(picture, [one], [])
