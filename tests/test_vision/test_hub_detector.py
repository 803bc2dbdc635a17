"""A SavedModel with the Open Images signature, really loaded by TensorFlow Hub."""

import numpy as np
import pytest

from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import MUSDB_4, URMP_13
from av_sep.types import Detection, VideoFrame
from vision.detector import create_detector
from vision.embedded_detector import EmbeddedDetector
from vision.hub_detector import BATCH_SIZE, HubDetector, HubNetwork, load_hub_network
from vision.labels import pool_detections
from vision.open_images import ENTITIES


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A detector that really looks: it boxes the bright part of the picture and calls it cello, violin and tree."""
    import tensorflow as tf

    class BrightPart(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.float32)])
        def __call__(self, images):
            tf.debugging.assert_less_equal(tf.reduce_max(images), 1.0)
            size = tf.cast(tf.shape(images)[1:3], tf.float32)
            places = tf.cast(tf.where(images[0, :, :, 0] > 0.5), tf.float32)
            box = tf.concat([tf.reduce_min(places, 0) / size, (tf.reduce_max(places, 0) + 1) / size], 0)
            corner = tf.constant([0.0, 0.0, 0.1, 0.1])
            return {
                "detection_boxes": tf.stack([box, box, box, corner, corner]),
                "detection_class_entities": tf.constant(["Violin", "Cello", "Tree", "French horn", "Trombone"]),
                "detection_scores": tf.constant([0.3, 0.8, 0.9, 0.6, 0.04]),
            }

    module, folder = BrightPart(), tmp_path_factory.mktemp("open_images")
    tf.saved_model.save(module, str(folder), signatures={"default": module.__call__})
    return folder


@pytest.fixture
def frame():
    picture = np.full((200, 400, 3), 20, np.uint8)
    picture[50:150, 240:320] = 230
    return VideoFrame(1.5, picture)


def test_boxes_names_and_times(model_folder, frame):
    horn, cello = HubDetector(str(model_folder)).detect_frame(frame)
    assert (horn.instrument, cello.instrument) == ("horn", "cello")
    np.testing.assert_allclose(cello.box_xyxy, (240, 50, 320, 150), atol=1e-3)
    np.testing.assert_allclose(horn.box_xyxy, (0, 0, 40, 20), atol=1e-3)
    assert horn.confidence == pytest.approx(0.6) and cello.time_seconds == 1.5


def test_two_names_for_one_box_are_one_soft_detection(model_folder, frame):
    cello = HubDetector(str(model_folder)).detect_frame(frame)[1]
    expected = np.zeros(13)
    expected[URMP_13.index("violin")], expected[URMP_13.index("cello")] = 0.3, 0.8
    np.testing.assert_allclose(cello.label_confidences, expected, atol=1e-6)


def test_from_name_to_labels(model_folder, frame):
    detector = create_detector(f"hub:{model_folder}")
    labels = pool_detections(detector.detect([frame, VideoFrame(2.5, frame.picture)]))
    assert labels.instruments == ("cello", "horn") and labels.num_players == {"cello": 1, "horn": 1}


@pytest.fixture(scope="module")
def batch_folder(tmp_path_factory):
    """A detector that takes any number of pictures: it calls each a horn in version 4's words, as sure as it is red."""
    import tensorflow as tf

    class Redness(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
        def __call__(self, pictures):
            num = tf.shape(pictures)[0]
            red = tf.reduce_mean(pictures[..., 0], [1, 2])
            return {
                "detection_boxes": tf.tile([[[0.0, 0.0, 0.5, 0.5], [0.0, 0.5, 1.0, 1.0]]], [num, 1, 1]),
                "detection_class_entities": tf.tile([["Horn", "?"]], [num, 1]),
                "detection_class_names": tf.tile([["/m/0319l", "/m/05kms"]], [num, 1]),
                "detection_scores": tf.stack([red, red / 2], 1),
                "num_pictures": tf.repeat(num, num),
            }

    module, folder = Redness(), tmp_path_factory.mktemp("batches")
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.__call__})
    return folder


