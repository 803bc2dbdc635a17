"""The shipped detector: its bookkeeping with known parts, its eyes on real pictures."""

import cv2
import numpy as np
import pytest

from av_sep.errors import ParameterError
from av_sep.instruments import MUSDB_4, URMP_13, Taxonomy
from av_sep.types import VideoFrame
from vision.embedded_detector import MAX_PLAYERS, MAX_VIEWS, EmbeddedDetector
from vision.labels import pool_detections
from vision.players import PlayerBox, PlayerDetector, Scene

SQUARE = np.zeros((100, 100, 3), np.uint8)


class KnownScene:
    """Finds the same players and things in every picture."""

    def __init__(self, *players, things=()):
        self.scene = Scene(list(players), list(things))

    def look(self, picture):
        return self.scene


class RednessClassifier:
    """Calls red views horn, green ones oboe and all else `other`, by their mean colour."""

    instruments = ("oboe", "horn")

    def classify(self, views):
        means = views.reshape(len(views), -1, 3).mean(axis=1) / 255
        probabilities = np.stack([means[:, 1], means[:, 0], 1 - means[:, 0] - means[:, 1]], axis=1)
        return probabilities.astype(np.float32)


def detect_in(picture, *players, things=(), taxonomy=URMP_13):
    detector = EmbeddedDetector(taxonomy, KnownScene(*players, things=things), RednessClassifier())
    return detector.detect_frame(VideoFrame(2.5, picture))


class TestBookkeeping:
    def test_each_player_gets_the_instrument_in_his_box(self):
        picture = np.zeros((100, 100, 3), np.uint8)
        picture[:, :50, 0] = 255
        picture[:, 50:, 1] = 204
        left, right = PlayerBox((10, 20, 40, 50), 0.5), PlayerBox((60, 20, 90, 50), 0.75)
        horn, oboe, whole = detect_in(picture, left, right)
        assert (horn.instrument, oboe.instrument) == ("horn", "oboe")
        assert horn.confidence == pytest.approx(1.0, abs=0.01) and oboe.confidence == pytest.approx(0.8, abs=0.01)
        assert oboe.label_confidences[URMP_13.index("oboe")] == pytest.approx(0.8, abs=0.01)
        assert len(oboe.label_confidences) == 13 and sum(oboe.label_confidences) == pytest.approx(0.8, abs=0.01)
        assert (horn.box_xyxy, oboe.box_xyxy) == (left.box_xyxy, right.box_xyxy)
        assert (horn.player_confidence, oboe.player_confidence, horn.time_seconds) == (0.5, 0.75, 2.5)
        assert whole.whole_frame and whole.box_xyxy == (0, 0, 100, 100) and not horn.whole_frame

    def test_lookalikes_share_their_confidence(self):
        class Undecided(RednessClassifier):
            instruments = ("violin", "viola")

        picture = SQUARE + np.array([51, 153, 0], np.uint8)
        (whole,) = EmbeddedDetector(URMP_13, KnownScene(), Undecided()).detect_frame(VideoFrame(0.0, picture))
        violin, viola = whole.label_confidences[:2]
        # The viola is a third as likely; a violin has 1.5 times its odds to begin with.
        assert (violin, viola) == pytest.approx((0.6, 0.8 / (1 + 1.5 * 3**0.3))) and violin + viola > 0.8
        assert (whole.instrument, whole.confidence) == ("violin", violin)

    def test_other_has_a_name_but_no_label(self):
        player, whole = detect_in(SQUARE, PlayerBox((0, 0, 50, 50), 0.9))
        assert player.instrument == whole.instrument == "other"
        assert player.confidence == pytest.approx(1.0) and max(player.label_confidences) == 0.0

    def test_an_instrument_that_nobody_holds_is_found_beside_a_player(self):
        picture = np.zeros((100, 200, 3), np.uint8)
        picture[:, 105:, 0] = 230  # a horn
        picture[:, :60, 1] = 230  # an oboe
        things = [(140, 10, 190, 90), (70, 20, 120, 80)]
        player, horn, whole = detect_in(picture, PlayerBox((0, 0, 50, 100), 0.9), things=things)
        assert (player.instrument, horn.instrument) == ("oboe", "horn")
        assert horn.box_xyxy == things[0] and horn.confidence == pytest.approx(0.9, abs=0.01)
        assert horn.player_confidence == 0.0 and not horn.whole_frame and whole.whole_frame

    @pytest.mark.parametrize("redness, found", [(120, []), (140, ["horn"])])
    def test_what_nobody_holds_must_be_an_instrument_more_likely_than_not(self, redness, found):
        picture = SQUARE + np.array([redness, 0, 0], np.uint8)
        *alone, _ = detect_in(picture, things=[(10, 10, 60, 60)])
        assert [detection.instrument for detection in alone] == found

    def test_parts_of_one_instrument_are_one_and_the_surest_is_it(self):
        picture = np.zeros((100, 200, 3), np.uint8)
        picture[:, :100, 0], picture[:, 100:, 0] = 180, 240
        horn, _ = detect_in(picture, things=[(20, 20, 70, 70), (130, 20, 180, 70)])
        assert horn.box_xyxy == (130, 20, 180, 70)

    @pytest.mark.parametrize("redness, num_horns", [(100, 1), (250, 0)])
    def test_the_same_instrument_beside_its_player_is_his_if_he_is_surely_one(self, redness, num_horns):
        picture = np.zeros((100, 200, 3), np.uint8)
        picture[:, :100, 0], picture[:, 100:, 0] = redness, 250
        *detections, _ = detect_in(picture, PlayerBox((30, 20, 60, 80), 0.9), things=[(130, 20, 180, 70)])
        assert [detection.player_confidence for detection in detections] == [0.9] + num_horns * [0.0]

    def test_a_smaller_taxonomy_is_reported_in_its_order_and_the_rest_is_other(self):
        pair = Taxonomy("pair", (URMP_13.instruments[10], URMP_13.instruments[0]))
        picture = SQUARE + np.array([102, 153, 0], np.uint8)
        (whole,) = detect_in(picture, taxonomy=pair)
        assert whole.label_confidences == pytest.approx((0.4, 0.0)) and whole.instrument == "other"
        assert whole.confidence == pytest.approx(0.6)

    def test_a_taxonomy_it_cannot_see_is_refused(self):
        with pytest.raises(ParameterError, match=r"at least one of oboe, horn.*Received: musdb4"):
            EmbeddedDetector(MUSDB_4, KnownScene(), RednessClassifier())

    @pytest.mark.parametrize(
        "num_players, num_things, num_views", [(0, 0, 1), (1, 0, 3), (0, 4, 9), (2, 9, 12), (7, 9, 12), (30, 30, 12)]
    )
    def test_a_frame_costs_twelve_views_at_most_in_one_batch(self, num_players, num_things, num_views, monkeypatch):
        batches = []
        classify = RednessClassifier.classify
        monkeypatch.setattr(
            RednessClassifier, "classify", lambda self, views: batches.append(len(views)) or classify(self, views)
        )
        crowd = [PlayerBox((float(i), 0.0, i + 10.0 + i, 50.0), 0.5) for i in range(num_players)]
        things = [(0.0, float(i), 50.0, i + 50.0) for i in range(num_things)]
        detections = detect_in(np.zeros((100, 220, 3), np.uint8), *crowd, things=things)
        seen = [detection.box_xyxy[0] for detection in detections if detection.player_confidence == 0.5]
        assert seen == list(range(num_players))[-MAX_PLAYERS:]  # the largest of a crowd
        assert batches == [num_views] and num_views <= MAX_VIEWS

    def test_boxes_in_a_large_picture_are_in_its_own_pixels(self):
        picture = np.zeros((1000, 4001, 3), np.uint8)
        picture[:, 2000:, 0] = 255
        horn, whole = detect_in(picture, PlayerBox((800.0, 100.0, 900.0, 250.0), 0.9))  # as seen in 1000 x 250 pixels
        assert horn.instrument == "horn" and whole.box_xyxy == pytest.approx((0, 0, 4001, 1000))
        assert horn.box_xyxy == pytest.approx((800 * 4.001, 400, 900 * 4.001, 1000))

    def test_frames_stream_one_by_one(self):
        taken = []

        def frames():
            for time in range(3):
                taken.append(time)
                yield VideoFrame(float(time), SQUARE)

        detector = EmbeddedDetector(URMP_13, KnownScene(), RednessClassifier())
        stream = detector.iter_detections(frames())
        frame, detections = next(stream)
        assert taken == [0] and frame.time_seconds == 0.0 and len(detections) == 1
        assert [detection.time_seconds for detection in detector.detect(frames())] == [0.0, 1.0, 2.0]


