"""A SavedModel with the Open Images signature, really loaded by TensorFlow Hub."""

import numpy as np
import pytest

from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import URMP_13
from av_sep.types import VideoFrame
from vision.detector import create_detector
from vision.embedded_detector import EmbeddedDetector
from vision.hub_detector import HubDetector
from vision.labels import pool_detections


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
