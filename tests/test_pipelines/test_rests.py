"""Whom a separation listens for, and who of them is known to play."""

import numpy as np
import pytest

from audio.activity import Activity
from audio.models import load_model
from audio.pooled_model import PooledModel
from av_sep.instruments import URMP_13
from av_sep.types import InstrumentLabels
from pipelines.rests import activity_from_sound, known_to_play, should_gate_rests
from vision.labels import labels_for_all, labels_from_instruments


class DeafDetector:
    """Hears nobody, and remembers whom it was asked for and how loud it was."""

    def track(self, blocks, sample_rate_hz, candidates):
        self.candidates, self.peak = candidates, max(float(np.abs(block).max()) for block in blocks)
        return Activity(tuple(candidates), np.array([1.0, 2.0]), np.full((2, len(candidates)), -7, np.float32))


def detected(*names):
    return InstrumentLabels(URMP_13.names, np.zeros(13, np.float32), names, origin="detected")


@pytest.mark.parametrize(
    ("labels", "seen", "expected"),
    [
        (labels_from_instruments(("violin", "tuba")), None, ("violin", "tuba")),
        (labels_for_all(), None, ()),
        (detected("flute", "tuba"), None, ()),
        (detected("flute", "tuba"), detected("tuba", "horn"), ("tuba",)),
        (detected("flute", "tuba"), detected("flute", "tuba"), ("flute", "tuba")),
    ],
)
def test_named_and_seen_players_are_known_and_heard_ones_guessed(labels, seen, expected):
    assert known_to_play(labels, seen) == expected


def test_unheard_player_keeps_his_estimate_if_he_is_known_and_loses_it_if_not(duet):
    detector = DeafDetector()
    activity = activity_from_sound(duet, ("violin", "tuba"), ("violin",), detector, 4.0)
    assert detector.candidates == ("violin", "tuba") and detector.peak > 1
    violin, tuba = activity.weights(("violin", "tuba"), np.array([1.5]))[:, 0]
    assert violin == 1 and tuba < 1e-6


def test_networks_alone_are_gated_and_only_where_there_is_another_to_have_it():
    network, filters = load_model("conditioned_small"), load_model("wiener")
    assert should_gate_rests(network, ("violin", "tuba")) and not should_gate_rests(filters, ("violin", "tuba"))
    assert should_gate_rests(PooledModel((network, network), (1, 1), (1,)), ("violin", "tuba"))
    assert not should_gate_rests(network, ("violin",)) and not should_gate_rests(network, ("violin", "vocals"))