@pytest.fixture(scope="module")
def detector(person_network, classifier):
    return EmbeddedDetector(player_detector=PlayerDetector(person_network), classifier=classifier)


def label_clip(detector, path):
    """Labels of a clip from one frame a second."""
    capture = cv2.VideoCapture(str(path))
    fps, frames, index = capture.get(cv2.CAP_PROP_FPS), [], 0
    while capture.grab():
        if index >= len(frames) * fps:
            picture = capture.retrieve()[1]
            frames.append(VideoFrame(len(frames), np.ascontiguousarray(picture[..., ::-1])))
        index += 1
    return pool_detections(detector.detect(frames))


class TestEyes:
    def test_a_person_without_an_instrument_plays_none(self, detector, portrait):
        detections = detector.detect([VideoFrame(0.0, portrait)])
        assert len(detections) == 2
        assert pool_detections(detections).instruments == ()

    def test_noise_and_tiny_pictures_show_nothing(self, detector):
        noise = np.random.default_rng(1).integers(0, 255, (120, 90, 3), np.uint8)
        for picture in (noise, noise[:1, :1], noise[:2, :50]):
            assert pool_detections(detector.detect([VideoFrame(0.0, np.ascontiguousarray(picture))])).instruments == ()

    @pytest.mark.shared_data
    @pytest.mark.parametrize(
        "clip, expected",
        # The last: nobody can tell from hands on strings, and what is not taken must stay near.
        [("violin", [("violin",)]), ("harp", [()]), ("double_bass", [("cello",), ("double_bass",)])],
    )
    def test_real_clips(self, detector, shared_data, clip, expected):
        labels = label_clip(detector, shared_data / "video" / f"{clip}_solo.mp4")
        assert labels.instruments in expected
        assert clip == "harp" or labels.label_vector[URMP_13.index(clip)] > 0.5
