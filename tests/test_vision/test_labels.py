"""Pooling rules worked by hand."""

import numpy as np
import pytest

from av_sep.errors import ParameterError
from av_sep.instruments import MUSDB_4, URMP_13
from av_sep.types import Detection
from vision.labels import labels_for_all, labels_from_instruments, pool_detections

LEFT, RIGHT, FRAME = (0.0, 0.0, 50.0, 100.0), (60.0, 0.0, 110.0, 100.0), (0.0, 0.0, 200.0, 100.0)


def see(time, box=LEFT, whole_frame=False, player_confidence=1.0, **confidences):
    vector = [0.0] * len(URMP_13)
    for name, confidence in confidences.items():
        vector[URMP_13.index(name)] = confidence
    best = int(np.argmax(vector))
    return Detection(time, box, URMP_13.names[best], vector[best], tuple(vector), player_confidence, whole_frame)


def soft(labels, name):
    return float(labels.label_vector[URMP_13.index(name)])


class TestPooling:
    def test_one_undecided_player_is_one_stem_but_stays_soft(self):
        labels = pool_detections([see(t, violin=0.55, viola=0.41) for t in range(5)])
        assert labels.instruments == ("violin",) and labels.num_players == {"violin": 1}
        assert soft(labels, "violin") == pytest.approx(0.55) and soft(labels, "viola") == pytest.approx(0.41)
        assert labels.label_vector.dtype == np.float32 and labels.origin == "detected"

    def test_two_players_of_the_pair_are_two_stems(self):
        labels = pool_detections(
            [see(t, box, **{name: 0.6}) for t in range(5) for box, name in ((LEFT, "violin"), (RIGHT, "viola"))]
        )
        assert labels.instruments == ("violin", "viola") and labels.num_players == {"violin": 1, "viola": 1}

    def test_two_players_of_one_instrument_are_one_stem_and_are_counted(self):
        labels = pool_detections([see(t, box, violin=0.55, viola=0.42) for t in range(5) for box in (LEFT, RIGHT)])
        assert labels.instruments == ("violin",) and labels.num_players == {"violin": 2}

    def test_a_player_who_flickers_is_averaged_over_his_track(self):
        frames = [see(t, violin=0.9, viola=0.1) if t % 3 else see(t, violin=0.2, viola=0.8) for t in range(9)]
        labels = pool_detections(frames)
        assert labels.instruments == ("violin",)
        assert soft(labels, "violin") == pytest.approx((6 * 0.9 + 3 * 0.2) / 9)
        assert soft(labels, "viola") == pytest.approx((6 * 0.1 + 3 * 0.8) / 9)

    def test_the_pair_is_one_stem_when_a_cut_changes_the_mind(self):
        first = [see(t, LEFT, violin=0.7, viola=0.2) for t in range(6)]
        after_cut = [see(t, RIGHT, violin=0.35, viola=0.6) for t in range(6, 12)]
        labels = pool_detections(first + after_cut)
        assert labels.instruments == ("violin",)
        assert soft(labels, "viola") == pytest.approx(0.6)

    def test_the_best_quarter_of_the_frames_decides(self):
        frames = [see(float(t), flute=0.8) if t < 5 else see(float(t), RIGHT, oboe=0.05) for t in range(20)]
        assert soft(pool_detections(frames), "flute") == pytest.approx(0.8)
        assert pool_detections(frames).instruments == ("flute",)

    def test_one_wrong_frame_does_not_make_an_instrument(self):
        frames = [see(t, violin=0.8) for t in range(20)] + [see(10, RIGHT, tuba=0.9)]
        labels = pool_detections(frames)
        assert labels.instruments == ("violin",)
        assert soft(labels, "tuba") == pytest.approx(0.9 / 5)

    def test_one_extra_person_in_one_frame_is_not_counted(self):
        frames = [see(t, violin=0.8) for t in range(9)] + [see(4, RIGHT, violin=0.8)]
        assert pool_detections(frames).num_players == {"violin": 1}

    def test_surer_boxes_count_more_within_a_track(self):
        labels = pool_detections([see(0, player_confidence=0.9, cello=0.8), see(1, player_confidence=0.3, cello=0.4)])
        assert soft(labels, "cello") == pytest.approx((0.9 * 0.8 + 0.3 * 0.4) / 1.2)

    def test_whole_frame_counts_fully_without_players_and_half_with_them(self):
        alone = pool_detections([see(t, FRAME, True, trombone=0.7) for t in range(3)])
        assert alone.instruments == ("trombone",) and alone.num_players == {"trombone": 1}
        assert soft(alone, "trombone") == pytest.approx(0.7)
        beside = [see(t, FRAME, True, trombone=0.7) for t in range(3)] + [see(t, horn=0.6) for t in range(3)]
        labels = pool_detections(beside)
        assert labels.instruments == ("horn",)
        assert soft(labels, "trombone") == pytest.approx(0.35)

    def test_an_instrument_without_a_player_leaves_the_whole_frame_its_weight(self):
        frames = [see(t, FRAME, True, trombone=0.7) for t in range(3)]
        frames += [see(t, player_confidence=0.0, horn=0.9) for t in range(3)]
        labels = pool_detections(frames)
        assert labels.instruments == ("horn", "trombone")
        assert soft(labels, "trombone") == pytest.approx(0.7) and soft(labels, "horn") == pytest.approx(0.9)

    def test_whole_frame_cannot_add_the_twin_of_a_player(self):
        frames = [see(t, FRAME, True, double_bass=0.95) for t in range(3)] + [see(t, cello=0.6) for t in range(3)]
        labels = pool_detections(frames)
        assert labels.instruments == ("cello",)
        assert soft(labels, "double_bass") == pytest.approx(0.475)

    def test_players_of_nothing_we_know_give_nothing(self):
        labels = pool_detections([see(t, violin=0.05, tuba=0.1) for t in range(4)])
        assert labels.instruments == () and labels.num_players == {}
        assert soft(labels, "tuba") == pytest.approx(0.1)

    def test_nothing_seen(self):
        labels = pool_detections([])
        np.testing.assert_array_equal(labels.label_vector, np.zeros(13, np.float32))
        assert labels.instruments == () and labels.origin == "detected"
        assert pool_detections([see(0.0)], threshold=0.0).label_vector.sum() == 0

    def test_order_of_the_detections_is_free(self):
        frames = [see(t, box, violin=0.1 * t, horn=0.9 - 0.1 * t) for t in range(7) for box in (LEFT, RIGHT)]
        forward, backward = pool_detections(frames), pool_detections(frames[::-1])
        np.testing.assert_array_equal(forward.label_vector, backward.label_vector)

    def test_threshold_decides_stems_only(self):
        frames = [see(t, bassoon=0.3) for t in range(3)]
        assert pool_detections(frames, threshold=0.25).instruments == ("bassoon",)
        assert pool_detections(frames, threshold=0.35).instruments == ()
        assert soft(pool_detections(frames, threshold=0.35), "bassoon") == pytest.approx(0.3)

    def test_mistakes_are_named(self):
        with pytest.raises(ParameterError, match=r"threshold in \[0, 1\]. Received: 1.5"):
            pool_detections([], threshold=1.5)
        with pytest.raises(ParameterError, match="each of the 4 instruments. Received: 13"):
            pool_detections([see(0, violin=1.0)], MUSDB_4)


class TestGivenLabels:
    def test_spellings_order_and_repeats(self):
        labels = labels_from_instruments(["tuba", "vn", "French Horn", "vn"])
        assert labels.instruments == ("violin", "horn", "tuba") and labels.origin == "given"
        assert [i for i, value in enumerate(labels.label_vector) if value == 1.0] == [0, 10, 12]
        assert labels.label_vector.sum() == 3.0 and labels.label_vector.dtype == np.float32

    def test_unknown_and_none(self):
        with pytest.raises(ParameterError, match="Did you mean 'violin'"):
            labels_from_instruments(["violn"])
        with pytest.raises(ParameterError, match="at least one instrument"):
            labels_from_instruments([])

    def test_all(self):
        labels = labels_for_all(MUSDB_4)
        assert labels.instruments == MUSDB_4.names and labels.origin == "all"
        np.testing.assert_array_equal(labels.label_vector, np.ones(4, np.float32))
