"""Templates of notes against sounds made of partials."""

import numpy as np
import pytest
from scipy.signal import get_window

from audio.harmonic_templates import (
    DECAYS,
    HIGHEST_PITCH,
    LOWEST_PITCH,
    NUM_NOISE_BANDS,
    STEPS_PER_SEMITONE,
    harmonic_templates,
)

RATE_HZ, FRAME = 22050, 4096
BIN_HZ = RATE_HZ / FRAME
FREQUENCIES_HZ = np.arange(FRAME // 2 + 1) * BIN_HZ
NUM_NOTES = (HIGHEST_PITCH - LOWEST_PITCH) * STEPS_PER_SEMITONE


@pytest.fixture(scope="module")
def templates():
    return harmonic_templates(FREQUENCIES_HZ, BIN_HZ)


def test_there_is_a_template_for_every_pitch_and_decay_and_noise_band(templates):
    assert templates.shape == (len(FREQUENCIES_HZ), NUM_NOTES * len(DECAYS) + NUM_NOISE_BANDS)
    assert templates.dtype == np.float32 and templates.min() >= 0
    np.testing.assert_allclose(templates.sum(axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize("pitch", (36, 57, 69.5, 84))
def test_a_note_is_most_like_the_template_of_its_pitch(templates, pitch):
    fundamental_hz = 440 * 2 ** ((pitch - 69) / 12)
    numbers = np.arange(1, int(RATE_HZ / 2 / fundamental_hz))
    seconds = np.arange(FRAME) / RATE_HZ
    note = np.sum(np.cos(2 * np.pi * fundamental_hz * numbers[:, None] * seconds + numbers[:, None] ** 2)
                  / numbers[:, None], axis=0)  # fmt: skip
    spectrum = np.abs(np.fft.rfft(note * np.sqrt(get_window("hann", FRAME))))
    likeness = (templates.T @ spectrum) / np.linalg.norm(templates, axis=0)
    found = likeness[: NUM_NOTES * len(DECAYS)].argmax() // len(DECAYS)
    assert LOWEST_PITCH + found / STEPS_PER_SEMITONE == pitch


def test_pitches_above_the_last_frequency_have_no_template():
    low = harmonic_templates(FREQUENCIES_HZ[FREQUENCIES_HZ < 440], BIN_HZ)
    assert low.shape[1] == (69 - LOWEST_PITCH) * STEPS_PER_SEMITONE * len(DECAYS) + NUM_NOISE_BANDS
    assert np.all(np.isfinite(low))
