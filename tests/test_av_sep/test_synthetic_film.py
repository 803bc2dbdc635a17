"""Films of made ensembles, judged by what can be seen in them once they are decoded."""

import csv
import hashlib
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from av_sep.datasets.melodies import Note
from av_sep.datasets.synthetic import film_file, stage
from av_sep.datasets.synthetic.places import Place
from av_sep.datasets.synthetic.stage import PlayerBox, StagePlayer, _set_stage, write_boxes, write_film
from av_sep.errors import MediaError, ParameterError
from av_sep.media import ffmpeg_executable, probe, read_audio, video_frames

WIDTH, HEIGHT, FPS, SECONDS, SEED = 480, 270, 25.0, 6.0, 10
SAMPLE_RATE_HZ = 22050
# In every colour, 0..255: more than what compression changes, less than what tells a player from the wall.
SEEN = 30


def line(start_seconds, end_seconds, note_seconds=0.4, level_db=0.0):
    starts = np.arange(start_seconds, end_seconds - 1e-9, note_seconds)
    return tuple(Note(float(start), 0.9 * note_seconds, 60, level_db, False) for start in starts)


def ensemble():
    """Four players, of whom the third rests for the first half and the fourth all the time."""
    return [
        StagePlayer("violin", line(0.0, SECONDS)),
        StagePlayer("trombone", line(0.0, SECONDS, 0.7)),
        StagePlayer("cello", line(3.0, SECONDS)),
        StagePlayer("horn", ()),
    ]


def write_sound(path, seconds=SECONDS):
    time = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    sweep = 0.3 * np.sin(2 * np.pi * (200 + 100 * time) * time)
    soundfile.write(path, np.column_stack([sweep, 0.5 * sweep]), SAMPLE_RATE_HZ)
    return path


def write_ensemble(folder, seed=SEED, name="film.mp4"):
    """The film most tests look at, and its boxes."""
    path = Path(folder) / name
    sound = write_sound(path.with_suffix(".wav"))
    rng = np.random.default_rng(seed)
    return path, write_film(path, ensemble(), sound, seconds=SECONDS, rng=rng, width=WIDTH, height=HEIGHT, fps=FPS)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_ensemble(tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="module")
def differences(film):
    """How far each half second's picture is from the empty stage: time -> `[height, width]`, the largest of colours."""
    stage = _set_stage(ensemble(), np.random.default_rng(SEED), None, WIDTH, HEIGHT).backdrop.astype(int)
    frames = video_frames(film[0], frames_per_second=2)
    return {frame.time_seconds: np.abs(frame.picture - stage).max(axis=2) for frame in frames}


@pytest.fixture
def sound(tmp_path):
    return write_sound(tmp_path / "sound.wav", 1.0)


def write_short(path, sound, players=None, seed=0, **options):
    """A film of one second."""
    players = [StagePlayer("flute", line(0.0, 1.0))] if players is None else players
    options = {"seconds": 1.0, "width": 128, "height": 72, **options}
    return write_film(path, players, sound, rng=np.random.default_rng(seed), **options)


# What was asked for


def test_size_rate_and_length_are_as_asked(film):
    info = probe(film[0])
    assert (info.width, info.height, info.fps) == (WIDTH, HEIGHT, FPS)
    assert info.duration_seconds == pytest.approx(SECONDS, abs=0.05)
    assert len(list(video_frames(film[0], frames_per_second=FPS))) == SECONDS * FPS


def test_the_sound_is_the_one_given(film):
    reference, rate_hz = soundfile.read(film[0].with_suffix(".wav"))
    decoded, decoded_rate_hz = read_audio(film[0])
    assert decoded_rate_hz == rate_hz and decoded.shape[1] == 2
    both = min(len(decoded), len(reference))
    assert both == pytest.approx(SECONDS * rate_hz, abs=0.05 * rate_hz)
    error = decoded[:both] - reference[:both]
    # A shift by a single sample costs more than that.
    assert 10 * np.log10(np.mean(reference**2) / np.mean(error**2)) > 20


@pytest.mark.parametrize("sound_seconds", [0.4, 3.0])
def test_sound_of_another_length_is_cut_or_filled_up(tmp_path, sound_seconds):
    sound = write_sound(tmp_path / "sound.wav", sound_seconds)
    write_short(tmp_path / "film.mp4", sound)
    decoded, rate_hz = read_audio(tmp_path / "film.mp4")
    version = subprocess.run([ffmpeg_executable(), "-version"], capture_output=True, text=True).stdout.split()[2]
    # ffmpeg 5 gives the last packet whole.
    excess_seconds = len(decoded) / rate_hz - 1.0
    assert -0.001 <= excess_seconds <= 0.001 + (1024 / rate_hz if version.startswith("5.") else 0)
    level = np.sqrt(np.mean(decoded[round(0.7 * rate_hz) : round(0.95 * rate_hz)] ** 2))
    assert (level < 1e-3) == (sound_seconds < 1)


