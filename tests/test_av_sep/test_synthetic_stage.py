"""What a film is put together from: how players move, where they stand, what is behind them."""

import itertools

import numpy as np
import pytest

from av_sep.datasets.melodies import Note
from av_sep.datasets.synthetic.backdrops import draw_backdrop, draw_shadow
from av_sep.datasets.synthetic.motion import motion
from av_sep.datasets.synthetic.places import place_players
from av_sep.errors import ParameterError

# Motion


def test_bows_change_direction_with_each_note():
    onsets = [0.5, 1.0, 1.5, 2.0]
    moves = motion([Note(onset, 0.5, 60, 0.0, True) for onset in onsets], 400, 100.0)
    strokes = [moves.stroke[round(onset * 100)] for onset in onsets[1:]]
    assert np.sign(strokes).tolist() == [-1, 1, -1]
    for start, end in itertools.pairwise([100, 150, 200]):
        steps = np.diff(moves.stroke[start : end + 1])
        assert (steps >= -1e-9).all() or (steps <= 1e-9).all()


def test_loud_and_long_notes_take_more_bow():
    def reach(seconds, level_db):
        notes = [Note(k * seconds, seconds, 60, level_db, True) for k in range(8)]
        return np.abs(motion(notes, round(800 * seconds), 100.0).stroke).max()

    assert reach(0.2, 0.0) > 1.3 * reach(0.2, -8.0)
    assert reach(0.6, 0.0) > 1.3 * reach(0.15, 0.0)
    assert reach(2.0, 20.0) <= 1.0


def test_rests_are_still_and_short_gaps_are_not():
    moves = motion([Note(1.0, 1.0, 60, 0.0, False), Note(4.0, 1.0, 60, 0.0, False)], 700, 100.0)
    still = np.concatenate([np.arange(100), np.arange(240, 400), np.arange(540, 700)])
    assert not moves.stroke[still].any() and not moves.sway[still].any()
    assert np.abs(moves.sway[100:200]).max() > 0.5
    legato = motion([Note(0.0, 1.0, 60, 0.0, False), Note(1.2, 1.0, 60, 0.0, False)], 220, 100.0)
    assert np.abs(legato.stroke[100:121]).max() > 0.5
    silent = motion([], 10, 25.0)
    assert len(silent.sway) == 10 and not silent.sway.any() and not silent.stroke.any()


def test_motion_has_no_jumps_and_keeps_its_bounds():
    rng = np.random.default_rng(0)
    starts = np.cumsum(rng.uniform(0.1, 1.0, 40))
    moves = motion([Note(float(s), 0.3, 60, float(rng.normal(0, 6)), False) for s in starts], 3000, 100.0)
    for values in (moves.sway, moves.stroke):
        assert np.abs(values).max() <= 1.0
        assert np.abs(np.diff(values)).max() < 0.4


# Places and backdrops


@pytest.mark.parametrize("num_players", [1, 2, 3, 5, 8, 12])
def test_places_go_from_left_to_right_without_hiding_anybody(num_players):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sizes = [(int(rng.integers(100, 300)), int(rng.integers(280, 450)), 1.0) for _ in range(num_players)]
        places = place_players(sizes, 640, 360, rng)
        for place in places:
            assert -0.05 * 640 <= place.left < place.right <= 1.05 * 640 and 0.85 * 360 < place.bottom <= 360
        for a, b in itertools.pairwise(places):
            assert a.left + a.right < b.left + b.right
            assert a.right - b.left <= 0.13 * min(a.right - a.left, b.right - b.left)


def test_as_many_players_as_fit_are_said():
    sizes = [(300, 300, 1.0)] * 12
    with pytest.raises(ParameterError, match="at most about 9 such players.*640 x 360. Received: 12"):
        place_players(sizes, 640, 360, np.random.default_rng(0))


def test_two_players_do_not_fill_the_stage_from_wall_to_wall():
    places = place_players([(150, 400, 1.0)] * 2, 1280, 360, np.random.default_rng(0))
    assert places[1].left - places[0].right < 300


def test_backdrops_differ_by_seed_and_are_no_plain_colour():
    backdrops = [draw_backdrop(160, 90, np.random.default_rng(seed)) for seed in range(12)]
    for backdrop in backdrops:
        assert backdrop.shape == (90, 160, 3) and backdrop.dtype == np.uint8
        assert backdrop.std() > 4 and backdrop.mean() > 8
    for a, b in itertools.combinations(backdrops, 2):
        assert np.abs(a.astype(int) - b).mean() > 3


def test_there_are_smooth_walls_and_walls_with_folds():
    walls = [draw_backdrop(320, 180, np.random.default_rng(seed))[40:90].mean(axis=(0, 2)) for seed in range(24)]
    roughness = sorted(np.abs(np.diff(wall)).mean() for wall in walls)
    assert roughness[-4] > 3 * roughness[3]


def test_a_shadow_darkens_the_floor_around_the_feet_alone():
    picture = np.full((90, 160, 3), 200, np.uint8)
    draw_shadow(picture, 80.0, 80.0, 20.0)
    assert picture[80, 80, 0] == pytest.approx(100, abs=2) and picture[80, 95, 0] > picture[80, 85, 0]
    assert (picture[:70] == 200).all() and (picture[:, :39] == 200).all()
    draw_shadow(picture, -500.0, 80.0, 20.0)
