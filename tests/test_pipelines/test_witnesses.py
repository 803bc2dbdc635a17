"""Picture and sound as two witnesses: every sentence of the rule, with confidences whose right answer is known."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit

from audio.tagger import Hearing
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import MUSDB_4, URMP_13
from av_sep.media import read_audio, write_audio
from av_sep.types import InstrumentLabels
from pipelines.witnesses import FusionRule, default_witnesses, fuse, labels_from_confidences, labels_from_sound

RULE = FusionRule()
SEEN_THRESHOLD, HEARD_THRESHOLD = 0.4, 0.4


def seen(players=(), **confidences):
    """Labels of a picture: confidences by instrument, 0.02 for the others, and who is taken to be seen."""
    vector = np.array([confidences.get(name, 0.02) for name in URMP_13.names], np.float32)
    counts = dict(players) if isinstance(players, dict) else {name: 1 for name in players}
    names = tuple(name for name in URMP_13.names if name in counts)
    return InstrumentLabels(URMP_13.names, vector, names, counts, SEEN_THRESHOLD, "detected")


def heard(other=0.05, **confidences):
    vector = np.array([confidences.get(name, other) for name in URMP_13.names], np.float32)
    return labels_from_confidences(URMP_13.names, vector, HEARD_THRESHOLD)


@pytest.mark.parametrize(
    ("detector", "witnesses"),
    [("embedded", "both"), ("hub:https://tfhub.dev/x", "both"), ("labels:cast.json", "video"),
     ("embedded,labels:cast.json", "video"), ("embedded, labels:cast.json", "video")],
)  # fmt: skip
def test_nobody_is_asked_besides_labels_that_somebody_gave(detector, witnesses):
    assert default_witnesses(detector) == witnesses


def test_confidence_is_the_sum_of_both_log_odds():
    labels = fuse(seen(["violin"], violin=0.7, cello=0.3), heard(violin=0.6, cello=0.3))
    above = {
        "violin": logit(0.7) - logit(0.4) + logit(0.6) - logit(0.4),
        "cello": logit(0.3) - logit(0.4) + logit(0.3) - logit(0.4),
    }
    for name, expected in above.items():
        assert labels.label_vector[URMP_13.index(name)] == pytest.approx(expit(expected), abs=1e-5), name
    assert labels.instruments == ("violin",) and labels.origin == "detected" and labels.threshold == 0.5
    assert labels.label_vector.dtype == np.float32 and labels.taxonomy == URMP_13.names


def test_clear_player_needs_no_sound():
    assert fuse(seen(["tuba"], tuba=0.9), heard(tuba=0.001)).instruments == ("tuba",)


def test_faint_player_is_outweighed_by_a_sound_sure_of_his_absence():
    picture = seen(["tuba", "flute"], tuba=0.41, flute=0.9)
    assert fuse(picture, heard(tuba=0.001)).instruments == ("flute",)
    assert fuse(picture, heard(tuba=0.35)).instruments == ("flute", "tuba")


def test_one_player_alone_makes_a_solo_likelier_than_a_second_instrument():
    # Above its threshold, the sound's log odds are 0.8.
    sound = heard(flute=0.6)
    assert fuse(seen(["tuba"], tuba=0.9), sound).instruments == ("tuba",)
    assert fuse(seen({"tuba": 2}, tuba=0.9), sound).instruments == ("flute", "tuba")
    assert fuse(seen(["tuba", "oboe"], tuba=0.9, oboe=0.9), sound).instruments == ("flute", "oboe", "tuba")


def test_player_out_of_view_is_heard_where_the_sound_is_surer_than_by_itself():
    picture = seen(["tuba"], tuba=0.9)
    barely, surely = heard(flute=0.45), heard(flute=0.9)
    assert "flute" in barely.instruments and fuse(picture, barely).instruments == ("tuba",)
    labels = fuse(picture, surely)
    assert labels.instruments == ("flute", "tuba") and dict(labels.num_players) == {"tuba": 1}


def test_film_that_shows_nobody_says_nothing_against_anybody():
    sound = heard(flute=0.45, horn=0.8)
    labels = fuse(seen(), sound)
    assert labels.instruments == ("flute", "horn") == sound.instruments and not labels.num_players
    expected = expit(logit(0.45) - logit(HEARD_THRESHOLD))
    assert labels.label_vector[URMP_13.index("flute")] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("violin", "viola", "expected"), [(0.1, 0.8, "viola"), (0.8, 0.1, "violin")])
def test_sound_tells_lookalikes_apart_where_the_picture_is_unsure(violin, viola, expected):
    picture = seen({"violin": 2}, violin=0.5, viola=0.42)
    labels = fuse(picture, heard(violin=violin, viola=viola))
    assert labels.instruments == (expected,) and dict(labels.num_players) == {expected: 2}


def test_sound_does_not_overrule_a_picture_that_is_sure_of_the_lookalike():
    picture = seen(["violin"], violin=0.9, viola=0.05)
    assert "violin" in fuse(picture, heard(violin=0.1, viola=0.9)).instruments


def test_player_who_may_be_either_is_not_both():
    """What makes the cello likely in the picture is the double bass player."""
    picture = seen(["double_bass"], double_bass=0.57, cello=0.43)
    assert fuse(picture, heard(double_bass=0.8, cello=0.42)).instruments == ("double_bass",)
    # A sound that is sure of a second player is believed.
    assert fuse(picture, heard(double_bass=0.8, cello=0.85)).instruments == ("cello", "double_bass")


def test_what_the_picture_half_shows_speaks_for_nobody():
    """The trumpet is likely in the picture, but nobody is taken for its player: that the sound must tell."""
    picture = seen(["horn", "tuba"], horn=0.8, tuba=0.8, trumpet=0.7)
    assert "trumpet" not in fuse(picture, heard(horn=0.8, tuba=0.8, trumpet=HEARD_THRESHOLD - 0.01)).instruments
    assert "trumpet" in fuse(picture, heard(horn=0.8, tuba=0.8, trumpet=HEARD_THRESHOLD + 0.01)).instruments


def test_lookalikes_that_are_both_seen_both_stay():
    picture = seen(["cello", "double_bass"], cello=0.8, double_bass=0.85)
    assert fuse(picture, heard(cello=0.9)).instruments == ("cello", "double_bass")


def test_no_more_than_two_are_believed_that_nobody_saw():
    confidences = dict(zip(("flute", "oboe", "horn", "trumpet", "bassoon"), (0.95, 0.99, 0.97, 0.98, 0.9)))
    labels = fuse(seen(["tuba"], tuba=0.9), heard(**confidences))
    assert labels.instruments == ("oboe", "trumpet", "tuba")


def test_sound_alone_names_the_surest_five():
    confidences = dict(zip(URMP_13.names[:7], (0.5, 0.9, 0.8, 0.46, 0.7, 0.6, 0.55)))
    assert heard(**confidences).instruments == ("viola", "cello", "flute", "oboe", "clarinet")


def test_what_is_less_than_half_as_sure_as_the_surest_is_not_believed_by_sound_alone():
    assert heard(violin=0.9, viola=0.44, tuba=0.46).instruments == ("violin", "tuba")
    assert heard(violin=0.6, viola=0.44, tuba=0.46).instruments == ("violin", "viola", "tuba")


def test_confidences_follow_their_names_into_the_taxonomy():
    labels = labels_from_confidences(("tuba", "kazoo", "violin"), np.array([0.9, 0.8, 0.2]), 0.4)
    assert labels.instruments == ("tuba",)
    assert labels.label_vector[URMP_13.index("violin")] == np.float32(0.2) and labels.label_vector.sum() < 1.2


def test_nothing_heard_is_nothing_even_at_threshold_zero():
    silent = labels_from_confidences(URMP_13.names, np.zeros(13), 0.0)
    assert silent.instruments == () and silent.label_vector.dtype == np.float32
    assert fuse(seen(), silent).instruments == ()
    # Nor does it speak against whom the picture shows.
    assert fuse(seen(["tuba"], tuba=0.41), silent).instruments == ("tuba",)


def test_certainty_gives_finite_confidences():
    labels = fuse(seen(["tuba"], tuba=1.0, violin=0.0), heard(other=0.0, tuba=1.0))
    assert np.isfinite(labels.label_vector).all() and labels.instruments == ("tuba",)


def test_witnesses_must_speak_of_the_same_instruments():
    other = replace(heard(), taxonomy=MUSDB_4.names, label_vector=np.zeros(4, np.float32))
    with pytest.raises(ParameterError, match="speak of the same instruments. Received: violin.*and vocals, drums"):
        fuse(seen(["tuba"], tuba=0.9), other)


class LevelTagger:
    """Says how loud a file is: enough to see what the function hands on."""

    def listen(self, blocks, sample_rate_hz):
        sound = np.concatenate(list(blocks))
        self.received = sound.shape, sample_rate_hz
        self.peak = float(np.abs(sound).max())
        confidences = np.array([0.9 if np.abs(sound).max() > 0.1 else 0.0, 0.5], np.float32)
        return Hearing(("horn", "violin"), confidences, 3, 3)


def test_labels_of_a_file_are_what_the_tagger_says(duet):
    tagger, told = LevelTagger(), []
    labels = labels_from_sound(duet, tagger, 0.15, progress=lambda *step: told.append(step))
    assert labels.instruments == ("violin", "horn") and labels.threshold == 0.15 and not labels.num_players
    assert labels.label_vector[URMP_13.index("horn")] == np.float32(0.9)
    assert tagger.received == ((66150, 2), 22050)
    assert told[-1][0] == "listening" and told[-1][1:] == pytest.approx((3.0, 3.0), abs=0.01)


def test_gain_that_is_known_is_not_measured_again(duet, monkeypatch):
    ordinary, louder = LevelTagger(), LevelTagger()
    labels_from_sound(duet, ordinary)
    monkeypatch.setattr("pipelines.witnesses.recording_gain", lambda path: pytest.fail("measured again"))
    labels_from_sound(duet, louder, gain=3.0)
    assert louder.peak == pytest.approx(3 * ordinary.peak)


def test_file_that_cannot_be_heard(tmp_path, duet):
    with pytest.raises(MediaError, match="nothing.wav"):
        labels_from_sound(tmp_path / "nothing.wav", LevelTagger())
    with pytest.raises(ParameterError, match=r"Expected a threshold in \[0, 1\]. Received: 1.5"):
        labels_from_sound(duet, LevelTagger(), 1.5)


def test_limits_of_the_rule_are_in_order():
    """A clear player must outweigh the sound, a sure sound the empty picture; else the rule says something else."""
    clear = logit(0.9) - logit(SEEN_THRESHOLD)
    assert clear > RULE.heard_against > 0
    assert RULE.heard_for > RULE.unseen_against > 0
    assert 0 < RULE.seen_at_least < RULE.heard_against


def test_module_is_light():
    """The command line may name it without waiting for TensorFlow."""
    code = "import sys, pipelines.witnesses; print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_quiet_recording_is_heard_as_a_loud_one(tmp_path):
    stem = Path(__file__).parents[2] / "examples" / "demo" / "stems" / "cello.flac"
    waveform, rate = read_audio(stem)
    # From just inside the levels that are left as they are to where everything was taken for silence.
    loud = waveform * np.float32(0.017 / np.sqrt(np.mean(waveform**2)))
    vectors = []
    for name, factor in (("loud", 1.0), ("quiet", 2.0**-10)):
        write_audio(tmp_path / f"{name}.wav", loud * np.float32(factor), rate)
        vectors.append(labels_from_sound(tmp_path / f"{name}.wav").label_vector)
    np.testing.assert_array_equal(*vectors)
    assert URMP_13.names[vectors[0].argmax()] == "cello"


def test_silent_file_has_no_instruments(tmp_path):
    write_audio(tmp_path / "silence.wav", np.zeros((8000, 1), np.float32), 8000)
    assert labels_from_sound(tmp_path / "silence.wav").instruments == ()
