"""Films of every shape through `annotate`: made by ffmpeg, with labels known beforehand or counted by a detector."""

import gc
import json
import subprocess
import sys
import weakref

import numpy as np
import pandas as pd
import pytest

import av_sep
from av_sep.instruments import URMP_13
from av_sep.media import probe, video_frames
from av_sep.types import Detection
from films import rotate_mp4, run_ffmpeg
from pipelines.look import Looker
from pipelines.progress import silent
from pipelines.similar_pictures import SimilarPictures
from vision.detector import InstrumentDetector


def make_film(path, *arguments, pictures=None, fps=2):
    """A film from ffmpeg's arguments, or of pictures uint8 `[num_video_frames, height, width, 3]`."""
    run_ffmpeg(*arguments, path, pictures=pictures, fps=fps)
    return path


def pattern(size, seconds, rate=2):
    """ffmpeg's moving test picture."""
    return ("-f", "lavfi", "-i", f"testsrc=size={size}:rate={rate}:duration={seconds}", "-pix_fmt", "yuv420p")


class Counting(InstrumentDetector):
    """Sees a violin whose confidence is the picture's brightness, and remembers what it was shown."""

    taxonomy = URMP_13

    def __init__(self):
        self.times, self.most_alive, self._pictures = [], 0, []

    def detect_frame(self, video_frame):
        self.times.append(video_frame.time_seconds)
        self._pictures = [kept for kept in self._pictures if kept() is not None]
        self._pictures.append(weakref.ref(video_frame.picture))
        self.most_alive = max(self.most_alive, len(self._pictures))
        height, width = video_frame.picture.shape[:2]
        confidence = float(video_frame.picture.mean() / 255)
        vector = (confidence,) + (0.0,) * 12
        return [Detection(video_frame.time_seconds, (0, 0, width / 2, height), "violin", confidence, vector)]


def look(path, **settings):
    looker = Looker("embedded", **{"frames_per_second": 1.0, "threshold": None, **settings})
    looker.detector = Counting()
    return looker.look(path, probe(path), silent), looker.detector


def known(folder, size):
    """A violin in the right upper quarter of pictures of this size."""
    width, height = size
    box = {"time_seconds": 0, "box_xyxy": [width / 2, 0, width, height / 2], "instrument": "violin"}
    path = folder / "known.json"
    path.write_text(json.dumps({"detections": [box], "picture_size": {"width": width, "height": height}}))
    return f"labels:{path}"


@pytest.mark.parametrize(
    ("size", "judged_size"),
    [((3840, 2160), (1920, 1080)), ((2160, 3840), (608, 1080)), ((270, 480), (270, 480)), ((33, 31), (33, 31))],
)
def test_sizes(tmp_path, size, judged_size):
    width, height = size
    pixels = "yuv420p" if width % 2 == 0 else "yuv444p"
    film = make_film(tmp_path / "film.mp4", *pattern(f"{width}x{height}", 1)[:4], "-pix_fmt", pixels)
    done = av_sep.annotate(film, tmp_path / "out", detector=known(tmp_path, size), overlay_video=True, review=True)
    content = json.loads(done.files["json"].read_text())
    assert tuple(content["picture_size"].values()) == judged_size
    # Boxes are in the pixels of the pictures looked at.
    expected = [judged_size[0] / 2, 0, judged_size[0], judged_size[1] / 2]
    np.testing.assert_allclose(content["detections"][0]["box_xyxy"], expected, atol=0.1)
    # Films need even sizes.
    shown = probe(done.files["overlay_video"])
    assert (shown.width, shown.height) == tuple(side + side % 2 for side in judged_size)


def test_a_phone_held_upright(tmp_path):
    film = make_film(tmp_path / "phone.mp4", *pattern("320x180", 1))
    rotate_mp4(film, 90)
    done = av_sep.annotate(film, tmp_path / "out", detector=known(tmp_path, (180, 320)), overlay_video=True)
    content = json.loads(done.files["json"].read_text())
    assert content["picture_size"] == {"width": 180, "height": 320}
    assert content["detections"][0]["box_xyxy"] == [90, 0, 180, 160]
    (frame,) = video_frames(done.files["overlay_video"])
    assert frame.picture.shape == (320, 180, 3)


OUTGROW = """
import resource, sys
import av_sep
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
film, output, detector = sys.argv[1:]
try:
    av_sep.annotate(film, output, detector=detector, formats=("csv",), overlay_video=True)
except av_sep.errors.MediaError as error:
    print(error)
"""


def test_an_overlay_that_may_not_grow_is_an_error_that_names_it(tmp_path):
    film = make_film(tmp_path / "noise.mp4", *pattern("320x180", 4), "-vf", "noise=alls=90:allf=t")
    output = tmp_path / "out"
    command = [sys.executable, "-c", OUTGROW, film, output, known(tmp_path, (320, 180))]
    said = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"Cannot write {output / 'noise.overlay.mp4'}: ") and said.count("\n") == 1
    assert list(output.iterdir()) == []


