"""The rule of combination, worked by hand for detectors that say what they are told to."""

import numpy as np
import pytest

from av_sep.errors import ParameterError
from av_sep.instruments import MUSDB_4, URMP_13, Taxonomy
from av_sep.types import Detection, VideoFrame
from vision.detector import InstrumentDetector, create_detector
from vision.ensemble_detector import EnsembleDetector
from vision.hub_detector import HubDetector
from vision.labels import pool_detections

LEFT, RIGHT, WHOLE = (0.0, 0.0, 50.0, 100.0), (120.0, 0.0, 170.0, 100.0), (0.0, 0.0, 200.0, 100.0)
IN_LEFTS_HANDS = (10.0, 20.0, 35.0, 45.0)
PICTURE = np.zeros((100, 200, 3), np.uint8)
OPEN_IMAGES = ("violin", "cello", "flute", "oboe", "saxophone", "trumpet", "horn", "trombone")


class Told(InstrumentDetector):
    """Sees the same in every frame, and counts how often it looks."""

    taxonomy = URMP_13

    def __init__(self, *seen, known=URMP_13.names):
        self.seen, self.known, self.num_looks = seen, known, 0

    def visible_instruments(self):
        return self.known

    def detect_frame(self, video_frame):
        self.num_looks += 1
        return list(self.seen)


def box(box_xyxy, instrument=None, whole_frame=False, **confidences):
    vector = tuple(confidences.get(name, 0.0) for name in URMP_13.names)
    best = URMP_13.names[int(np.argmax(vector))]
    return Detection(0.0, box_xyxy, instrument or best, max(vector), vector, 1.0, whole_frame)


def combine(*detectors):
    return EnsembleDetector(detectors).detect_frame(VideoFrame(0.0, PICTURE))


def confidence(detection, name):
    return detection.label_confidences[URMP_13.index(name)]


def test_both_see_a_player_the_mean_counts():
    (seen,) = combine(Told(box(LEFT, cello=0.9, horn=0.1)), Told(box((4.0, 0.0, 54.0, 100.0), cello=0.5, flute=0.2)))
    assert seen.box_xyxy == LEFT and seen.instrument == "cello" and seen.confidence == pytest.approx(0.7)
    assert confidence(seen, "horn") == pytest.approx(0.05) and confidence(seen, "flute") == pytest.approx(0.1)


def test_lookalikes_of_which_the_taxonomy_has_one_or_none_are_passed_over():
    violin = Taxonomy("violin", [URMP_13.instruments[URMP_13.index("violin")]])
    detectors = [Told(Detection(0.0, LEFT, "violin", sure, (sure,), 1.0)) for sure in (0.9, 0.5)]
    for detector in detectors:
        detector.taxonomy, detector.known = violin, violin.names
    (seen,) = combine(*detectors)
    assert seen.label_confidences == pytest.approx((0.7,))


@pytest.mark.parametrize("order", [1, -1])
def test_an_instrument_box_inside_a_player_is_the_players(order):
    detectors = [Told(box(LEFT, flute=0.8)), Told(box(IN_LEFTS_HANDS, flute=0.4))]
    (seen,) = combine(*detectors[::order])
    assert seen.confidence == pytest.approx(0.6) and seen.box_xyxy == (LEFT, IN_LEFTS_HANDS)[order < 0]


def test_a_box_that_one_misses_keeps_three_quarters():
    left, right = combine(Told(box(LEFT, cello=0.8)), Told(box(RIGHT, horn=0.4)))
    assert (left.instrument, right.instrument) == ("cello", "horn")
    assert left.confidence == pytest.approx(0.6) and right.confidence == pytest.approx(0.3)


def test_who_has_no_name_for_an_instrument_is_not_asked():
    blind = Told(box(RIGHT, flute=0.9), known=OPEN_IMAGES)
    left, right = combine(Told(box(LEFT, tuba=0.7), box(RIGHT, tuba=0.2, flute=0.3)), blind)
    assert confidence(left, "tuba") == pytest.approx(0.7)
    assert confidence(right, "tuba") == pytest.approx(0.2) and confidence(right, "flute") == pytest.approx(0.6)


def test_the_violin_of_a_detector_without_violas_is_shared_out():
    knows_both, blind = Told(box(LEFT, violin=0.3, viola=0.6)), Told(box(LEFT, violin=0.9), known=OPEN_IMAGES)
    (seen,) = combine(knows_both, blind)
    assert seen.instrument == "viola"
    assert confidence(seen, "viola") == pytest.approx(0.6) and confidence(seen, "violin") == pytest.approx(0.3)
    (alone,) = combine(Told(box(LEFT, violin=0.3, viola=0.6)), Told(known=OPEN_IMAGES))
    assert confidence(alone, "viola") == pytest.approx(0.45) and confidence(alone, "violin") == pytest.approx(0.225)
    (literal,) = combine(Told(box(LEFT, violin=0.9), known=OPEN_IMAGES), Told(known=("viola",)))
    assert confidence(literal, "violin") == pytest.approx(0.9) and confidence(literal, "viola") == 0.0


def test_chances_of_one_player_do_not_exceed_certainty():
    (seen,) = combine(Told(box(LEFT, flute=1.0), known=("flute",)), Told(box(LEFT, oboe=0.6), known=("oboe",)))
    assert sum(seen.label_confidences) == pytest.approx(1.0)
    assert confidence(seen, "flute") / confidence(seen, "oboe") == pytest.approx(1 / 0.6)


