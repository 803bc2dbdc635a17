"""Mixtures made on the fly from solo lines, with exact sources.

Every example is a pure function of (seed, index), so that a run can stop anywhere and go on with the same data.

Conventions, all float32: mixtures `[batch, time, 1]`, sources `[batch, num_sources, time, 1]`, label vectors
`[batch, num_sources]`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve, oaconvolve

from av_sep.datasets.solo_bank import ENSEMBLES, SoloBank
from av_sep.errors import ParameterError

# Long enough for 43 Hz steps at 22,050 Hz.
COLOUR_TAPS = 512
COLOUR_CORNERS_HZ = 62.5 * 2.0 ** np.arange(9)
# Standard deviations of a player's tuning.
MAX_DETUNINGS = 3.0


@dataclass(frozen=True)
class MixingConfig:
    """How examples are drawn.

    Attributes:
        num_samples: length of an example.
        num_instruments_weights: chance of 1, 2, 3, … instruments.
        level_spread_db: standard deviation of a source's level around the common one.
        mixture_level_db: lowest and highest RMS level of the mixture relative to full scale.
        room_probability: chance that a source is played in a small synthetic room.
        tilt: largest first-order spectral tilt, as the coefficient of `x[n] + tilt * (x[n] - x[n - 1])`.
        max_shift_semitones: largest change of speed and pitch.
        extra_label_probability: chance of a label for an instrument that does not play (detectors err).
        colour_db: standard deviation of a random smooth frequency response that each source is heard through, as of
            another player's instrument and another microphone; 0 for none.
        doubling_probability: chance that an instrument has two players, drawn one by one, whose sum is its stem.
        detuning_semitones: players are in tune with each other: pitch changes by whole semitones and, for each player,
            by a normal deviation of this size, of which at most three times as much occurs. So partials of different
            players meet as they do in an ensemble, which is what makes one hard to separate. None for changes of any
            size, player by player.
        related_probability: chance that the players of an example play one passage of the bank's ensembles together,
            where the bank has any, in place of unrelated lines.
    """

    num_samples: int
    num_instruments_weights: tuple[float, ...] = (0.05, 0.45, 0.3, 0.2)
    level_spread_db: float = 4.0
    mixture_level_db: tuple[float, float] = (-36.0, -14.0)
    room_probability: float = 0.5
    tilt: float = 0.5
    max_shift_semitones: float = 1.5
    extra_label_probability: float = 0.1
    colour_db: float = 0.0
    doubling_probability: float = 0.0
    detuning_semitones: float | None = None
    related_probability: float = 0.0

    @property
    def largest_shift_semitones(self) -> float:
        """No change of speed and pitch is larger."""
        if self.detuning_semitones is None:
            return self.max_shift_semitones
        return round(self.max_shift_semitones) + MAX_DETUNINGS * self.detuning_semitones


@dataclass(frozen=True)
class Passage:
    """What the players of an example play together.

    Attributes:
        start: first sample in the bank's ensembles.
        shift_semitones: change of speed and pitch, for all.
    """

    start: int
    shift_semitones: float


def require_mixable(bank: SoloBank, source_names: Sequence[str], config: MixingConfig, place: str = "the bank") -> None:
    """Makes sure that examples can be drawn from a bank: somebody can play, and so few players have a chance.

    Args:
        bank: see `SoloBank`.
        source_names: of the network.
        config: of the mixtures.
        place: where the bank lies, for errors.

    Raises:
        ParameterError: where the bank has solo lines of none of the sources, or every number of players that has a
            chance is too large for it.
    """
    available = _available(bank, source_names)
    if not available:
        received = ", ".join(_available(bank, bank.instruments)) or "none"
        expected = f"Expected solo lines of some of {', '.join(source_names)} in {place}"
        raise ParameterError(f"{expected}. Received: solo lines of {received}")
    weights = config.num_instruments_weights[: len(available)]
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise ParameterError(
            f"Expected num_instruments_weights of 0 or more, and above 0 for some number of players up to"
            f" {len(available)}, as many of the model's instruments as there are in {place}."
            f" Received: {config.num_instruments_weights}"
        )


def _available(bank: SoloBank, source_names: Sequence[str]) -> list[str]:
    return [name for name in source_names if bank.solos(name)]


def make_batch(bank: SoloBank, source_names, config: MixingConfig, *, seed: int, index: int, batch_size: int):
    """Batch number `index` of the endless stream that `seed` names, of a bank that `require_mixable` lets pass.

    Returns:
        (mixture `[batch, time, 1]`, label_vector `[batch, num_sources]`, sources `[batch, num_sources, time, 1]`).
    """
    rngs = [np.random.default_rng((seed, index, item)) for item in range(batch_size)]
    examples = [make_example(bank, source_names, config, rng) for rng in rngs]
    sources, labels = (np.stack(parts) for parts in zip(*examples))
    return sources.sum(axis=1), labels, sources


def make_example(bank: SoloBank, source_names, config: MixingConfig, rng: np.random.Generator):
    """One example: (sources `[num_sources, time, 1]`, label_vector `[num_sources]`)."""
    available = _available(bank, source_names)
    weights = np.asarray(config.num_instruments_weights[: len(available)])
    num_playing = 1 + rng.choice(len(weights), p=weights / weights.sum())
    passage = None
    # Nothing is drawn where nothing is related, nor below where nobody is doubled, so that seeds keep their meaning.
    if config.related_probability and rng.random() < config.related_probability:
        passage, playing = draw_passage(bank, available, config, rng)
        available = playing or available
        num_playing = min(num_playing, len(available))
    chosen = rng.choice(len(available), size=num_playing, replace=False)
    sources = np.zeros((len(source_names), config.num_samples, 1), np.float32)
    labels = np.zeros(len(source_names), np.float32)
    for slot in (source_names.index(available[i]) for i in chosen):
        sources[slot, :, 0] = draw_source(bank, source_names[slot], config, rng, passage)
        if config.doubling_probability and rng.random() < config.doubling_probability:
            sources[slot, :, 0] += draw_source(bank, source_names[slot], config, rng, passage)
        labels[slot] = 1.0
    # One instrument alone is the mixture itself and teaches nothing, unless a label claims a second one.
    if num_playing == 1 or rng.random() < config.extra_label_probability:
        labels[rng.integers(len(source_names))] = 1.0
    return set_level(sources, rng.uniform(*config.mixture_level_db)), labels


def draw_passage(
    bank: SoloBank, instruments: Sequence[str], config: MixingConfig, rng: np.random.Generator
) -> tuple[Passage | None, list[str]]:
    """A passage of the bank's ensembles and who of `instruments` plays in it; (None, []) if nobody does."""
    lines = {name: bank.lines[name][ENSEMBLES] for name in instruments if ENSEMBLES in bank.lines[name]}
    if not lines:
        return None, []
    start = int(rng.integers(max(map(len, lines.values()))))
    passage = Passage(start, rng.uniform(-1, 1) * config.max_shift_semitones)
    playing = [name for name in lines if np.any(bank.crop(name, ENSEMBLES, start, config.num_samples))]
    return (passage if playing else None), playing