def test_a_variable_frame_rate(tmp_path):
    # Twenty pictures in the first second, and then none but the last.
    choice = "select='lt(n,20)+eq(n,119)'"
    film = make_film(tmp_path / "gaps.mkv", *pattern("64x36", 6, rate=20), "-vf", choice)
    sighting, detector = look(film, frames_per_second=2.0)
    assert detector.times == list(sighting.judged_times_seconds)
    assert detector.times == [0.5 * k for k in range(12)]
    confidences = [detection.confidence for detection in sighting.detections]
    assert len(set(confidences[:3])) == 3 and len(set(confidences[2:])) == 1


def test_one_frame(tmp_path):
    film = make_film(tmp_path / "one.mp4", *pattern("64x36", 1), "-frames:v", "1")
    detector = known(tmp_path, (64, 36))
    formats = ("json", "csv", "coco", "jams")
    done = av_sep.annotate(film, tmp_path / "out", detector=detector, formats=formats, overlay=True,
                           overlay_video=True, review=True, scenes=True)  # fmt: skip
    content = json.loads(done.files["json"].read_text())
    assert (content["num_video_frames"], content["judged_times_seconds"]) == (1, [0])
    assert done.labels.instruments == ("violin",) and len(pd.read_csv(done.files["csv"])) == 1
    assert len(list(video_frames(done.files["overlay_video"]))) == 1


def grey(*levels, size=(36, 64)):
    return np.broadcast_to(np.array(levels, np.uint8)[:, None, None, None], (len(levels), *size, 3))


class TestScenes:
    def test_a_static_film_is_judged_once_and_pooled_as_if_always(self, tmp_path):
        film = make_film(tmp_path / "static.mp4", pictures=grey(*[200] * 40))
        every, all_judged = look(film)
        once, judged = look(film, skip_similar=True)
        assert (all_judged.times, judged.times) == (list(range(20)), [0.0])
        assert every.num_video_frames == once.num_video_frames == 20
        assert once.judged_times_seconds == (0.0,) and len(once.detections) == 1
        assert once.labels.instruments == every.labels.instruments == ("violin",)
        np.testing.assert_allclose(once.labels.label_vector, every.labels.label_vector, atol=0.01)
        (player,) = once.players
        assert (player.first_time_seconds, player.last_time_seconds, player.num_video_frames) == (0.0, 19.0, 20)

    def test_each_scene_is_judged(self, tmp_path):
        film = make_film(tmp_path / "cuts.mp4", pictures=grey(*[60] * 8, *[200] * 8, *[60] * 8, *[20] * 8))
        sighting, detector = look(film, skip_similar=True)
        assert detector.times == list(sighting.judged_times_seconds) == [0, 4, 8, 12]

    def test_slow_changes_add_up(self, tmp_path):
        film = make_film(tmp_path / "fade.mp4", pictures=grey(*range(20, 220, 5)))
        _, detector = look(film, skip_similar=True)
        # Ten levels a second, of which sixteen count as the same.
        assert detector.times == list(range(0, 20, 2))

    def test_what_is_similar(self):
        rng = np.random.default_rng(0)
        picture = rng.integers(40, 200, (10, 16, 3)).astype(np.uint8).repeat(36, axis=0).repeat(40, axis=1)
        noisy = np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)
        hand, player = picture.copy(), picture.copy()
        hand[:20, :40] = 255
        player[100:300, 100:200] = 255
        similar_ones, others = (picture, noisy, hand), (player, picture[:, ::-1])
        for other, expected in [*((p, True) for p in similar_ones), *((p, False) for p in others)]:
            similar = SimilarPictures()
            assert not similar.is_similar(picture)
            assert similar.is_similar(other) is expected

    def test_files_hold_the_judged_frames_and_the_film_all(self, tmp_path):
        film = make_film(tmp_path / "cut.mp4", pictures=grey(*[60] * 6, *[200] * 6))
        boxes = [{"time_seconds": t, "box_xyxy": [4, 4, 30, 30], "instrument": "violin"} for t in range(6)]
        (tmp_path / "known.json").write_text(json.dumps({"detections": boxes}))
        settings = {"detector": f"labels:{tmp_path / 'known.json'}", "overlay_video": True, "scenes": True}
        done = av_sep.annotate(film, tmp_path / "out", **settings)
        content = json.loads(done.files["json"].read_text())
        assert content["judged_times_seconds"] == [0, 3] and content["num_video_frames"] == 6
        assert [d["time_seconds"] for d in content["detections"]] == [0, 3] == [d.time_seconds for d in done.detections]
        assert content["players"][0]["num_video_frames"] == 6
        drawn = list(video_frames(done.files["overlay_video"]))
        assert len(drawn) == 6
        # The box stays where it was until somebody looks again.
        for frame, level in zip(drawn, [60] * 3 + [200] * 3):
            assert abs(float(frame.picture[10:28, 4].mean()) - level) > 10


def test_pictures_do_not_pile_up(tmp_path):
    alive = []
    for num_seconds in (40, 160):
        film = make_film(tmp_path / f"{num_seconds}.mp4", *pattern("64x36", num_seconds))
        sighting, detector = look(film)
        assert sighting.num_video_frames == len(detector.times) == num_seconds
        alive.append(detector.most_alive)
        del sighting, detector
        gc.collect()
    assert alive[1] <= alive[0] <= 16
