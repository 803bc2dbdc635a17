"""Tracks of boxes whose identity is known."""

import numpy as np

from av_sep.types import Detection
from vision.tracking import track_players


def player(time, left, marker, whole_frame=False):
    return Detection(time, (left, 0.0, left + 40.0, 100.0), "violin", marker, (marker, 1 - marker), 1.0, whole_frame)


def markers(tracks):
    return [[detection.confidence for detection in track.detections] for track in tracks]


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
