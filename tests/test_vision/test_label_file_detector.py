"""Files of labels: as `annotate` writes them, as people correct them, and as they must not be."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import URMP_13
from av_sep.types import Detection, MediaInfo, VideoFrame
from pipelines.annotation.content import Annotation, find_player_numbers
from pipelines.annotation.formats import write_json
from pipelines.annotation.provenance import VideoSource, describe_making
from pipelines.config import AnnotateConfig
from pipelines.look import Sighting
from vision.detector import create_detector
from vision.label_file_detector import LabelFileDetector
from vision.labels import players_and_labels, pool_detections

SIZE = (400, 200)  # width, height
LEFT, RIGHT, WHOLE = (20.0, 10.0, 120.0, 190.0), (220.0, 20.0, 330.0, 180.0), (0.0, 0.0, 400.0, 200.0)


def see(time, box, whole_frame=False, player_confidence=1.0, **confidences):
    vector = tuple(confidences.get(name, 0.0) for name in URMP_13.names)
    best = int(np.argmax(vector))
    return Detection(time, box, URMP_13.names[best], vector[best], vector, player_confidence, whole_frame)


def film():
    """Ten frames, one a second: violin or viola on the left, a horn on the right."""
    return [
        detection
        for t in range(10)
        for detection in (
            see(float(t), LEFT, violin=0.55, viola=0.4, player_confidence=0.75),
            see(float(t), RIGHT, horn=0.9),
            see(float(t), WHOLE, True, horn=0.5, tuba=0.25),
        )
    ]


def frames(times, size=SIZE):
    return [VideoFrame(float(time), np.zeros((size[1], size[0], 3), np.uint8)) for time in times]


@pytest.fixture
def written(tmp_path):
    """Path of the annotation of `film`, and what was pooled from it."""
    path = tmp_path / "film.json"
    detections = tuple(film())
    players, labels = players_and_labels(detections)
    sighting = Sighting(labels, detections, (), 10, SIZE, players, tuple(map(float, range(10))))
    numbers = find_player_numbers(detections, players)
    info, made = MediaInfo(Path("film.mp4"), 10.0), describe_making(AnnotateConfig(), 0.4, VideoSource("film.mp4"))
    write_json(path, Annotation(info, "film.mp4", sighting, URMP_13, "embedded", made, detections, numbers, 1.0))
    return path, labels


def correct(path, **changes):
    """The file with some of its values replaced; None takes one away."""
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return path


def write(folder, content):
    path = folder / "labels.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


class TestAnEarlierRun:
    def test_the_same_boxes_at_the_same_times(self, written):
        seen = create_detector(f"labels:{written[0]}").detect(frames(range(10)))
        assert [d for d in seen if not d.whole_frame] == [d for d in film() if not d.whole_frame]
        assert [d.time_seconds for d in seen if d.whole_frame] == list(range(10))

    def test_the_same_labels_and_players(self, written):
        path, labels = written
        players, repeated = players_and_labels(LabelFileDetector(path).detect(frames(range(10))))
        assert repeated.instruments == labels.instruments == ("violin", "horn")
        assert dict(repeated.num_players) == dict(labels.num_players)
        np.testing.assert_allclose(repeated.label_vector, labels.label_vector, atol=1e-4)
        assert [(p.instrument, p.alternatives) for p in players] == [("violin", ("violin", "viola")), ("horn", ())]

    @pytest.mark.parametrize("threshold", [0.0, 0.3, 0.95, 1.0])
    @pytest.mark.parametrize("times", [(0, 1, 2, 3), (3,), np.arange(0, 10, 0.25), (50, 51)])
    def test_the_list_holds_whenever_and_however_it_is_asked_for(self, written, threshold, times):
        labels = pool_detections(LabelFileDetector(written[0]).detect(frames(times)), threshold=threshold)
        assert labels.instruments == ("violin", "horn") and dict(labels.num_players) == {"violin": 1, "horn": 1}

    def test_the_nearest_instant_within_half_a_step(self, written):
        content = json.loads(written[0].read_text())
        moved = [{**d, "box_xyxy": [d["time_seconds"] + 1, 0, 60, 60]} for d in content["detections"]]
        detector = LabelFileDetector(correct(written[0], detections=moved))

        def instant(time):
            return [d.box_xyxy[0] - 1 for d in detector.detect_frame(frames([time])[0])[:-1]]

        assert instant(3.4) == [3.0, 3.0] and instant(3.6) == [4.0, 4.0] and instant(9.5) == [9.0, 9.0]
        assert instant(9.7) == [] and instant(0.0) == [0.0, 0.0]

    def test_boxes_follow_the_size_of_the_picture(self, written):
        left, right, whole = LabelFileDetector(written[0]).detect_frame(frames([2], size=(200, 300))[0])
        np.testing.assert_allclose(left.box_xyxy, (10, 15, 60, 285))
        np.testing.assert_allclose(right.box_xyxy, (110, 30, 165, 270))
        assert whole.box_xyxy == (0.0, 0.0, 200.0, 300.0)

    def test_instants_that_showed_nothing_stay_empty(self, written):
        content = json.loads(written[0].read_text())
        sparse = [d for d in content["detections"] if d["time_seconds"] in (0, 5)]
        detector = LabelFileDetector(correct(written[0], detections=sparse, duration_seconds=9.9))
        assert [len(detector.detect_frame(frame)) for frame in frames(range(7))] == [3, 1, 1, 1, 1, 3, 1]

    def test_files_of_the_first_version_are_read_as_well(self, written):
        content = json.loads(written[0].read_text())
        for detection in content["detections"]:
            del detection["player"]
        path = correct(written[0], schema_version=1, detections=content["detections"], players=None)
        seen = create_detector(f"labels:{path}").detect(frames(range(10)))
        assert [d for d in seen if not d.whole_frame] == [d for d in film() if not d.whole_frame]


class TestCorrections:
    def test_the_list_of_instruments_wins(self, written):
        path = correct(written[0], instruments=["tba", "Viola", "horn"])
        players, labels = players_and_labels(LabelFileDetector(path).detect(frames(range(10))))
        assert labels.instruments == ("viola", "horn", "tuba")
        assert dict(labels.num_players) == {"viola": 1, "horn": 1, "tuba": 1}
        viola, horn, tuba = players
        assert (viola.instrument, viola.box_xyxy) == ("viola", LEFT)
        assert (horn.instrument, horn.box_xyxy) == ("horn", RIGHT)
        assert tuba.instrument == "tuba" and tuba.whole_frame
        vector = dict(zip(URMP_13.names, labels.label_vector))
        assert vector["tuba"] == 1.0 and vector["viola"] == pytest.approx(0.4) and vector["horn"] == pytest.approx(0.9)

    def test_an_empty_list_is_nobody(self, written):
        labels = pool_detections(LabelFileDetector(correct(written[0], instruments=[])).detect(frames(range(4))))
        assert labels.instruments == () and labels.num_players == {}

    def test_players_can_be_counted_by_hand(self, tmp_path):
        for content in ({"instruments": ["vn", "vn", "vc"]}, {"instruments": ["vn", "vc"], "num_players": {"vn": 2}}):
            detections = LabelFileDetector(write(tmp_path, content)).detect(frames(range(3)))
            players, labels = players_and_labels(detections)
            assert dict(labels.num_players) == {"violin": 2, "cello": 1}
            assert [player.instrument for player in players] == ["violin", "violin", "cello"]
            assert labels.label_vector.sum() == 2.0

    def test_a_vector_alone_is_a_whole_frame(self, tmp_path):
        path = write(tmp_path, {"label_vector": {"violin": 0.9, "va": 0.6, "tuba": 0.2}})
        detector = LabelFileDetector(path)
        (whole,) = detector.detect_frame(frames([7])[0])
        assert whole.whole_frame and whole.box_xyxy == WHOLE and whole.instrument == "violin"
        pooled = pool_detections([whole], lookalikes=detector.lookalikes)
        assert pooled.instruments == ("violin", "viola")
        np.testing.assert_allclose(pooled.label_vector, [0.9, 0.6, *[0] * 10, 0.2])

    def test_a_list_alone_is_a_vector_of_ones(self, tmp_path):
        labels = pool_detections(LabelFileDetector(write(tmp_path, {"instruments": ["ob"]})).detect(frames([0])))
        assert labels.instruments == ("oboe",) and labels.label_vector[URMP_13.index("oboe")] == 1.0
        assert labels.label_vector.sum() == 1.0

    def test_boxes_by_hand(self, tmp_path):
        boxes = [{"time_seconds": t, "box_xyxy": LEFT, "instrument": "va"} for t in range(3)]
        (seen,) = LabelFileDetector(write(tmp_path, {"detections": boxes})).detect_frame(frames([1])[0])
        assert seen == see(1.0, LEFT, viola=1.0)

    def test_a_corrected_instrument_of_a_box_changes_places_with_the_wrong_one(self, written):
        content = json.loads(written[0].read_text())
        for detection in content["detections"]:
            if detection["instrument"] == "violin":
                detection["instrument"] = "viola"
        path = correct(written[0], detections=content["detections"], instruments=None, label_vector=None)
        seen = LabelFileDetector(path).detect(frames(range(10)))
        assert seen[0] == see(0.0, LEFT, viola=0.55, violin=0.4, player_confidence=0.75)
        assert pool_detections(seen).instruments == ("viola", "horn")

    def test_a_person_who_plays_something_else_stays_other(self, tmp_path):
        box = dataclasses.asdict(see(0.0, LEFT, violin=0.2)) | {"instrument": "other", "confidence": 0.8}
        box["label_confidences"] = {"violin": 0.2}
        (seen,) = LabelFileDetector(write(tmp_path, {"detections": [box]})).detect_frame(frames([0])[0])
        assert (seen.instrument, seen.confidence, seen.label_confidences[0]) == ("other", 0.8, 0.2)

    def test_windows_editors_may_save_it(self, tmp_path):
        path = tmp_path / "labels.json"
        path.write_bytes(b"\xef\xbb\xbf" + b'{"instruments": ["vn"]}\r\n')
        assert len(LabelFileDetector(path).detect(frames([0]))) == 1


BOX = {"time_seconds": 0, "box_xyxy": [0, 0, 5, 5], "instrument": "vn"}


class TestMistakes:
    @pytest.mark.parametrize(
        "content, message",
        [
            ("", "The file is empty"),
            ("{", "Expected a label file in JSON"),
            ("[" * 100_000, "Expected a label file in JSON"),
            ("[1]", r"with an object. Received: \[1\]"),
            ({"x": 1}, "any of instruments, label_vector and detections.*none of them"),
            ({"instruments": "vn"}, "instruments as a list of names.*Received: 'vn'"),
            ({"instruments": ["vn"], "num_players": {"vn": 1.5}}, "num_players.violin as a whole .* 1,000.*1.5"),
            ({"instruments": ["vn"], "num_players": {"vn": 0}}, "num_players.vn as a whole number of 1 to 1,000.*: 0"),
            ({"instruments": ["vn"], "num_players": {"vn": 1001}}, "num_players.vn as a whole .* 1,000.*: 1001"),
            ({"label_vector": {"vn": 2}}, r"label_vector.vn as a confidence in \[0, 1\].*Received: 2"),
            ({"label_vector": {"vn": True}}, "label_vector.vn.*Received: True"),
            ('{"label_vector": {"vn": NaN}}', "label_vector.vn.*Received: nan"),
            ({"label_vector": [1, 0]}, "label_vector as an object of instruments"),
            ({"label_vector": {}, "threshold": "high"}, r"threshold in \[0, 1\].*Received: 'high'"),
            ({"instruments": [], "picture_size": [1, 2]}, "picture_size as width and height"),
            ({"instruments": [], "picture_size": {"width": 5}}, "picture_size.height above 0.*Received: None"),
            ({"detections": {}}, "detections as a list"),
            ({"detections": [3]}, r"detections\[0\] as an object"),
            ({"detections": [BOX, {**BOX, "time_seconds": -1}]}, r"detections\[1\].time_seconds of 0 or more.*-1"),
            ({"detections": [{**BOX, "box_xyxy": [5, 0, 0, 5]}]}, r"detections\[0\].box_xyxy as .*x1 <= x2"),
            ({"detections": [{**BOX, "box_xyxy": [0, 0, 5, "5"]}]}, r"detections\[0\].box_xyxy"),
            ({"detections": [{**BOX, "whole_frame": 1}]}, "whole_frame as true or false"),
            ({"detections": [{**BOX, "player_confidence": 3}]}, r"player_confidence in \[0, 1\]"),
            ({"detections": [{**BOX, "instrument": None}]}, "with an instrument or label_confidences"),
            ({"detections": [{**BOX, "instrument": 4}]}, "instrument as a name"),
        ],
    )
    def test_what_is_wrong_is_said_in_one_line(self, tmp_path, content, message):
        path = write(tmp_path, content)
        with pytest.raises(MediaError, match=message) as raised:
            create_detector(f"labels:{path}")
        assert str(path) in str(raised.value) and "\n" not in str(raised.value) and len(str(raised.value)) < 400

    @pytest.mark.parametrize(
        "content, message",
        [
            ({"instruments": ["violn"]}, "Did you mean 'violin'"),
            ({"detections": [{**BOX, "instrument": "kazoo"}]}, "Unknown instrument.*'kazoo'"),
            ({"instruments": [], "schema_version": 3}, "schema_version 1 or 2.*Received: 3"),
        ],
    )
    def test_what_it_does_not_know_is_named(self, tmp_path, content, message):
        path = write(tmp_path, content)
        with pytest.raises(ParameterError, match=message) as raised:
            LabelFileDetector(path)
        assert str(path) in str(raised.value)

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(MediaError, match="There is no such file.*nowhere.json"):
            create_detector(f"labels:{tmp_path / 'nowhere.json'}")
        with pytest.raises(ParameterError, match="Did you mean 'labels:film.json'"):
            create_detector("film.json")
