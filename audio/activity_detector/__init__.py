"""The activity detector: it hears who of the labelled instruments plays when."""

from audio.activity_detector.packaged import load_activity_detector
from audio.activity_detector.stream_detector import StreamActivityDetector

__all__ = ["StreamActivityDetector", "load_activity_detector"]