class TestBatches:
    LEVELS = (250, 200, 150, 100, 50, 225, 25, 5, 75, 0)

    def film(self):
        sizes = [(20, 30)] * 6 + [(40, 30)] * 4
        return [VideoFrame(float(t), np.full((*size, 3), level, np.uint8))
                for t, (size, level) in enumerate(zip(sizes, self.LEVELS))]  # fmt: skip

    def test_each_frame_gets_its_own_detections(self, batch_folder):
        detector = HubDetector(str(batch_folder))
        together = list(detector.iter_detections(iter(self.film())))
        assert [frame.time_seconds for frame, _ in together] == list(range(10))
        assert [found for _, found in together] == [detector.detect_frame(frame) for frame in self.film()]
        for level, (frame, found) in zip(self.LEVELS, together):
            expected = {name: level / share for name, share in (("horn", 255), ("oboe", 510)) if level / share >= 0.1}
            seen = {detection.instrument: detection.confidence for detection in found if not detection.whole_frame}
            assert seen == pytest.approx(expected)
            assert not seen or found[0].box_xyxy == (0.0, 0.0, 15.0, frame.picture.shape[0] / 2)

    def test_frames_of_one_size_go_through_together(self, batch_folder):
        detector = HubDetector(str(batch_folder))
        detector.detect_frame(self.film()[0])
        predict, sizes = detector._network.predict, []
        spy = lambda images: sizes.append(len(images)) or predict(images)  # noqa: E731
        detector._network = HubNetwork(spy, takes_batches=True)
        detector.detect(self.film())
        assert sizes == [BATCH_SIZE, 2, 4]

    def test_a_model_for_one_picture_gets_one(self, model_folder, frame):
        network = load_hub_network(str(model_folder))
        assert not network.takes_batches
        found = HubDetector(str(model_folder)).detect([frame] * 3)
        assert [detection.instrument for detection in found] == ["horn", "cello"] * 3


def test_a_frame_that_shows_nothing_still_counts(model_folder):
    detector = HubDetector(str(model_folder), min_confidence=0.99)
    picture = np.full((60, 80, 3), 230, np.uint8)
    (nothing,) = detector.detect_frame(VideoFrame(2.0, picture))
    assert nothing.whole_frame and nothing.instrument == "other" and not any(nothing.label_confidences)
    assert nothing.box_xyxy == (0.0, 0.0, 80.0, 60.0) and nothing.time_seconds == 2.0
    once = HubDetector(str(model_folder)).detect_frame(VideoFrame(20.0, picture))
    film = [Detection(float(t), nothing.box_xyxy, "other", 0.0, (0.0,) * 13, 1.0, True) for t in range(20)]
    assert pool_detections(once).instruments == ("cello", "horn") and pool_detections(film + once).instruments == ()


def test_a_taxonomy_without_its_instruments_is_refused():
    with pytest.raises(ParameterError, match=r"at least one of violin, cello.*Received: musdb4"):
        HubDetector("anywhere", MUSDB_4)


def test_the_table_names_our_instruments():
    assert {entity.instrument for entity in ENTITIES} <= set(URMP_13.names)
    assert {"Horn", "French horn"} <= {entity.name for entity in ENTITIES}  # version 4 says Horn, others French horn
    assert len({entity.identifier for entity in ENTITIES}) == 8 == len({entity.instrument for entity in ENTITIES})


def test_it_says_what_it_cannot_see():
    unseen = set(URMP_13.names) - set(HubDetector("anywhere").visible_instruments())
    assert unseen == {"viola", "double_bass", "clarinet", "bassoon", "tuba"}


def test_a_model_with_other_outputs_is_refused(tmp_path, frame):
    import tensorflow as tf

    module = tf.Module()
    signature = [tf.TensorSpec([1, None, None, 3], tf.float32)]
    module.f = tf.function(lambda images: {"boxes": images}, input_signature=signature)
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.f})
    with pytest.raises(ParameterError, match=r"outputs detection_boxes.*Received: .*\['serving_default'\]"):
        HubDetector(str(tmp_path)).detect_frame(frame)


def test_a_missing_model_is_a_media_error(tmp_path, frame):
    with pytest.raises(MediaError, match=r"Expected a TF-Hub handle.*Received: '.*nowhere'"):
        HubDetector(str(tmp_path / "nowhere")).detect_frame(frame)


class TestNames:
    def test_embedded_is_the_default(self):
        assert isinstance(create_detector(), EmbeddedDetector)

    @pytest.mark.parametrize(
        "name, suggestion",
        [("embeded", "Did you mean 'embedded'"), ("https://tfhub.dev/1", "Did you mean 'hub:https"), ("hub:", "hub:<")],
    )
    def test_unknown_names_come_with_a_suggestion(self, name, suggestion):
        with pytest.raises(ParameterError, match=suggestion) as raised:
            create_detector(name)
        assert f"Received: {name!r}" in str(raised.value)
