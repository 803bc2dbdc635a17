"""Windows to train and calibrate the tagger on: solo lines of a bank summed, in rooms and on microphones of all kinds.

Players are drawn once, as a pool; see `audio.listening.mixtures`.

Conventions: waveforms are float32 `[time]`, labels and candidates float32 `[num_instruments]`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft

from audio.listening.candidates import draw_candidates
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

_LOUDNESS_STEP = 64  # samples


@dataclass(frozen=True)
class TaggerWindowConfig(WindowConfig):
    """How windows are drawn: as `WindowConfig`, and of some players little is heard.

    Attributes:
        short_probability: chance that of a player only a short stretch is heard, the rest being a rest.
        short_seconds: least and greatest length of that stretch.
    """

    short_probability: float = 0.15
    short_seconds: tuple[float, float] = (0.25, 1.5)


SourceFilter = Callable[[str, str], bool]  # whether to use a source, by its instrument and its own name


def filter_sources(bank: SoloBank, wanted: SourceFilter) -> SoloBank:
    """The bank with the sources that are wanted, and the instruments that have any."""
    lines = {
        instrument: {source: line for source, line in sources.items() if wanted(instrument, source)}
        for instrument, sources in bank.lines.items()
    }
    return SoloBank(bank.sample_rate_hz, {instrument: sources for instrument, sources in lines.items() if sources})


def draw_pool(bank: SoloBank, config: TaggerWindowConfig, *, seed: int, num_players: int) -> PlayerPool:
    """A pool of `num_players` players of every instrument that the bank has solos of.

    Lines of ensembles are left out: who is silent in a passage would be labelled as playing.
    """
    waveforms = {}
    for number, name in enumerate(sorted(name for name in bank.lines if bank.solos(name))):
        rngs = (np.random.default_rng((seed, number, player)) for player in range(num_players))
        waveforms[name] = np.stack([draw_player(bank, name, config, rng).astype(np.float16) for rng in rngs])
    return PlayerPool(bank.sample_rate_hz, waveforms)


def make_windows(
    pool: PlayerPool, taxonomy: Taxonomy, config: TaggerWindowConfig, *, seed: int, index: int, batch_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Batch number `index` of the endless stream that `seed` names.

    Returns:
        (waveforms float32 `[batch, time]`, candidates float32 `[batch, num_instruments]`, labels of the same shape).
    """
    rngs = [np.random.default_rng((seed, index, item)) for item in range(batch_size)]
    waveforms, labels = zip(*(make_window(pool, taxonomy.names, config, rng) for rng in rngs))
    families = [instrument.family for instrument in taxonomy.instruments]
    candidates = [draw_candidates(truth, families, config.candidates, rng) for truth, rng in zip(labels, rngs)]
    return np.stack(waveforms), np.stack(candidates), np.stack(labels)


def make_window(
    pool: PlayerPool, instruments: Sequence[str], config: TaggerWindowConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One window `[time]` and its labels `[num_instruments]`."""
    chosen = draw_instruments([name for name in instruments if name in pool.waveforms], config, rng)
    labels = np.array([name in chosen for name in instruments], np.float32)
    music = np.zeros(config.num_samples, np.float32)
    for name in chosen:
        for _ in range(1 + (rng.random() < config.second_player_probability)):
            player = pool.waveforms[name][rng.integers(len(pool.waveforms[name]))]
            if rng.random() < config.short_probability:
                player = keep_a_stretch(player, pool.sample_rate_hz, config.short_seconds, rng)
            music += np.float32(10 ** (rng.normal(0, config.level_spread_db) / 20)) * player
    return record(scipy.fft.rfft(music), pool.sample_rate_hz, config, rng), labels


def keep_a_stretch(
    player: np.ndarray, sample_rate_hz: int, seconds: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """A stretch of a player `[time]` around a loud moment, and silence before and after it."""
    length = min(int(rng.uniform(*seconds) * sample_rate_hz), len(player))
    magnitudes = np.abs(player[:: _LOUDNESS_STEP].astype(np.float32))
    # Where it rests anyway nothing would be left of it.
    loud = np.flatnonzero(magnitudes >= 0.5 * magnitudes.max()) * _LOUDNESS_STEP
    start = int(np.clip(rng.choice(loud) - rng.integers(length), 0, len(player) - length))
    kept = np.zeros_like(player)
    fade = np.minimum(1, np.arange(length, dtype=np.float32) / (FADE_SECONDS * sample_rate_hz))
    kept[start : start + length] = player[start : start + length] * fade * fade[::-1]
    return kept


def draw_player(bank: SoloBank, instrument: str, config: TaggerWindowConfig, rng: np.random.Generator) -> np.ndarray:
    """A stretch of one instrument, float32 `[time]` at unit RMS, with a pitch shift and a colour of its own."""
    return colour_player(draw_line(bank, instrument, config, rng), bank.sample_rate_hz, config, rng)
