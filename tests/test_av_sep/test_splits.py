"""Splits by composition: stable, fair, never straddled, and said."""

from pathlib import Path

import numpy as np
import pytest

from av_sep.datasets.splits import by_composition, describe_split, one_sided, split_by
from av_sep.datasets.track import SPLITS, Dataset, Part, Sound, Track
from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13

TITLES = (
    "Jupiter Sonata Dance Allegro Entertainer GString Spring Jesus March Maria Hark Waltz Surprise Nocturne Pavane"
    " Rejouissance Pirates King Fugue Slavonic Elise Rondeau Jerusalem Miserere Arioso Chorale K515"
).split()


def make_track(name, composition=None):
    return Track(name, composition or name, (Part("violin", Sound(Path(name))),))


def compositions(sides):
    return {side: {track.composition for track in tracks} for side, tracks in sides.items()}


def test_urmps_titles_stay_where_published_scores_found_them():
    # Written down, so that no later change moves a piece from training to testing unnoticed.
    found = compositions(by_composition()([make_track(title) for title in TITLES]))
    assert found["test"] == {"Allegro", "King", "Fugue", "Jerusalem", "Chorale"}
    assert found["validation"] == {"Spring", "Waltz", "K515"}
    assert found["train"] == set(TITLES) - found["test"] - found["validation"]


def test_the_fractions_hold_for_many_compositions():
    tracks = [make_track(f"{i:05d}") for i in range(20000)]
    shares = {side: len(found) / len(tracks) for side, found in by_composition()(tracks).items()}
    # Three standard deviations of a binomial share are 0.01 at most here.
    assert shares == pytest.approx({"train": 0.7, "validation": 0.1, "test": 0.2}, abs=0.01)
    shares = {side: len(found) / len(tracks) for side, found in by_composition(0, (0.2, 0.3, 0.5))(tracks).items()}
    assert shares == pytest.approx({"train": 0.2, "validation": 0.3, "test": 0.5}, abs=0.012)


def test_seeds_are_independent():
    tracks = [make_track(f"{i}") for i in range(4000)]
    in_test = [{track.name for track in by_composition(seed)(tracks)["test"]} for seed in (1, 2)]
    assert len(in_test[0] & in_test[1]) / len(tracks) == pytest.approx(0.2 * 0.2, abs=0.012)


def test_a_composition_is_on_one_side_whoever_plays_it_and_in_any_spelling_of_its_name():
    rng = np.random.default_rng(0)
    tracks = [make_track(f"{i}", f"Étude {rng.integers(30)}") for i in range(300)]
    found = compositions(by_composition()(tracks))
    assert sum(map(len, found.values())) == len(set.union(*found.values())) == 30
    # The same letter as one character and as two (macOS), lower and upper case.
    for i in range(30):
        spellings = [f"\u00c9tude {i}", f"E\u0301tude {i}", f"\u00e9tude {i}"]
        sides = by_composition()([make_track(f"{j}", spelling) for j, spelling in enumerate(spellings)])
        assert sorted(map(len, sides.values())) == [0, 0, 3]


def test_sides_do_not_depend_on_the_other_tracks():
    tracks = [make_track(f"{i}") for i in range(100)]
    whole = {track.name: side for side, found in by_composition()(tracks).items() for track in found}
    for track in tracks:
        (side,) = [side for side, found in by_composition()([track]).items() if found]
        assert side == whole[track.name]


def test_names_with_bytes_that_are_no_text_have_a_side():
    assert sum(map(len, by_composition()([make_track("a", "Caf\udce9")]).values())) == 1


def test_order_is_kept_and_no_track_is_lost_or_doubled():
    tracks = [make_track(f"{i}") for i in range(50)]
    sides = by_composition()(tracks)
    assert list(sides) == list(SPLITS)
    assert sorted((track.name for found in sides.values() for track in found), key=int) == [t.name for t in tracks]
    for found in sides.values():
        assert [int(track.name) for track in found] == sorted(int(track.name) for track in found)


def test_all_on_one_side():
    tracks = [make_track("a"), make_track("b")]
    found = {name: {side: len(t) for side, t in split(tracks).items()} for name, split in one_sided().items()}
    assert found == {
        "all_train": {"train": 2, "validation": 0, "test": 0},
        "all_test": {"train": 0, "validation": 0, "test": 2},
    }


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.7, 0.2, 0.2), (1.2, -0.1, -0.1)])
def test_fractions_are_checked(fractions):
    with pytest.raises(ParameterError, match="Expected 3 fractions that sum to 1. Received: "):
        by_composition(0, fractions)


def test_a_split_is_described_with_its_sizes_and_what_it_leaves_out_or_tears_apart():
    sides = {"a": "train", "b": "train", "c": "test", "d": None}
    tracks = (make_track("a", "One"), make_track("b", "Two"), make_track("c", "One"), make_track("d"))
    splits = {"mine": split_by(lambda track: sides[track.name]), **one_sided()}
    dataset = Dataset("toy", Path("toy"), URMP_13, tracks, splits)
    assert describe_split(dataset) == (
        "toy, split mine: train 2 tracks (2 compositions), validation 0 tracks, test 1 track (1 composition);"
        " left out: d; on more than one side: One"
    )
    assert describe_split(dataset, "all_test") == (
        "toy, split all_test: train 0 tracks, validation 0 tracks, test 4 tracks (3 compositions)"
    )
    with pytest.raises(ParameterError, match="among mine, all_train, all_test. Received: 'yours'"):
        describe_split(dataset, "yours")