@pytest.mark.parametrize(("fps", "num_frames"), [(10.0, 10), (24.0, 24), (30.0, 30), (60.0, 60), (29.97, 30)])
def test_other_rates(tmp_path, sound, fps, num_frames):
    boxes = write_short(tmp_path / "film.mp4", sound, fps=fps)
    assert probe(tmp_path / "film.mp4").fps == pytest.approx(fps, abs=0.01)
    assert len(list(video_frames(tmp_path / "film.mp4", frames_per_second=fps))) == num_frames
    assert [box.time_seconds for box in boxes] == [0.0, 0.5]


# Boxes


def test_every_player_has_a_box_every_half_second_from_left_to_right(film):
    boxes = film[1]
    times = np.repeat(np.arange(0, SECONDS, 0.5), 4)
    assert [box.time_seconds for box in boxes] == list(times)
    names = [player.instrument for player in ensemble()]
    for first in range(0, len(boxes), 4):
        group = boxes[first : first + 4]
        assert [box.player for box in group] == [1, 2, 3, 4]
        assert [box.instrument for box in group] == names
        for a, b in itertools.pairwise(group):
            assert a.x1 + a.x2 < b.x1 + b.x2
            assert a.x2 - b.x1 < 0.15 * min(a.x2 - a.x1, b.x2 - b.x1)


def test_boxes_lie_inside_the_picture_and_are_of_a_players_size(film):
    for box in film[1]:
        assert 0 <= box.x1 < box.x2 <= WIDTH and 0 <= box.y1 < box.y2 <= HEIGHT
        assert box.y2 - box.y1 > 0.3 * HEIGHT and box.x2 - box.x1 > 0.08 * WIDTH


def test_in_each_box_there_is_somebody(film, differences):
    for box in film[1]:
        inside = differences[box.time_seconds][box.y1 : box.y2, box.x1 : box.x2]
        assert np.mean(inside > SEEN) > 0.2


def test_outside_all_boxes_the_stage_is_empty(film, differences):
    margin = 3  # compression smears
    for time_seconds, difference in differences.items():
        outside = np.ones((HEIGHT, WIDTH), bool)
        for box in film[1]:
            if box.time_seconds == time_seconds:
                rows = slice(max(0, box.y1 - margin), box.y2 + margin)
                outside[rows, max(0, box.x1 - margin) : box.x2 + margin] = False
        assert difference[outside].max() < SEEN


def test_boxes_are_tight(film, differences):
    """Along each edge there is something of the player within a few pixels."""
    for box in film[1]:
        inside = differences[box.time_seconds][box.y1 : box.y2, box.x1 : box.x2] > SEEN
        for edge in (inside[:4], inside[-4:], inside[:, :4], inside[:, -4:]):
            assert edge.any(), box


def test_boxes_of_players_beyond_the_edges_are_clipped_to_the_picture(tmp_path, sound, monkeypatch):
    def hang_over(sizes, width, height, rng):
        return [Place(left, left + 60, height + 10, 72 / sizes[0][1], 2.0) for left in (-20, 110, 300)]

    monkeypatch.setattr(stage, "place_players", hang_over)
    boxes = write_short(tmp_path / "film.mp4", sound, [StagePlayer("oboe", line(0.0, 1.0))] * 3)
    # Of the third player nothing is seen.
    assert [box.player for box in boxes] == [1, 2, 1, 2]
    for left, right in (boxes[:2], boxes[2:]):
        assert left.x1 == 0 and right.x2 == 128 and left.y2 == right.y2 == 72
        assert left.x2 < right.x1 and left.y1 > 0


def test_boxes_as_a_table(tmp_path):
    boxes = [PlayerBox(0.0, 1, "violin", 1, 2, 30, 40), PlayerBox(0.5, 1, "violin", 2, 2, 31, 40)]
    write_boxes(tmp_path / "boxes.csv", boxes)
    assert (tmp_path / "boxes.csv").read_text().splitlines()[0] == "time_seconds,player,instrument,x1,y1,x2,y2"
    with (tmp_path / "boxes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(float(row["time_seconds"]), row["instrument"], int(row["x2"])) for row in rows] == [
        (0.0, "violin", 30),
        (0.5, "violin", 31),
    ]
    with pytest.raises(MediaError, match="nowhere"):
        write_boxes(tmp_path / "nowhere" / "boxes.csv", boxes)


