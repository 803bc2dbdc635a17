"""Small real recordings and films, made by the real ffmpeg."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from av_sep.media import write_audio
from films import run_ffmpeg

RATE_HZ = 22050


def tone(frequency_hz: float, seconds: float, rate_hz: int = RATE_HZ, seed: int = 0) -> np.ndarray:
    """A harmonic tone with a little noise, `[time]`: asymmetric in time, so that a shift shows."""
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    harmonics = sum(np.sin(2 * np.pi * k * frequency_hz * time) / k for k in (1, 2, 3))
    noise = np.random.default_rng(seed).normal(size=len(time))
    return (0.15 * harmonics * (0.2 + time / seconds) + 0.002 * noise).astype(np.float32)


@pytest.fixture(scope="session")
def duet(tmp_path_factory) -> Path:
    """Three seconds of stereo sound: a high and a low tone, panned apart, 32-bit float."""
    high, low = tone(880, 3.0, seed=1), tone(98, 3.0, seed=2)
    waveform = np.stack([0.8 * high + 0.4 * low, 0.3 * high + 0.7 * low], axis=1)
    path = tmp_path_factory.mktemp("sound") / "duet.wav"
    write_audio(path, waveform, RATE_HZ)
    return path


@pytest.fixture(scope="session")
def film(tmp_path_factory, duet) -> Path:
    """The duet under a moving test picture."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    picture = ("-f", "lavfi", "-i", "testsrc=size=322x180:rate=10:duration=3")
    run_ffmpeg(*picture, "-i", duet, "-pix_fmt", "yuv444p", "-c:a", "aac", "-shortest", path)
    return path


@pytest.fixture(scope="session")
def mute_film(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("mute") / "mute.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=size=320x180:rate=10:duration=1", "-pix_fmt", "yuv420p", path)
    return path


PIECES = {
    "01_Jupiter_vn_vc": ("vn", "vc"),
    "03_Dance_fl_cl": ("fl", "cl"),
    "06_Entertainer_sax_sax": ("sax", "sax"),
    "13_Hark_vn_vn_va": ("vn", "vn", "va"),
    "26_King_vn_va_vc_db_fl": ("vn", "va", "vc", "db", "fl"),
}


def write_urmp(root: Path, *, seconds: float = 2.5, rate_hz: int = 48000) -> Path:
    """Five pieces in URMP's layout, 16-bit, each mixture the exact sum of its parts; lengths differ between pieces."""
    for number, (piece, parts) in enumerate(PIECES.items()):
        folder, title = root / piece, "_".join(piece.split("_")[:2])
        folder.mkdir(parents=True)
        sounds = []
        for player, abbreviation in enumerate(parts, 1):
            sound = tone(110.0 * player + 17 * number, seconds + 0.13 * number, rate_hz, seed=10 * number + player)
            sounds.append(np.round(sound * 32768 / len(parts)).astype(np.int16))
            sf.write(folder / f"AuSep_{player}_{abbreviation}_{title}.wav", sounds[-1], rate_hz, subtype="PCM_16")
        mixture = np.sum(sounds, axis=0, dtype=np.int32).astype(np.int16)
        sf.write(folder / f"AuMix_{piece}.wav", mixture, rate_hz, subtype="PCM_16")
    return root


@pytest.fixture(scope="session")
def urmp_tree(tmp_path_factory) -> Path:
    """A small dataset in URMP's layout, to be read only."""
    return write_urmp(tmp_path_factory.mktemp("urmp"))
