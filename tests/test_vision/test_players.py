"""Letterbox geometry, overlaps and suppression by hand; the shipped person network on a real portrait."""

import cv2
import numpy as np
import pytest

from av_sep.datasets.synthetic.backdrops import draw_backdrop
from av_sep.datasets.synthetic.drawn_players import draw_player
from av_sep.datasets.synthetic.layers import lay_over, resized
from av_sep.errors import ParameterError
from vision.players import PlayerDetector, box_overlaps, letterbox, shared_areas, suppress_overlaps


def make_network(*rows):
    """A network that answers the same rows (x1, y1, x2, y2, score, class in network pixels) for any picture."""
    return lambda images: np.array([rows], np.float32).reshape(1, -1, 6)


class TestLetterbox:
    @pytest.mark.parametrize(
        "height, width", [(360, 640), (1920, 1080), (512, 512), (7, 3), (1, 1), (33, 999), (1, 700)]
    )
    def test_the_place_of_the_picture_in_the_square_is_the_whole_picture(self, height, width):
        square, placement = letterbox(np.full((height, width, 3), 200, np.uint8))
        rows, columns = np.nonzero(square[..., 0] == 200)
        place = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])
        np.testing.assert_allclose(placement.to_picture(place), [[0, 0, width, height]], atol=1e-9)
        middle = place.reshape(2, 2).mean(axis=0)
        np.testing.assert_allclose(placement.to_picture([[*middle, *middle]])[0, :2], [width / 2, height / 2])

    def test_wide_picture_by_hand(self):
        picture = np.full((100, 400, 3), 200, np.uint8)
        square, placement = letterbox(picture, 512)
        # 400 pixels become 512, 100 become 128, and 192 rows of grey lie above and below.
        np.testing.assert_array_equal(placement.to_picture([[0, 192, 512, 320], [128, 256, 256, 288]]),
                                      [[0, 0, 400, 100], [100, 50, 200, 75]])
        assert (square[192:320] == 200).all() and (square[:192] == 127).all() and (square[320:] == 127).all()

    def test_a_mark_lands_where_the_geometry_says(self):
        picture = np.zeros((300, 200, 3), np.uint8)
        picture[210:240, 20:60] = 255
        square, placement = letterbox(picture, 512)
        rows, columns = np.nonzero(square[..., 0] > 200)
        found = placement.to_picture([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])
        np.testing.assert_allclose(found, [[20, 210, 60, 240]], atol=1)

    def test_boxes_are_cut_at_the_picture(self):
        _, placement = letterbox(np.zeros((100, 400, 3), np.uint8))
        np.testing.assert_allclose(placement.to_picture([[-50, 0, 600, 512]]), [[0, 0, 400, 100]])

    @pytest.mark.parametrize("picture", [np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
    def test_other_arrays_are_refused(self, picture):
        with pytest.raises(ParameterError, match=r"Expected a picture as a uint8 RGB array.*Received: .*shape"):
            letterbox(picture)


class TestOverlaps:
    def test_shared_areas_by_hand(self):
        shared = shared_areas([[0, 0, 10, 10], [5, 5, 5, 5]], [[0, 0, 10, 10], [5, -2, 15, 4], [20, 20, 30, 30]])
        np.testing.assert_array_equal(shared, [[100, 20, 0], [0, 0, 0]])

    def test_by_hand(self):
        boxes = [[0, 0, 10, 10], [5, 5, 5, 5]]
        others = [[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]]
        np.testing.assert_allclose(box_overlaps(boxes, others), [[1, 1 / 3, 0], [0, 0, 0]])

    def test_suppression_keeps_the_surest_of_a_crowd_and_its_far_neighbour(self):
        boxes = np.array([[1, 0, 11, 10], [0, 0, 10, 10], [100, 0, 110, 10]], float)
        np.testing.assert_array_equal(suppress_overlaps(boxes, np.array([0.6, 0.9, 0.3]), 0.5), [1, 2])
        np.testing.assert_array_equal(suppress_overlaps(boxes, np.array([0.6, 0.9, 0.3]), 0.9), [1, 0, 2])

    def test_nothing_in_nothing_out(self):
        assert suppress_overlaps(np.zeros((0, 4)), np.zeros(0), 0.5).size == 0


class TestPlayerDetector:
    def test_keeps_sure_persons_in_picture_pixels_left_to_right(self):
        network = make_network(
            (300, 200, 400, 312, 0.9, 0),  # the surest, to the right
            (310, 200, 405, 312, 0.5, 0),  # the same person again
            (100, 192, 200, 320, 0.4, 0),
            (0, 192, 90, 320, 0.95, 56),  # a chair
            (410, 200, 500, 312, 0.1, 0),  # too unsure
            (500, 192, 505, 195, 0.8, 0),  # too small
        )
        players = PlayerDetector(network).detect(np.zeros((100, 400, 3), np.uint8))
        scale = 400 / 512
        np.testing.assert_allclose(players[0].box_xyxy, (100 * scale, 0, 200 * scale, 100))
        np.testing.assert_allclose(players[1].box_xyxy, (300 * scale, 8 * scale, 400 * scale, 120 * scale))
        assert [player.confidence for player in players] == pytest.approx([0.4, 0.9])

    def test_things_are_faint_boxes_of_any_kind_that_are_no_players(self):
        network = make_network(
            (0, 192, 100, 320, 0.9, 0),  # a player
            (10, 200, 60, 300, 0.5, 27),  # in his hands
            (70, 192, 140, 320, 0.5, 27),  # sticks out of his box
            (90, 192, 200, 320, 0.15, 56),  # a chair beside him
            (300, 200, 350, 312, 0.2, 0),  # a person too faint for one
            (302, 200, 352, 312, 0.12, 43),  # the same place, called something else
            (400, 200, 450, 312, 0.05, 56),  # too unsure
            (400, 200, 409, 312, 0.5, 56),  # too narrow: 7 pixels of 100
            (10, 192, 512, 320, 0.5, 56),  # the whole stage
        )
        scene = PlayerDetector(network).look(np.zeros((100, 400, 3), np.uint8))
        scale = 400 / 512
        assert [player.confidence for player in scene.players] == pytest.approx([0.9])
        np.testing.assert_allclose(
            scene.things_xyxy, [(300 * scale, 8 * scale, 350 * scale, 120 * scale), (90 * scale, 0, 200 * scale, 100)]
        )

    def test_what_stands_before_a_players_legs_is_his(self):
        network = make_network(
            (100, 100, 200, 250, 0.9, 0),  # a player, boxed to his knees
            (110, 245, 190, 325, 0.2, 56),  # a cello's body below
            (110, 330, 190, 410, 0.2, 56),  # further down than his legs reach
            (210, 245, 290, 325, 0.2, 56),  # as far down, but beside him
        )
        scene = PlayerDetector(network).look(np.zeros((512, 512, 3), np.uint8))
        assert sorted(scene.things_xyxy) == [(110, 330, 190, 410), (210, 245, 290, 325)]

    def test_nothing_in_sight(self):
        scene = PlayerDetector(make_network()).look(np.zeros((100, 400, 3), np.uint8))
        assert (scene.players, scene.things_xyxy) == ([], [])

    def test_threshold_outside_its_range_is_refused(self):
        with pytest.raises(ParameterError, match="Received: min_confidence=3"):
            PlayerDetector(min_confidence=3)
        with pytest.raises(ParameterError, match="Received: min_thing_confidence=-1"):
            PlayerDetector(min_thing_confidence=-1)

    def test_finds_the_one_person_of_a_portrait(self, portrait, person_network):
        players = PlayerDetector(person_network).detect(portrait)
        height, width = portrait.shape[:2]
        assert len(players) == 1 and players[0].confidence > 0.5
        x1, y1, x2, y2 = players[0].box_xyxy
        assert x1 < 0.3 * width < 0.7 * width < x2 and y1 < 0.2 * height and y2 > 0.9 * height

    @pytest.mark.parametrize("left, top", [(30, 20), (620, 60), (333, 95)])
    def test_the_box_moves_with_the_person(self, portrait, person_network, left, top):
        small = cv2.resize(portrait, (256, 300), interpolation=cv2.INTER_AREA)
        stage = np.full((405, 901, 3), 90, np.uint8)
        stage[top : top + 300, left : left + 256] = small
        players = PlayerDetector(person_network).detect(stage)
        assert len(players) == 1
        x1, y1, x2, y2 = players[0].box_xyxy
        assert (x1 + x2) / 2 == pytest.approx(left + 128, abs=25)
        assert y1 == pytest.approx(top, abs=30) and y2 == pytest.approx(top + 300, abs=30)

    @pytest.mark.parametrize("instrument", ["violin", "cello", "flute", "tuba"])
    def test_who_is_drawn_on_a_stage_is_boxed_as_a_player_or_a_thing(self, person_network, instrument):
        rng = np.random.default_rng(3)
        layer = draw_player(instrument, rng).strokes[0]
        layer = resized(layer, 220 / layer.shape[0])
        stage = draw_backdrop(640, 360, rng)
        lay_over(stage, layer, 260, 120)
        painted = np.array([[260, 120, 260 + layer.shape[1], 120 + layer.shape[0]]])
        scene = PlayerDetector(person_network).look(stage)
        boxes = [player.box_xyxy for player in scene.players] + scene.things_xyxy
        assert box_overlaps(painted, np.array(boxes)).max() > 0.5

    def test_no_person_in_noise_or_in_tiny_pictures(self, person_network):
        noise = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
        detector = PlayerDetector(person_network)
        assert detector.detect(noise) == []
        assert detector.detect(noise[:1, :1]) == []
        assert detector.detect(noise[:3, :150]) == []
