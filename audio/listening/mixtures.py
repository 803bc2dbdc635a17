"""What windows to train listening networks on are made of: players of a bank's solo lines, and how they are recorded.

Reading, retuning and colouring a player costs several times what adding one up does, so players are drawn once, as a
pool, and heard in many windows, at another level and in other company each time. Pool and windows are pure functions of
their seeds, so that a run can stop anywhere and go on with the same data.

Conventions: waveforms are float32 `[time]`; curves are gains over the bins of a real FFT.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.fft

from audio.listening.candidates import CandidateConfig
from av_sep.datasets.solo_bank import SoloBank

FADE_SECONDS = 0.02  # where a player's stretch begins and ends
_NUM_EQ_POINTS = 9
_LOWEST_EQ_HZ = 60.0
_NUM_EQ_STEPS = 1000  # finer than any filter that colours sound


@dataclass(frozen=True)
class WindowConfig:
    """How windows are drawn.

    Attributes:
        num_samples: length of a window.
        num_instruments_weights: chance of 0, 1, 2, … instruments; with none there is noise alone.
        second_player_probability: chance that an instrument is played by two.
        level_spread_db: standard deviation of a player's level around the common one.
        max_shift_semitones: largest change of speed and pitch.
        own_recording_probability: chance that a player was recorded by himself, in another room, on another microphone.
        player_eq_db: standard deviation of the colour of each player, at points spread over the logarithmic frequency.
        recording_eq_db: the same of the recording as a whole.
        room_probability: chance that all play in a synthetic room.
        rt60_seconds: least and greatest reverberation time of the room.
        lowpass_probability: chance that the recording ends somewhere between 2.5 kHz and half the sample rate.
        noise_db: lowest and highest level of the recording's noise relative to the music.
        candidates: how it is drawn which instruments are said to be possible.
    """

    num_samples: int
    num_instruments_weights: tuple[float, ...] = (0.02, 0.2, 0.24, 0.24, 0.18, 0.12)
    second_player_probability: float = 0.12
    level_spread_db: float = 4.0
    max_shift_semitones: float = 1.5
    own_recording_probability: float = 0.4
    player_eq_db: float = 5.0
    recording_eq_db: float = 5.0
    room_probability: float = 0.6
    rt60_seconds: tuple[float, float] = (0.15, 2.0)
    lowpass_probability: float = 0.2
    noise_db: tuple[float, float] = (-70.0, -15.0)
    candidates: CandidateConfig = field(default_factory=CandidateConfig)


@dataclass(frozen=True, eq=False)
class PlayerPool:
    """Players drawn from a bank, each alone, coloured and at unit RMS.

    Attributes:
        sample_rate_hz: of the waveforms.
        waveforms: float16 `[num_players, time]` by instrument; half precision leaves their noise 65 dB below them.
    """

    sample_rate_hz: int
    waveforms: dict[str, np.ndarray]


def draw_instruments(available: Sequence[str], config: WindowConfig, rng: np.random.Generator) -> list[str]:
    """Who is in a window, of those that there are players of."""
    weights = np.asarray(config.num_instruments_weights[: len(available) + 1])
    num_playing = rng.choice(len(weights), p=weights / weights.sum())
    return [available[i] for i in rng.choice(len(available), size=num_playing, replace=False)]


def draw_line(bank: SoloBank, instrument: str, config: WindowConfig, rng: np.random.Generator) -> np.ndarray:
    """A stretch of one instrument as the bank has it, but for a pitch shift, float32 `[time]`."""
    lines = bank.solos(instrument)
    lengths = np.array([len(line) for line in lines.values()], np.float64)
    # The square root keeps a small library audible beside a large one.
    source = rng.choice(list(lines), p=np.sqrt(lengths) / np.sqrt(lengths).sum())
    speed = 2 ** (rng.uniform(-1, 1) * config.max_shift_semitones / 12)
    num_read = int(config.num_samples * speed) + 2
    start = int(rng.integers(max(len(lines[source]) - num_read, 0) + 1))
    waveform = np.resize(np.asarray(lines[source][start : start + num_read], np.float32), num_read)
    return np.interp(np.arange(config.num_samples) * speed, np.arange(num_read), waveform).astype(np.float32)


def colour_player(
    waveform: np.ndarray, sample_rate_hz: int, config: WindowConfig, rng: np.random.Generator
) -> np.ndarray:
    """A line `[time]` with a colour of its own, or as recorded by itself, at unit RMS; a pause is left one."""
    spectrum = scipy.fft.rfft(waveform) * random_eq(config.num_samples, sample_rate_hz, config.player_eq_db, rng)
    waveform = scipy.fft.irfft(spectrum, config.num_samples)
    # Lines are in steps of 16 bits: what stays below one is a pause.
    level = max(np.sqrt(np.mean(waveform**2)), 1.0)
    if level > 1 and rng.random() < config.own_recording_probability:
        waveform = record(spectrum, sample_rate_hz, config, rng)
        level = np.sqrt(np.mean(waveform**2))
    return waveform / level


def record(
    spectrum: np.ndarray, sample_rate_hz: int, config: WindowConfig, rng: np.random.Generator
) -> np.ndarray:
    """The waveform `[time]` of a sum of players, coloured, in a room, with noise; its peak is at most 1."""
    spectrum = spectrum * random_eq(config.num_samples, sample_rate_hz, config.recording_eq_db, rng)
    if rng.random() < config.lowpass_probability:
        bins_hz = np.arange(len(spectrum), dtype=np.float32) * np.float32(sample_rate_hz / config.num_samples)
        spectrum /= np.sqrt(1 + (bins_hz / np.float32(rng.uniform(2500.0, sample_rate_hz / 2))) ** 16)
    if rng.random() < config.room_probability:
        # A circular convolution: the end of the window rings at its beginning, as what came before it would.
        spectrum *= scipy.fft.rfft(room_response(config.num_samples, sample_rate_hz, config.rt60_seconds, rng))
    level = np.sqrt(np.mean(np.abs(spectrum) ** 2)) or 1.0
    noise = coloured_noise(len(spectrum), rng)
    spectrum += noise * np.float32(level * 10 ** (rng.uniform(*config.noise_db) / 20))
    waveform = scipy.fft.irfft(spectrum, config.num_samples)
    return (waveform / max(np.abs(waveform).max(), 1e-9)).astype(np.float32)


def room_response(
    num_samples: int, sample_rate_hz: int, rt60_range: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """A direct path and a decaying noise tail (Moorer 1979), RT60 in a range of seconds, float32 `[num_samples]`."""
    rt60_seconds = rng.uniform(*rt60_range)
    time = np.arange(min(int(rt60_seconds * sample_rate_hz), num_samples), dtype=np.float32) / sample_rate_hz
    tail = rng.standard_normal(len(time), np.float32) * 10 ** (-3 * time / rt60_seconds)
    response = np.zeros(num_samples, np.float32)
    response[: len(time)] = tail * (10 ** (rng.uniform(-16, 0) / 20) / np.sqrt(np.sum(tail**2)))
    response[0] += 1.0
    return response


def random_eq(num_samples: int, sample_rate_hz: int, spread_db: float, rng: np.random.Generator) -> np.ndarray:
    """A random gain over the bins of `num_samples`, float32, between points of normal height over log frequency."""
    heights_db = rng.normal(0, spread_db, _NUM_EQ_POINTS)
    curve_db = np.interp(np.linspace(0, _NUM_EQ_POINTS - 1, _NUM_EQ_STEPS), np.arange(_NUM_EQ_POINTS), heights_db)
    return (10 ** (curve_db / 20)).astype(np.float32)[_eq_steps(num_samples, sample_rate_hz)]


@functools.lru_cache(maxsize=4)
def _eq_steps(num_samples: int, sample_rate_hz: int) -> np.ndarray:
    """Which of `_NUM_EQ_STEPS` steps of log frequency each bin stands on; a logarithm per example would cost more."""
    bins_hz = np.maximum(np.arange(num_samples // 2 + 1) * sample_rate_hz / num_samples, _LOWEST_EQ_HZ)
    place = np.log(bins_hz / _LOWEST_EQ_HZ) / np.log(sample_rate_hz / 2 / _LOWEST_EQ_HZ)
    return np.round(place * (_NUM_EQ_STEPS - 1)).astype(np.int64)


def coloured_noise(num_bins: int, rng: np.random.Generator) -> np.ndarray:
    """A spectrum of noise, complex64 `[num_bins]` of unit mean power, falling by 0 to 6 dB per octave."""
    noise = rng.standard_normal(2 * num_bins, np.float32).view(np.complex64)
    noise[1:] *= np.arange(1, num_bins, dtype=np.float32) ** np.float32(-rng.uniform(0, 1))
    return noise / np.sqrt(np.mean(np.abs(noise) ** 2))
