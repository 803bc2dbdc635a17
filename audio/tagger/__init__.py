"""Which instruments a recording holds, by ear: mel features, a small network, and tagging of streams of any length."""

from audio.tagger.packaged import load_tagger
from audio.tagger.stream_tagger import Hearing, StreamTagger

__all__ = ["Hearing", "StreamTagger", "load_tagger"]
