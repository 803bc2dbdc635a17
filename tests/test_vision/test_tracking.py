"""Tracks of boxes whose identity is known."""

import numpy as np
import pytest

from av_sep.types import Detection
from vision.players import box_overlaps
from vision.tracking import MAX_GAP, PlayerTrack, find_seat, seat_tracks, track_players

LOOKS = np.eye(4) * 0.8


def player(time, left, marker, whole_frame=False, look=None):
    look = (marker, 1 - marker) if look is None else tuple(look)
    return Detection(time, (left, 0.0, left + 40.0, 100.0), "violin", marker, look, 1.0, whole_frame)


def markers(tracks):
    return [[detection.confidence for detection in track.detections] for track in tracks]


def track_of(indices, left, look=LOOKS[0]):
    track = PlayerTrack()
    for index in indices:
        track.add(index, player(index, left, 0.5, look=look))
    return track


def test_two_swaying_players_stay_apart_whatever_the_order_in_a_frame():
    frames = [[player(t, 0 + 3 * t, 0.1), player(t, 60 - 2 * t, 0.2)][:: 1 if t % 2 else -1] for t in range(6)]
    assert sorted(markers(track_players(frames))) == [[0.1] * 6, [0.2] * 6]


def test_a_missed_player_is_found_again_but_not_after_long():
    def frames(gap):
        return [[player(0, 0, 0.1)], *[[] for _ in range(gap)], [player(9, 2, 0.1)]]

    assert len(track_players(frames(2))) == 1
    assert len(track_players(frames(3))) == 2


def test_a_cut_begins_new_tracks_and_each_frame_index_is_kept():
    tracks = track_players([[player(0, 0, 0.1)], [player(1, 0, 0.3)], [player(2, 300, 0.2)]])
    assert markers(tracks) == [[0.1, 0.3], [0.2]]
    assert [track.frame_indices for track in tracks] == [[0, 1], [2]]
    np.testing.assert_allclose(tracks[0].label_confidences(), [0.2, 0.8])


def test_whole_frames_are_nobody():
    assert track_players([[player(0, 0, 0.5, whole_frame=True)]]) == []


@pytest.mark.parametrize("speed", [4, 10, 13])
@pytest.mark.parametrize("same_look", [False, True])
def test_two_players_who_cross_keep_their_tracks(speed, same_look):
    times = range(-120 // speed, 120 // speed + 1)
    looks = LOOKS[0], LOOKS[0 if same_look else 1]
    frames = [[player(t, 200 + speed * t, 0.1, look=looks[0]), player(t, 203 - speed * t, 0.2, look=looks[1])]
              for t in times]  # fmt: skip
    tracks = track_players([frame[:: 1 if i % 2 else -1] for i, frame in enumerate(frames)])
    assert sorted(markers(tracks)) == [[0.1] * len(times), [0.2] * len(times)]


def test_of_two_who_meet_in_one_place_the_look_tells():
    frames = [[player(t, 0, 0.1, look=LOOKS[0]), player(t, 32, 0.2, look=LOOKS[1])] for t in range(4)]
    frames += [[player(t, 16, 0.2, look=LOOKS[1]), player(t, 16, 0.1, look=LOOKS[0])] for t in range(4, 6)]
    assert sorted(markers(track_players(frames))) == [[0.1] * 6, [0.2] * 6]


def test_someone_else_in_half_his_place_is_the_next_shot():
    frames = [[player(t, 0, 0.1, look=LOOKS[0])] for t in range(3)]
    assert len(track_players([*frames, [player(3, 20, 0.1, look=LOOKS[0])]])) == 1
    assert len(track_players([*frames, [player(3, 20, 0.1, look=LOOKS[2])]])) == 2


@pytest.mark.parametrize("seed", range(3))
def test_order_within_a_frame_changes_no_track(seed):
    rng = np.random.default_rng(seed)
    frames = [
        [player(t, x + rng.normal(0, 6), x / 1000, look=rng.dirichlet(np.ones(4))) for x in range(0, 300, 30)]
        for t in range(15)
    ]
    shuffled = [[frame[i] for i in rng.permutation(len(frame))] for frame in frames]
    assert track_players(shuffled) == track_players(frames)


def test_tracks_that_ended_cost_nothing(monkeypatch):
    compared = []

    def spy(boxes, others):
        compared.append(len(boxes))
        return box_overlaps(boxes, others)

    monkeypatch.setattr("vision.tracking.box_overlaps", spy)
    assert len(track_players([[player(t, 100 * t, 0.5)] for t in range(200)])) == 200
    assert max(compared) == MAX_GAP + 1


class TestSeats:
    def test_nobody_is_in_two_places_at_once(self):
        tracks = [track_of(range(0, 10), 0), track_of(range(5, 15), 100), track_of(range(12, 20), 0)]
        seats = seat_tracks(tracks, 2, 20)
        assert [[track.frame_indices[0] for track in seat.tracks] for seat in seats] == [[0, 12], [5]]
        assert all(sum(seat.taken[i] for seat in seats) <= 2 for i in range(20))

    def test_who_finds_no_free_seat_is_left_out(self):
        (seat,) = seat_tracks([track_of(range(10), 0), track_of([4], 100)], 1, 10)
        assert len(seat.tracks) == 1 and seat.taken.all()

    def test_the_place_of_the_wide_shot_is_taken_again(self):
        wide = [track_of(range(0, 6), left) for left in (0, 100, 200)]
        after = [track_of(range(8, 30), left) for left in (205, 95)]
        seats = seat_tracks([*after, *wide], 3, 30)
        assert sorted(
            tuple(sorted(int(track.detections[0].box_xyxy[0]) for track in seat.tracks)) for seat in seats
        ) == [(0,), (95, 100), (200, 205)]

    def test_places_are_those_of_the_wide_shot_however_long_the_close_ups(self):
        wide = [track_of(range(0, 3), 0), track_of(range(0, 3), 100)]
        close = [track_of(range(5, 15), 300), track_of(range(16, 25), 400)]
        again = track_of([28, 29], 102)
        seats = seat_tracks([*close, again, *wide], 2, 30)
        (place,) = [seat for seat in seats if again in seat.tracks]
        assert wide[1] in place.tracks and sum(len(seat.tracks) for seat in seats) == 5

    def test_the_look_decides_where_the_place_cannot(self):
        seats = seat_tracks([track_of(range(5), 0, LOOKS[0]), track_of(range(5), 100, LOOKS[1])], 2, 9)
        for look in LOOKS[:2]:
            seat = find_seat(track_of([7], 300, look), seats)
            np.testing.assert_allclose(seat.label_confidences(), look)
        assert find_seat(track_of([7], 300), seats, min_overlap=0.3) is None
        assert find_seat(track_of([2], 0), seats) is None