# Motion


def movement(path, box, first, last):
    """Mean change from picture to picture inside a box, between two instants in seconds."""
    frames = [f.picture for f in video_frames(path, frames_per_second=12.5) if first <= f.time_seconds < last]
    crops = np.array(frames)[:, box.y1 : box.y2, box.x1 : box.x2].astype(int)
    return np.abs(np.diff(crops, axis=0)).mean()


def test_a_player_moves_while_playing_and_hardly_while_resting(film):
    path, boxes = film
    violin, trombone, cello, horn = boxes[:4]
    assert movement(path, cello, 4.0, SECONDS) > 5 * movement(path, cello, 0.0, 2.5)
    resting = movement(path, horn, 0.0, SECONDS)
    assert movement(path, violin, 0.0, SECONDS) > 5 * resting
    assert movement(path, trombone, 0.0, SECONDS) > 5 * resting


def test_a_resting_player_keeps_one_box_and_a_playing_one_does_not(film):
    places = [{(box.x1, box.y1, box.x2, box.y2) for box in film[1] if box.player == player} for player in (1, 2, 4)]
    assert len(places[0]) > 3 and len(places[1]) > 3 and len(places[2]) == 1


# The same bytes


def test_the_same_seed_gives_the_same_bytes_in_another_process_on_one_core(film, tmp_path):
    program = (
        "import os, runpy, sys\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "runpy.run_path(sys.argv[1])['write_ensemble'](sys.argv[2])\n"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, __file__, str(tmp_path)]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (film[0], tmp_path / "film.mp4")]
    assert hashes[0] == hashes[1]


def test_another_seed_gives_another_film(film, tmp_path):
    other, boxes = write_ensemble(tmp_path, SEED + 1)
    first, second = (next(iter(video_frames(path))).picture.astype(int) for path in (film[0], other))
    assert np.abs(first - second).mean() > 5
    assert boxes != film[1]


def test_a_film_names_neither_versions_nor_times(film):
    content = film[0].read_bytes()
    assert re.search(rb"Lav[cf] ?\d|x264 - core|creation", content) is None


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"players": [StagePlayer("kazoo", ())]}, "Received: 'kazoo'"),
        ({"players": []}, "1 to 16 players. Received: 0"),
        ({"players": [StagePlayer("tuba", ())] * 60}, "1 to 16 players. Received: 60"),
        ({"players": [StagePlayer("double_bass", ())] * 8, "width": 72}, "at most about .* Received: 8"),
        ({"width": 127}, "even width.*Received: 127"),
        ({"height": 0}, "even height.*Received: 0"),
        ({"height": -2}, "even height.*Received: -2"),
        ({"seconds": 0.0}, "seconds above 0.*Received: 0.0"),
        ({"seconds": float("nan")}, "seconds above 0.*Received: nan"),
        ({"fps": 0.0}, "fps above 0.*Received: 0.0"),
        ({"fps": float("inf")}, "fps above 0.*Received: inf"),
    ],
)
def test_arguments_that_cannot_be_are_refused_in_one_line(tmp_path, sound, options, message):
    with pytest.raises(ParameterError, match=message) as caught:
        write_short(tmp_path / "film.mp4", sound, **options)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sound.wav"]


def test_sound_that_cannot_be_used_is_named(tmp_path, film):
    (tmp_path / "bad.wav").write_bytes(b"RIFF nothing")
    for name, message in (("missing.wav", "no such file.*missing.wav"), ("bad.wav", "bad.wav")):
        with pytest.raises(MediaError, match=message):
            write_short(tmp_path / "film.mp4", tmp_path / name)
    assert not (tmp_path / "film.mp4").exists()


def test_a_missing_folder_is_named(tmp_path, sound):
    with pytest.raises(MediaError, match="Cannot write .*nowhere"):
        write_short(tmp_path / "nowhere" / "film.mp4", sound)


def test_a_film_that_fails_leaves_the_earlier_one_and_nothing_else(tmp_path, sound, monkeypatch):
    (tmp_path / "film.mp4").write_bytes(b"earlier")
    monkeypatch.setitem(film_file._VIDEO, "preset", "no such preset")
    with pytest.raises(MediaError, match="Cannot write .*film.mp4") as caught:
        write_short(tmp_path / "film.mp4", sound)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "film.mp4").read_bytes() == b"earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "sound.wav"]
