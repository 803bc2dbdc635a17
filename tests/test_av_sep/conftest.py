"""A small library of note samples, made of harmonic tones that begin late and speak slowly, as recorded ones do."""

import numpy as np
import pytest
import soundfile as sf

NAMES = ("C", "Cs", "D", "Ds", "E", "F", "Fs", "G", "Gs", "A", "As", "B")
RATE_HZ = 24000
RANGES = {"violin": (55, 97), "cello": (36, 76), "flute": (60, 96)}


def tone(pitch, seconds, rate_hz, attack_seconds=0.04, silence_seconds=0.08):
    """Five partials after a silence, float32 `[time]`, peak about 0.3."""
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    hz = 440.0 * 2.0 ** ((pitch - 69) / 12)
    partials = [k for k in range(1, 6) if k * hz < 0.45 * rate_hz]
    wave = sum(np.sin(2 * np.pi * k * hz * time + k) / k for k in partials)
    wave *= np.minimum(1.0, time / attack_seconds) * np.minimum(1.0, (seconds - time) / 0.05)
    silence = np.zeros(int(silence_seconds * rate_hz))
    return (0.15 * np.concatenate([silence, wave, silence])).astype(np.float32)


@pytest.fixture(scope="session")
def note_library(tmp_path_factory):
    """Folder of `made/<instrument>/A4.wav` and so on, every three semitones over three instruments' ranges."""
    root = tmp_path_factory.mktemp("notes")
    for instrument, (low, high) in RANGES.items():
        folder = root / "made" / instrument
        folder.mkdir(parents=True)
        for pitch in range(low, high + 1, 3):
            name = f"{NAMES[pitch % 12]}{pitch // 12 - 1}.wav"
            sf.write(folder / name, tone(pitch, 1.2, RATE_HZ), RATE_HZ, subtype="PCM_16")
    return root