def draw_source(
    bank: SoloBank, instrument: str, config: MixingConfig, rng: np.random.Generator, passage: Passage | None = None
) -> np.ndarray:
    """A stretch of one instrument `[time]` with its own pitch shift, tilt, room and level.

    Args:
        bank: see `SoloBank`.
        instrument: one that it has lines of.
        config: of the mixtures.
        rng: all chance.
        passage: where all read and how they are shifted; None for a place of this player's own.
    """
    if passage is None:
        lines = bank.solos(instrument)
        lengths = np.array([len(line) for line in lines.values()], np.float64)
        # The square root keeps a small library audible beside a large one.
        source = rng.choice(list(lines), p=np.sqrt(lengths) / np.sqrt(lengths).sum())
        shift_semitones = rng.uniform(-1, 1) * config.max_shift_semitones
        start = int(rng.integers(len(lines[source])))
    else:
        source, start, shift_semitones = ENSEMBLES, passage.start, passage.shift_semitones
    if config.detuning_semitones is not None:
        detuning = np.clip(rng.normal(), -MAX_DETUNINGS, MAX_DETUNINGS) * config.detuning_semitones
        shift_semitones = np.round(shift_semitones) + detuning
    speed = 2 ** (shift_semitones / 12)
    num_read = int(config.num_samples * speed) + 2
    waveform = bank.crop(instrument, source, start, num_read)
    waveform = np.interp(np.arange(config.num_samples) * speed, np.arange(num_read), waveform)
    tilt = rng.uniform(-config.tilt, config.tilt)
    waveform = waveform + tilt * np.diff(waveform, prepend=waveform[:1])
    if rng.random() < config.room_probability:
        waveform = add_room(waveform, bank.sample_rate_hz, rng)
    if config.colour_db:
        waveform = add_colour(waveform, bank.sample_rate_hz, config.colour_db, rng)
    return (waveform * 10 ** (rng.normal(0, config.level_spread_db) / 20)).astype(np.float32)


def add_room(waveform: np.ndarray, sample_rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Convolves `[time]` with a direct path and a decaying noise tail (Moorer 1979) of 0.15 to 0.7 s RT60."""
    rt60_seconds = rng.uniform(0.15, 0.7)
    time = np.arange(int(rt60_seconds * sample_rate_hz)) / sample_rate_hz
    response = rng.normal(size=len(time)) * 10 ** (-3 * time / rt60_seconds)
    response *= 10 ** (rng.uniform(-16, -4) / 20) / np.sqrt(np.sum(response**2))
    response[0] += 1.0
    return fftconvolve(waveform, response)[: len(waveform)]


def add_colour(waveform: np.ndarray, sample_rate_hz: int, colour_db: float, rng: np.random.Generator) -> np.ndarray:
    """Hears `[time]` through a smooth zero-phase response: gains drawn every octave from 62.5 Hz up, joined by lines.

    Args:
        waveform: `[time]`.
        sample_rate_hz: of it.
        colour_db: standard deviation of the gains.
        rng: draws them.
    """
    gains_db = rng.normal(0, colour_db, len(COLOUR_CORNERS_HZ))
    bins_hz = np.linspace(0, sample_rate_hz / 2, COLOUR_TAPS // 2 + 1)
    response = 10 ** (np.interp(np.log2(np.maximum(bins_hz, 1.0)), np.log2(COLOUR_CORNERS_HZ), gains_db) / 20)
    impulse = np.fft.fftshift(np.fft.irfft(response))
    impulse = np.append(impulse, impulse[0]) * np.hanning(COLOUR_TAPS + 1)
    return oaconvolve(waveform, impulse, mode="same")


def set_level(sources: np.ndarray, level_db: float) -> np.ndarray:
    """Scales sources `[num_sources, time, 1]` so that their sum has the RMS level, or less where it would clip."""
    mixture = sources.sum(axis=0)
    rms, peak = np.sqrt(np.mean(mixture**2)), np.max(np.abs(mixture))
    if rms == 0:
        return sources
    return sources * np.float32(min(10 ** (level_db / 20) / rms, 0.99 / peak))
