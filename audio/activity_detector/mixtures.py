"""Windows to train the activity detector on: those of the tagger, whose players rest, and who of them plays when.

Whether somebody plays in a moment is told by the level of his line alone, as the bank has it: before rooms and
microphones, which ring on and hiss. A moment in which a player is soft, or has just fallen silent, is not asked for.

Conventions: waveforms are float32 `[time]`; a moment is a number of samples that divides a window, of
`FRAMES_PER_MOMENT` frames; `plays` and `asked` are float32 `[num_moments, num_instruments]`, 0 or 1; levels are
decibels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft

from audio.listening.candidates import CandidateConfig, draw_candidates
from audio.listening.mixtures import (
    FADE_SECONDS,
    PlayerPool,
    WindowConfig,
    colour_player,
    draw_instruments,
    draw_line,
    record,
)
from av_sep.datasets.solo_bank import SoloBank
from av_sep.instruments import Taxonomy

FRAMES_PER_MOMENT = 4
# Relative to the mean power of a line's loudest quarter of frames.
PLAYS_DB = -35.0
RESTS_DB = -50.0
SILENT_DB = -120.0
_LOUD_SHARE = 0.25


@dataclass(frozen=True)
class RestingWindowConfig:
    """How windows are drawn whose players rest.

    Attributes:
        windows: length, company, levels, rooms and microphones.
        moment_samples: length of a moment.
        silent_probability: chance that a player who is said to play rests all through the window.
        rests_probability: chance that he rests now and then.
        stretch_seconds: least and greatest length of what he plays, and of what he rests, then.
    """

    windows: WindowConfig
    moment_samples: int
    silent_probability: float = 0.1
    rests_probability: float = 0.5
    stretch_seconds: tuple[float, float] = (0.4, 5.0)

    @property
    def num_moments(self) -> int:
        """In a window."""
        return self.windows.num_samples // self.moment_samples

    @property
    def frame_samples(self) -> int:
        """Samples in a frame of levels."""
        return self.moment_samples // FRAMES_PER_MOMENT


def resting_windows(num_samples: int, moment_samples: int) -> RestingWindowConfig:
    """What the packaged detector was trained on: hardly ever nobody, and fewer wrong candidates than the tagger."""
    candidates = CandidateConfig(
        all_probability=0.2, missing_probability=0.03, num_extra_weights=(0.4, 0.3, 0.15, 0.1, 0.05)
    )
    numbers = (0.02, 0.13, 0.27, 0.3, 0.18, 0.1)
    windows = WindowConfig(num_samples, num_instruments_weights=numbers, candidates=candidates)
    return RestingWindowConfig(windows, moment_samples)


@dataclass(frozen=True, eq=False)
class LeveledPool(PlayerPool):
    """Players of a pool, and how loud their lines are.

    Attributes:
        levels_db: float16 `[num_players, num_frames]` by instrument.
    """

    levels_db: dict[str, np.ndarray]


def draw_leveled_pool(
    bank: SoloBank, config: RestingWindowConfig, *, seed: int, num_players: int
) -> LeveledPool:
    """A pool of `num_players` players of every instrument that the bank has solos of."""
    waveforms, levels = {}, {}
    for number, name in enumerate(sorted(name for name in bank.lines if bank.solos(name))):
        rngs = (np.random.default_rng((seed, number, player)) for player in range(num_players))
        players = [_draw_leveled_player(bank, name, config, rng) for rng in rngs]
        waveforms[name], levels[name] = (np.stack(parts) for parts in zip(*players))
    return LeveledPool(bank.sample_rate_hz, waveforms, levels)


def _draw_leveled_player(
    bank: SoloBank, instrument: str, config: RestingWindowConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A player `[time]` and the levels of his line `[num_frames]`, float16."""
    line = draw_line(bank, instrument, config.windows, rng)
    player = colour_player(line, bank.sample_rate_hz, config.windows, rng)
    return player.astype(np.float16), levels_db(line, config.frame_samples).astype(np.float16)


