"""Players' pictures: drawn ones are compared with each other, those from folders with files that the tests write."""

import itertools

import cv2
import numpy as np
import pytest

from av_sep.datasets.synthetic.drawn_players import DRAWINGS, draw_player
from av_sep.datasets.synthetic.layers import lay_over
from av_sep.datasets.synthetic.pictures import open_pictures, photo_player
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import URMP_13


def save(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    order = [2, 1, 0, 3][: picture.shape[2]]
    assert cv2.imwrite(str(path), picture[..., order])
    return path


def canvas_picture(layer):
    """A layer on grey, in the middle of the bottom of a picture of one size for all, to compare players."""
    picture = np.full((560, 560, 3), 128, np.uint8)
    lay_over(picture, layer, (560 - layer.shape[1]) // 2, 560 - layer.shape[0])
    return picture


# Drawn players


def test_every_instrument_has_its_drawing_and_no_other_has():
    assert tuple(DRAWINGS) == URMP_13.names


@pytest.fixture(scope="module")
def drawn():
    return {name: draw_player(name, np.random.default_rng(4)) for name in URMP_13.names}


@pytest.mark.parametrize("instrument", URMP_13.names)
def test_players_are_whole_layers_whose_strokes_differ(drawn, instrument):
    strokes = drawn[instrument].strokes
    assert len({layer.shape for layer in strokes}) == 1 and strokes[0].shape[2] == 4
    for layer in strokes:
        assert layer.dtype == np.uint8
        # Multiplied colours are never brighter than the opacity.
        assert (layer[..., :3].max(axis=2) <= layer[..., 3]).all()
        assert 0.15 < np.mean(layer[..., 3] > 128) < 0.8
    for a, b in itertools.pairwise(strokes):
        assert np.mean(np.any(a != b, axis=2)) > 0.002
    assert 0.6 < drawn[instrument].height < 1.3


def test_no_two_instruments_look_alike(drawn):
    pictures = {name: canvas_picture(player.strokes[0]).astype(int) for name, player in drawn.items()}
    for a, b in itertools.combinations(URMP_13.names, 2):
        assert np.mean(np.abs(pictures[a] - pictures[b]).max(axis=2) > 40) > 0.01, (a, b)


def test_instruments_have_their_proportions():
    def size(instrument):
        """Mean width and height over players, in heights of a standing one."""
        players = [draw_player(instrument, np.random.default_rng(seed)) for seed in range(3)]
        shapes = [np.array(player.strokes[0].shape[1::-1]) / player.strokes[0].shape[0] for player in players]
        return np.mean([shape * player.height for shape, player in zip(shapes, players)], axis=0)

    assert size("double_bass")[1] > 1.05 > size("cello")[1]  # higher than its player
    assert size("flute")[0] > 1.3 * size("clarinet")[0]  # held across, not down
    assert size("trombone")[0] > 1.2 * size("trumpet")[0]


def test_the_same_seed_draws_the_same_player_and_another_another():
    first, again, other = (draw_player("oboe", np.random.default_rng(seed)).strokes[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or (first != other).any()


def test_an_unknown_instrument_is_not_drawn():
    with pytest.raises(ParameterError, match="'kazoo'"):
        draw_player("kazoo", np.random.default_rng(0))


def test_a_photographed_player_moves_the_hands_and_not_the_feet(tmp_path):
    rng = np.random.default_rng(0)
    picture = np.dstack([rng.integers(0, 256, (200, 100, 3)), np.full((200, 100), 255)]).astype(np.uint8)
    picture[:2, :, 3] = 0
    player = photo_player(save(tmp_path / "a.png", picture), rng)
    ends = player.strokes[0].astype(int), player.strokes[-1].astype(int)
    difference = np.abs(ends[0] - ends[1]).mean(axis=(1, 2))
    assert difference[85:95].min() > 10 > 2 > difference[-10:].max()
    assert player.height == pytest.approx(0.95, abs=0.1)


# Folders


@pytest.fixture
def folder(tmp_path):
    """Three violins, a horn by another spelling, a folder of others and one of something unknown."""
    for k in range(3):
        colour = np.zeros((40, 20, 4), np.uint8)
        colour[..., k], colour[..., 3] = 250, 255
        colour[0, 0, 3] = 0  # so that it counts as a cut-out
        save(tmp_path / "violin" / f"{k}.png", colour)
    horn = np.full((40, 20, 4), 255, np.uint8)
    horn[0, 0, 3] = 0
    save(tmp_path / "French horn" / "h.PNG", horn)
    save(tmp_path / "other" / "o.png", horn)
    save(tmp_path / "sitar" / "s.png", horn)
    (tmp_path / "violin" / "notes.txt").write_text("not a picture")
    (tmp_path / "violin" / ".hidden.png").write_bytes(b"")
    return tmp_path


def colour_of(player):
    """Which of red, green and blue the middle of a player is."""
    middle = player.strokes[3]
    return int(np.argmax(middle[middle.shape[0] // 2, middle.shape[1] // 2, :3]))


def test_a_folder_is_read_by_instrument_and_the_rest_passed_over(folder):
    files = open_pictures(folder).files
    assert {name: [path.name for path in paths] for name, paths in files.items()} == {
        "violin": ["0.png", "1.png", "2.png"],
        "horn": ["h.PNG"],
    }


def test_no_picture_is_used_twice_while_there_are_others(folder):
    pictures = open_pictures(folder)
    for seed in range(5):
        players = pictures.choose(["violin", "violin", "horn", "violin"], np.random.default_rng(seed))
        assert sorted(colour_of(players[k]) for k in (0, 1, 3)) == [0, 1, 2]
    many = pictures.choose(["violin"] * 6, np.random.default_rng(0))
    assert sorted(map(colour_of, many)) == [0, 0, 1, 1, 2, 2]


def test_the_seed_chooses(folder):
    pictures = open_pictures(folder)
    chosen = [[colour_of(p) for p in pictures.choose(["violin"] * 3, np.random.default_rng(s))] for s in range(12)]
    again = [colour_of(p) for p in pictures.choose(["violin"] * 3, np.random.default_rng(0))]
    assert chosen[0] == again
    assert len({tuple(order) for order in chosen}) > 2


def test_an_instrument_without_pictures_is_drawn(folder):
    (tuba,) = open_pictures(folder).choose(["tuba"], np.random.default_rng(0))
    (drawn,) = open_pictures(None).choose(["tuba"], np.random.default_rng(0))
    np.testing.assert_array_equal(tuba.strokes[0], drawn.strokes[0])


def test_nothing_is_read_before_it_is_asked_for(folder):
    (folder / "tuba").mkdir()
    (folder / "tuba" / "broken.png").write_bytes(b"broken")
    pictures = open_pictures(folder)
    pictures.choose(["violin"], np.random.default_rng(0))
    with pytest.raises(MediaError, match="broken.png"):
        pictures.choose(["tuba"], np.random.default_rng(0))


def test_folders_that_cannot_serve_are_named(tmp_path):
    with pytest.raises(MediaError, match="No such file.*nowhere"):
        open_pictures(tmp_path / "nowhere")
    (tmp_path / "violin").mkdir()
    with pytest.raises(MediaError, match="named by instruments"):
        open_pictures(tmp_path)
    with pytest.raises(ParameterError, match="'kazoo'"):
        open_pictures(None).choose(["kazoo"], np.random.default_rng(0))