def test_whole_frames_are_averaged_over_those_who_judged_them():
    judged = Told(box(WHOLE, whole_frame=True, tuba=0.8, flute=0.2)), Told(box(WHOLE, whole_frame=True, flute=0.6))
    (seen,) = combine(*judged, Told(box(WHOLE, instrument="other", whole_frame=True)), Told(known=OPEN_IMAGES))
    assert seen.whole_frame and confidence(seen, "tuba") == pytest.approx(0.4)
    assert confidence(seen, "flute") == pytest.approx(0.4)


def test_somebody_who_plays_nothing_stays_other():
    surely = Detection(0.0, LEFT, "other", 0.9, box(LEFT, tuba=0.1).label_confidences)
    (seen,) = combine(Told(surely), Told())
    assert seen.instrument == "other" and seen.confidence == pytest.approx(0.9)
    (seen,) = combine(Told(surely), Told(box(LEFT, tuba=0.95)))
    assert seen.instrument == "tuba" and seen.confidence == pytest.approx(0.525)


def test_each_frame_is_looked_at_once_and_players_come_from_left_to_right():
    detectors = Told(box(RIGHT, horn=0.9)), Told(box(LEFT, flute=0.9))
    frames = [VideoFrame(float(t), PICTURE) for t in range(5)]
    seen = EnsembleDetector(detectors).detect(iter(frames))
    assert [detector.num_looks for detector in detectors] == [5, 5]
    assert [detection.instrument for detection in seen] == ["flute", "horn"] * 5


def test_order_of_the_detectors_changes_places_only():
    rng = np.random.default_rng(0)
    for _ in range(20):
        told = [
            Told(*(box((x + rng.normal(0, 3), 0.0, x + 40.0, 90.0), **{name: rng.uniform(0.1, 1)})
                   for x, name in zip(range(0, 200, 60), rng.choice(URMP_13.names, 4)) if rng.uniform() < 0.8))
            for _ in range(2)
        ]  # fmt: skip
        forward, backward = combine(*told), combine(*told[::-1])
        assert [d.instrument for d in forward] == [d.instrument for d in backward]
        np.testing.assert_allclose([d.label_confidences for d in forward], [d.label_confidences for d in backward])


def test_it_agrees_with_itself():
    told = box(LEFT, cello=0.6, violin=0.2), box(RIGHT, flute=0.7), box(WHOLE, whole_frame=True, cello=0.5)
    for alone, twice in zip(combine(Told(*told)), combine(Told(*told), Told(*told)), strict=True):
        assert alone == twice
    assert list(told) == combine(Told(*told))


def test_what_it_knows_is_what_any_of_them_knows():
    ensemble = EnsembleDetector([Told(known=("horn", "violin")), Told(known=("viola",))])
    assert ensemble.visible_instruments() == ("violin", "viola", "horn")


def test_detectors_that_do_not_fit_are_refused():
    other = Told()
    other.taxonomy = MUSDB_4
    with pytest.raises(ParameterError, match="one taxonomy. Received: musdb4, urmp13"):
        EnsembleDetector([Told(), other])
    with pytest.raises(ParameterError, match="Received: no detectors"):
        EnsembleDetector([])


class TestNames:
    def test_commas_divide_before_detectors_only(self, tmp_path):
        labels = tmp_path / "a, b.json"
        labels.write_text('{"instruments": ["vn"]}')
        name = f"hub:https://tfhub.dev/google/x,y/1, embedded,labels:{labels}"
        hub, _, file = create_detector(name).detectors
        assert isinstance(hub, HubDetector) and hub.handle == "https://tfhub.dev/google/x,y/1" and file.path == labels
        assert create_detector("hub:/models/a,b").handle == "/models/a,b"
        assert create_detector("hub:a,embedded/b").handle == "a,embedded/b"

    @pytest.mark.parametrize("name", ["embedded,embedded", "hub:a, hub:a"])
    def test_one_named_twice_is_refused(self, name):
        with pytest.raises(ParameterError, match=f"different detectors.*Received: '{name}'"):
            create_detector(name)

    @pytest.mark.parametrize(
        "name, wrong", [("embeded,hub:a", "embeded"), ("embedded,hub:", "hub:"), ("embedded,x", "embedded,x")]
    )
    def test_unknown_ones_are_named(self, name, wrong):
        with pytest.raises(ParameterError, match=f"Unknown detector.*commas.*\\.keras file. Received: '{wrong}'"):
            create_detector(name)


def test_a_list_of_labels_decides_over_what_is_seen(tmp_path):
    file = tmp_path / "labels.json"
    file.write_text('{"instruments": ["tuba", "vn"]}')
    seen = Told(box(LEFT, cello=0.9), box(WHOLE, whole_frame=True, cello=0.9))
    detections = EnsembleDetector([seen, create_detector(f"labels:{file}")]).detect([VideoFrame(0.0, PICTURE)])
    assert pool_detections(detections).instruments == ("violin", "tuba")


def test_networks_are_loaded_once_for_all_films_of_a_batch(tmp_path):
    """Each with its own file of labels beside the same eyes."""
    detectors = []
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text('{"instruments": ["vn"]}')
        detectors.append(create_detector(f"labels:{tmp_path / name}.json,embedded").detectors)
    (first, eyes), (second, same_eyes) = detectors
    assert eyes is same_eyes and first is not second