def levels_db(line: np.ndarray, frame_samples: int) -> np.ndarray:
    """Levels of the frames of a line `[time]` relative to its loud ones, `[num_frames]`; `SILENT_DB` at least."""
    power = np.mean(np.square(line[: len(line) // frame_samples * frame_samples]).reshape(-1, frame_samples), axis=1)
    loud = np.mean(np.sort(power)[-max(int(_LOUD_SHARE * len(power)), 1) :])
    # Lines are in steps of 16 bits: what stays below one is a pause.
    if loud < 1:
        return np.full(len(power), SILENT_DB)
    return np.maximum(10 * np.log10(np.maximum(power / loud, 1e-12)), SILENT_DB)


def make_resting_windows(
    pool: LeveledPool, taxonomy: Taxonomy, config: RestingWindowConfig, *, seed: int, index: int, batch_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Batch number `index` of the endless stream that `seed` names.

    Returns:
        (waveforms float32 `[batch, time]`, candidates float32 `[batch, num_instruments]`, `plays` and `asked`, each
        `[batch, num_moments, num_instruments]`). Nobody is asked for who is no candidate.
    """
    families = [instrument.family for instrument in taxonomy.instruments]
    items = []
    for item in range(batch_size):
        rng = np.random.default_rng((seed, index, item))
        waveform, labels, plays, asked = make_resting_window(pool, taxonomy.names, config, rng)
        candidates = draw_candidates(labels, families, config.windows.candidates, rng)
        items.append((waveform, candidates.astype(np.float32), plays, asked * candidates))
    waveforms, candidates, plays, asked = (np.stack(parts) for parts in zip(*items))
    return waveforms, candidates, plays, asked


def make_resting_window(
    pool: LeveledPool, instruments: Sequence[str], config: RestingWindowConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One window `[time]`, who is in it `[num_instruments]`, `plays` and `asked`."""
    windows = config.windows
    chosen = draw_instruments([name for name in instruments if name in pool.waveforms], windows, rng)
    labels = np.array([name in chosen for name in instruments], np.float32)
    music = np.zeros(windows.num_samples, np.float32)
    levels = np.full((len(instruments), config.num_moments * FRAMES_PER_MOMENT), SILENT_DB, np.float32)
    for name in chosen:
        row = levels[list(instruments).index(name)]
        for _ in range(1 + (rng.random() < windows.second_player_probability)):
            player = rng.integers(len(pool.waveforms[name]))
            gain = draw_rests(config, pool.sample_rate_hz, rng)
            level = np.float32(10 ** (rng.normal(0, windows.level_spread_db) / 20))
            music += level * gain * pool.waveforms[name][player]
            row[:] = np.maximum(row, gated(pool.levels_db[name][player], gain, config.frame_samples))
    plays, asked = judge(levels.reshape(len(instruments), config.num_moments, FRAMES_PER_MOMENT).max(axis=2).T)
    return record(scipy.fft.rfft(music), pool.sample_rate_hz, windows, rng), labels, plays, asked


def draw_rests(config: RestingWindowConfig, sample_rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """The gain of a player over a window, float32 `[time]`: 1 while he plays, 0 while he rests, short fades between."""
    num_samples, kind = config.windows.num_samples, rng.random()
    gain = np.ones(num_samples, np.float32)
    if kind < config.silent_probability:
        return np.zeros_like(gain)
    if kind >= config.silent_probability + config.rests_probability:
        return gain
    shortest, longest = (seconds * sample_rate_hz for seconds in config.stretch_seconds)
    # The first stretch has begun before the window.
    start, rests = -rng.uniform(0, longest), bool(rng.integers(2))
    while start < num_samples:
        end = start + rng.uniform(shortest, longest)
        if rests:
            gain[max(int(start), 0) : max(int(end), 0)] = 0
        start, rests = end, not rests
    num_fade = 2 * int(FADE_SECONDS * sample_rate_hz / 2) + 1
    # What began before the window, or goes on after it, does not fade at its ends.
    padded = np.pad(gain, num_fade // 2, "edge")
    return np.convolve(padded, np.full(num_fade, 1 / num_fade, np.float32), "valid")


def gated(levels: np.ndarray, gain: np.ndarray, frame_samples: int) -> np.ndarray:
    """Levels `[num_frames]` of a player, silent in frames in which he rests throughout."""
    loudest = gain[: len(levels) * frame_samples].reshape(-1, frame_samples).max(axis=1)
    return np.where(loudest > 0, levels.astype(np.float32), np.float32(SILENT_DB))


def judge(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Who plays, and whether to ask, of levels `[num_moments, num_instruments]`; see the module."""
    plays = levels > PLAYS_DB
    asked = plays | (levels < RESTS_DB)
    # The room rings.
    asked[1:] &= plays[1:] | ~plays[:-1]
    return plays.astype(np.float32), asked.astype(np.float32)
