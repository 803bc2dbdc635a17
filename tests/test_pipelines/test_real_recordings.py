"""Real clips and real solos, none of them trained on; skipped where they are not at hand."""

from pathlib import Path

import numpy as np
import pytest

import av_sep
from audio.metrics import sdr, si_sdr
from audio.models import load_model
from audio.separator import Separator
from av_sep.instruments import URMP_13
from av_sep.media import read_audio
from pipelines.config import SeparateConfig
from pipelines.separate import SeparationRunner

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def runner():
    return SeparationRunner(SeparateConfig(model="wiener"))


def test_soloist_is_named_and_gets_all_the_sound(runner, shared_data, tmp_path):
    result = runner.run(shared_data / "video" / "violin_solo.mp4", tmp_path)
    assert result.labels.instruments == ("violin",)
    mixture, _ = read_audio(result.input_path)
    np.testing.assert_allclose(read_audio(result.stems["violin"])[0], mixture, atol=1e-6)


def test_ears_tell_the_double_bass_that_eyes_take_for_a_cello(runner, shared_data, tmp_path):
    path = shared_data / "video" / "double_bass_solo.mp4"
    seen = runner.run(path, tmp_path / "seen").labels
    assert set(seen.instruments) < {"cello", "double_bass"} and seen.label_vector[3] > 0.5
    both = SeparationRunner(SeparateConfig(model="wiener", labels="both")).run(path, tmp_path / "both").labels
    assert both.instruments == ("double_bass",)


def test_harpist_plays_none_of_the_thirteen(runner, shared_data, tmp_path):
    with pytest.raises(av_sep.ParameterError, match="nothing is like one of them"):
        runner.run(shared_data / "video" / "harp_solo.mp4", tmp_path)


@pytest.mark.parametrize("pair", [("violin", "cello"), ("flute", "trumpet"), ("cello", "saxophone")])
def test_default_model_beats_the_mixture_on_real_solos(shared_data, pair):
    sources = [first_phrase(shared_data / "audio" / "real_solos" / name) for name in pair]
    num_samples = min(map(len, sources))
    references = np.stack([source[:num_samples] / np.std(source[:num_samples]) for source in sources]) * 0.05
    labels = np.array([name in pair for name in URMP_13.names], np.float32)
    mixture = references.sum(axis=0)
    estimates = Separator(load_model()).separate(mixture, labels, 44100)
    for name, reference in zip(pair, references, strict=True):
        estimate = estimates[URMP_13.index(name)]
        assert sdr(reference, estimate) > sdr(reference, mixture) + 3
        assert si_sdr(reference, estimate) > si_sdr(reference, mixture)


def first_phrase(folder: Path) -> np.ndarray:
    """One channel at 44.1 kHz, `[time, 1]`."""
    waveform, rate = read_audio(sorted(folder.glob("*.flac"))[0])
    assert rate == 44100
    return waveform.mean(axis=1, keepdims=True)
