"""Pooling rules worked by hand."""

import dataclasses

import numpy as np
import pytest

from av_sep.errors import ParameterError
from av_sep.instruments import MUSDB_4, URMP_13
from av_sep.types import Detection
from vision.labels import labels_for_all, labels_from_instruments, players_and_labels, pool_detections, seen_players

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
        players, labels = players_and_labels([see(0.0)], threshold=0.0)
        assert labels.label_vector.sum() == 0 and labels.instruments == ()
        assert [player.instrument for player in players] == ["other"]

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


MIDDLE = (55.0, 0.0, 105.0, 100.0)
FAR = (160.0, 0.0, 200.0, 100.0)


def counted(players):
    counts = {}
    for player in players:
        if player.instrument != "other":
            counts[player.instrument] = counts.get(player.instrument, 0) + 1
    return counts


def told(detections, **arguments):
    """(number, instrument) of the players, once it is sure that the labels count the same ones."""
    players, labels = players_and_labels(detections, **arguments)
    assert counted(players) == dict(labels.num_players) and set(labels.num_players) == set(labels.instruments)
    assert players == seen_players(detections, **arguments)
    assert [player.number for player in players] == list(range(1, len(players) + 1))
    return [player.instrument for player in players]


class TestSeenPlayers:
    def test_left_to_right_with_everything_that_is_known_of_each(self):
        frames = [see(t / 2, box, **{name: 0.7}) for t in range(6)
                  for box, name in ((FAR, "cello"), (LEFT, "flute"), (MIDDLE, "horn"))]  # fmt: skip
        frames.append(see(3.0, LEFT, flute=0.1))
        assert told(frames) == ["flute", "horn", "cello"]
        flute, horn, cello = seen_players(frames)
        assert [player.box_xyxy for player in (flute, horn, cello)] == [LEFT, MIDDLE, FAR]
        assert flute.confidence == pytest.approx((6 * 0.7 + 0.1) / 7) and horn.confidence == pytest.approx(0.7)
        assert (flute.first_time_seconds, flute.last_time_seconds, flute.num_video_frames) == (0.0, 3.0, 7)
        assert (cello.last_time_seconds, cello.num_video_frames) == (2.5, 6)
        assert cello.label_confidences[URMP_13.index("cello")] == pytest.approx(0.7)
        assert cello.alternatives == () and cello.joint_confidence == cello.confidence

    @pytest.mark.parametrize("seed", range(5))
    def test_order_of_the_detections_changes_nothing(self, seed):
        rng = np.random.default_rng(seed)
        names = rng.choice(URMP_13.names, 5)
        detections = [
            see(t, (x + rng.normal(), 0.0, x + 30.0, 90.0), **{name: rng.uniform(0.3, 0.9)})
            for t in range(12)
            for x, name in zip(range(0, 200, 40), names)
            if rng.uniform() < 0.8
        ]
        shuffled = [detections[i] for i in rng.permutation(len(detections))]
        assert players_and_labels(shuffled)[0] == players_and_labels(detections)[0]

    def test_a_wrong_instrument_in_every_third_frame_is_outvoted(self):
        assert told([see(t, **{"tuba" if t % 3 == 0 else "flute": 0.8}) for t in range(12)]) == ["flute"]

    @pytest.mark.parametrize("missed", [(5, 6), (4, 5, 6, 7), range(3, 11)])
    def test_a_player_who_was_missed_is_the_same_player(self, missed):
        frames = [see(t, box, violin=0.8) for t in range(14) for box in (LEFT, RIGHT) if box == LEFT or t not in missed]
        assert told(frames) == ["violin", "violin"]
        assert seen_players(frames)[1].num_video_frames == 14 - len(missed)

    def test_close_ups_add_nobody_and_do_not_move_anybody(self):
        wide = [see(t, box, **{name: 0.7}) for t in (*range(5), *range(10, 15))
                for box, name in ((LEFT, "violin"), (RIGHT, "violin"), (FAR, "cello"))]  # fmt: skip
        close_violin = [see(t, (120.0, 0.0, 200.0, 100.0), violin=0.6) for t in range(5, 8)]
        close_cello = [see(t, (0.0, 0.0, 90.0, 100.0), cello=0.6) for t in range(8, 10)]
        assert told(wide + close_violin + close_cello) == ["violin", "violin", "cello"]
        players = seen_players(wide + close_violin + close_cello)
        assert [player.box_xyxy for player in players] == [LEFT, RIGHT, FAR]
        assert sorted(player.num_video_frames for player in players[:2]) == [10, 13]
        assert players[2].num_video_frames == 12

    def test_long_close_ups_do_not_change_who_stands_on_the_left(self):
        wide = [see(t, box, **{name: 0.7}) for t in range(4) for box, name in ((LEFT, "violin"), (RIGHT, "cello"))]
        close_ups = [see(t, FAR, violin=0.7) for t in range(6, 12)] + [see(t, LEFT, cello=0.7) for t in range(14, 20)]
        assert told(wide + close_ups) == ["violin", "cello"]
        assert [player.box_xyxy for player in seen_players(wide + close_ups)] == [LEFT, RIGHT]

    def test_a_close_up_that_changes_the_mind_is_outvoted_over_the_film(self):
        wide = [see(t, box, **confidences) for t in range(8)
                for box, confidences in ((LEFT, {"violin": 0.8}), (RIGHT, {"viola": 0.6, "violin": 0.3}))]  # fmt: skip
        close = [see(t, MIDDLE, viola=0.3, violin=0.5) for t in range(8, 11)]
        assert told(wide + close) == ["violin", "viola"]

    def test_instruments_seen_only_one_after_the_other_are_different_players(self):
        shots = [((0.0, 0.0, 50.0, 100.0), "flute"), ((15.0, 0.0, 65.0, 100.0), "horn"), (LEFT, "tuba")]
        frames = [see(t, shots[t // 5][0], **{shots[t // 5][1]: 0.8}) for t in range(15)]
        assert sorted(told(frames)) == ["flute", "horn", "tuba"]

    def test_a_passer_by_and_a_box_too_many_are_nobody(self):
        frames = [see(t, violin=0.8) for t in range(20)]
        assert told([*frames, see(3, RIGHT, violin=0.8), see(9, RIGHT, tuba=0.9), see(15, RIGHT)]) == ["violin"]

    def test_somebody_who_plays_nothing_we_know_is_other(self):
        frames = [see(t, box, **seen) for t in range(6) for box, seen in ((LEFT, {}), (RIGHT, {"oboe": 0.8}))]
        assert told(frames) == ["other", "oboe"]
        assert seen_players(frames)[0].confidence == 1.0

    def test_an_unclear_stretch_neither_adds_a_player_nor_speaks_against_him(self):
        frames = [see(t, horn=0.8) for t in range(6)] + [see(t, horn=0.1) for t in range(10, 16)]
        frames += [see(t, FRAME, True) for t in range(16)]
        assert told(frames) == ["horn"]
        (horn,) = seen_players(frames)
        assert horn.confidence == pytest.approx(0.8) and horn.num_video_frames == 12

    def test_what_only_whole_frames_show_has_no_place(self):
        frames = [see(t, FRAME, True, flute=0.7) for t in range(4)]
        assert told(frames) == ["flute"]
        (flute,) = seen_players(frames)
        assert flute.whole_frame and flute.box_xyxy == FRAME and flute.confidence == pytest.approx(0.7)

    @pytest.mark.parametrize("seed", range(20))
    def test_players_and_labels_agree_whatever_was_seen(self, seed):
        rng = np.random.default_rng(seed)
        detections = []
        for t in range(rng.integers(1, 20)):
            for _ in range(rng.integers(0, 5)):
                x, width, look = rng.uniform(0, 200), rng.uniform(20, 80), rng.dirichlet(np.full(14, 0.15))[:-1]
                detections.append(see(t, (x, 0.0, x + width, 90.0), rng.uniform() < 0.2, rng.choice([0.0, 0.9]),
                                      **dict(zip(URMP_13.names, look))))  # fmt: skip
        told(detections, threshold=rng.choice([0.0, 0.2, 0.4, 0.7]))

    def test_nothing_seen_is_nobody(self):
        assert told([]) == [] and told([see(t, FRAME, True) for t in range(3)]) == []

    @pytest.mark.parametrize(
        "confidences, instrument, alternatives, joint",
        [
            ({"violin": 0.5, "viola": 0.3}, "violin", ("violin", "viola"), 0.8),
            ({"viola": 0.5, "violin": 0.3, "cello": 0.1}, "viola", ("violin", "viola"), 0.8),
            ({"violin": 0.8, "viola": 0.15}, "violin", (), 0.8),
            ({"violin": 0.5, "flute": 0.4}, "violin", (), 0.5),
            ({"trumpet": 0.25, "horn": 0.2, "tuba": 0.15}, "other", ("trumpet", "horn", "tuba"), 0.6),
            ({"trumpet": 0.15, "horn": 0.1}, "other", (), 0.75),
        ],
    )
    def test_an_unsure_instrument_comes_with_its_rivals(self, confidences, instrument, alternatives, joint):
        (player,) = seen_players([see(t, **confidences) for t in range(4)])
        assert (player.instrument, player.alternatives) == (instrument, alternatives)
        assert player.joint_confidence == pytest.approx(joint)

    @pytest.mark.parametrize("boxes", [(LEFT, RIGHT), (RIGHT, LEFT)])
    def test_listed_lookalikes_are_shared_out_as_they_look(self, boxes):
        looks = {"violin": 0.6, "viola": 0.3}, {"violin": 0.55, "viola": 0.4}
        frames = [see(t, box, **look) for t in range(4) for box, look in zip(boxes, looks)]
        given = dataclasses.replace(see(0, FRAME, True, violin=1.0, viola=1.0), given_players=("violin", "viola"))
        players, _ = players_and_labels([*frames, given])
        assert {player.instrument: player.box_xyxy for player in players} == dict(zip(("violin", "viola"), boxes))

    def test_a_file_of_labels_decides(self):
        frames = [see(t, box, violin=0.6, viola=0.2) for t in range(4) for box in (LEFT, RIGHT)]
        whole = see(0, FRAME, True, violin=0.6, viola=0.2)
        given = dataclasses.replace(whole, given_players=("violin", "viola", "tuba"))
        for threshold in (0.0, 0.4, 1.0):
            players, labels = players_and_labels([*frames, given], threshold=threshold)
            assert labels.instruments == ("violin", "viola", "tuba")
            assert dict(labels.num_players) == {"violin": 1, "viola": 1, "tuba": 1} == counted(players)
            placed = {player.instrument: player.box_xyxy for player in players if not player.whole_frame}
            assert set(placed) == {"violin", "viola"}
        unlike = dataclasses.replace(see(0, FRAME, True, cello=1.0), given_players=("cello",))
        players, labels = players_and_labels([*frames, unlike], threshold=0.0)
        assert labels.instruments == ("cello",)
        assert sorted(player.instrument for player in players) == ["cello", "other", "other"]
        nobody = pool_detections([*frames, dataclasses.replace(whole, given_players=())])
        assert nobody.instruments == () and nobody.num_players == {}
