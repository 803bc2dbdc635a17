"""Mixtures of solo lines made where the network is trained: `av_sep.datasets.mixing` as a pure function of JAX.

A bank lies in the device's memory as one array of int16, so that a training step needs nothing from the host but its
own number. Settings, distributions and order of operations are those of `av_sep.datasets.mixing.MixingConfig` and
`make_batch`; the random numbers are others, so a seed names another stream here than there.

Conventions, all float32: mixtures `[batch, time, 1]`, sources `[batch, num_sources, time, 1]`, label vectors
`[batch, num_sources]`. Every shape is static: as many players are drawn as may play at most, and those that do not play
are silenced. Needs the JAX backend.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.fft import next_fast_len

from av_sep.datasets.mixing import COLOUR_CORNERS_HZ, COLOUR_TAPS, MAX_DETUNINGS, MixingConfig
from av_sep.datasets.solo_bank import ENSEMBLES, INT16_SCALE, SoloBank
from av_sep.errors import ParameterError

# Positions in a line are whole numbers of 1 / 4096 sample: exact in int32, where float32 has no bits left for the
# fraction after some seconds. Speeds are rounded alike, by 0.2 cents at most.
_POSITION_BITS = 12
_LARGEST_INT32 = 2**31 - 1
_RT60_SECONDS = (0.15, 0.7)
_TAIL_DB = (-16.0, -4.0)
# Source, place, speed, tilt, length and level of the room, and whether there is one.
_NUM_EVEN = 7
# Level and colour; tuning only where players have one.
_NUM_NORMAL = 1 + len(COLOUR_CORNERS_HZ)
# Samples from one look at an ensemble to the next.
_LISTENING_STEP = 64


class DeviceBank(NamedTuple):
    """A bank on the device.

    Attributes:
        samples: int16 `[total]`, every line after the other.
        starts: int32 `[num_instruments, most_sources]`, first sample of each line.
        lengths: int32 `[num_instruments, most_sources]`, 0 where an instrument has fewer sources.
        slots: int32 `[num_instruments]`, the instruments' places among the sources of the network.
        ensembles: int32 `[num_instruments]`, which of their sources holds their parts of ensembles; where there is
            none, a source that has no samples.
    """

    samples: Any
    starts: Any
    lengths: Any
    slots: Any
    ensembles: Any


def device_bank(bank: SoloBank, source_names: Sequence[str]) -> DeviceBank:
    """Copies what a network can use of a bank to the device.

    Raises:
        ParameterError: if the bank has none of the instruments, or more than 2^31 - 1 samples of them.
    """
    slots = [slot for slot, name in enumerate(source_names) if bank.solos(name)]
    if not slots:
        expected = f"Expected a bank with some of {', '.join(source_names)}"
        raise ParameterError(f"{expected}. Received: one of {', '.join(bank.instruments)}")
    # Ensembles last, and a place for them where there are none.
    solos = [list(bank.solos(source_names[slot]).values()) for slot in slots]
    none = np.zeros(0, np.int16)
    lines = [[*own, bank.lines[source_names[slot]].get(ENSEMBLES, none)] for slot, own in zip(slots, solos)]
    lengths = np.zeros((len(slots), max(map(len, lines))), np.int64)
    for instrument, sources in enumerate(lines):
        lengths[instrument, : len(sources)] = [len(line) for line in sources]
    if lengths.sum() > _LARGEST_INT32:
        raise ParameterError(f"Expected a bank of at most {_LARGEST_INT32} samples. Received: {lengths.sum()}")
    starts = np.cumsum(lengths).reshape(lengths.shape) - lengths
    samples = np.concatenate([line for sources in lines for line in sources])
    ensembles = np.array([len(own) for own in solos])
    tables = (table.astype(np.int32) for table in (starts, lengths, np.array(slots), ensembles))
    return DeviceBank(*(jax.device_put(array) for array in (samples, *tables)))


@dataclass(frozen=True)
class DeviceMixer:
    """How batches are made of a `DeviceBank`.

    Attributes:
        config: see `MixingConfig`.
        num_sources: sources of the network.
        sample_rate_hz: of the bank.
        batch_size: examples in a batch.

    Raises:
        ParameterError: for examples that are too long for exact positions (about 20 seconds at 22,050 Hz).
    """

    config: MixingConfig
    num_sources: int
    sample_rate_hz: int
    batch_size: int

    def __post_init__(self) -> None:
        longest = int(_LARGEST_INT32 / 2**_POSITION_BITS / 2 ** (self.config.largest_shift_semitones / 12)) - 1
        if self.config.num_samples > longest:
            raise ParameterError(f"Expected examples of at most {longest} samples. Received: {self.config.num_samples}")

    def batch(self, bank: DeviceBank, seed, step) -> tuple[Any, Any, Any]:
        """Batch number `step` of the endless stream that `seed` names; item i depends on nothing but these and i.

        Args:
            bank: see `device_bank`.
            seed: integer or int32 `[]`.
            step: likewise.

        Returns:
            (mixture `[batch, time, 1]`, label_vector `[batch, num_sources]`, sources `[batch, num_sources, time, 1]`).
        """
        key = jax.random.fold_in(jax.random.key(seed), step)
        keys = jax.vmap(lambda item: jax.random.fold_in(key, item))(jnp.arange(self.batch_size))
        sources, labels = jax.vmap(lambda item_key: self._example(bank, item_key))(keys)
        return jnp.sum(sources, axis=1), labels, sources

    def _example(self, bank: DeviceBank, key):
        """Sources `[num_sources, time, 1]` and label vector `[num_sources]` of one example."""
        config, num_available = self.config, bank.slots.shape[0]
        keys = jax.random.split(key, 4)
        weights = np.asarray(config.num_instruments_weights[:num_available], np.float32)
        even = jax.random.uniform(keys[0], (4,))
        num_playing = 1 + _choice(weights, even[0])
        order = jax.random.uniform(keys[1], (num_available,))
        passage = None
        if config.related_probability:
            passage, playing = self._passage(bank, keys[3])
            num_playing = jnp.where(passage.is_played, jnp.minimum(num_playing, jnp.sum(playing)), num_playing)
            # Who does not play in the passage comes last.
            order = order + (passage.is_played & ~playing)
        chosen = jnp.argsort(order)[: len(weights)]
        plays = jnp.arange(len(weights)) < num_playing
        stems = self._stems(bank, chosen, passage, keys[2])
        # What does not play is written behind the last source, that is nowhere, so that it is exactly zero.
        slots = jnp.where(plays, bank.slots[chosen], self.num_sources)
        sources = jnp.zeros((self.num_sources, config.num_samples)).at[slots].set(stems, mode="drop")
        labels = jnp.zeros(self.num_sources).at[slots].set(1.0, mode="drop")
        claims = (num_playing == 1) | (even[1] < config.extra_label_probability)
        extra = jnp.where(claims, (even[2] * self.num_sources).astype(jnp.int32), self.num_sources)
        labels = labels.at[extra].set(1.0, mode="drop")
        return _at_level(sources, _between(*config.mixture_level_db, even[3]))[:, :, None], labels

    def _passage(self, bank: DeviceBank, key):
        """(a passage of the ensembles, bool `[num_instruments]`: who plays in it)."""
        even = jax.random.uniform(key, (3,))
        starts, lengths = (
            jnp.take_along_axis(table, bank.ensembles[:, None], axis=1)[:, 0] for table in (bank.starts, bank.lengths)
        )
        start = (even[0] * jnp.max(lengths)).astype(jnp.int32)
        # A line has noise wherever its player is on stage, so a sample here and there tells.
        places = start + jnp.arange(0, self.config.num_samples, _LISTENING_STEP)
        heard = bank.samples[starts[:, None] + places % jnp.maximum(lengths, 1)[:, None]]
        playing = (lengths > 0) & jnp.any(heard != 0, axis=1)
        is_played = (even[1] < self.config.related_probability) & jnp.any(playing)
        return _Passage(is_played, start, _between(-1, 1, even[2]) * self.config.max_shift_semitones), playing

    def _stems(self, bank: DeviceBank, instruments, passage, key):
        """`[num_players, time]`: one player of each instrument, or two."""
        keys = jax.random.split(key, 4)
        takes = 2 if self.config.doubling_probability else 1
        shape = (takes, len(instruments))
        # Compiling a generator costs more than anything else here, so each kind of number is drawn once for all.
        even = jax.random.uniform(keys[0], (*shape, _NUM_EVEN))
        normal = jax.random.normal(keys[1], (*shape, _NUM_NORMAL + (self.config.detuning_semitones is not None)))
        tail = jax.random.normal(keys[2], (*shape, self._tail_samples if self.config.room_probability else 0))
        play = jax.vmap(lambda *draws: self._player(bank, passage, *draws))
        stems = [play(instruments, even[take], normal[take], tail[take]) for take in range(takes)]
        if takes == 1:
            return stems[0]
        doubled = jax.random.uniform(keys[3], (len(instruments), 1)) < self.config.doubling_probability
        return stems[0] + jnp.where(doubled, stems[1], 0.0)

    @property
    def _tail_samples(self) -> int:
        return max(1, int(_RT60_SECONDS[1] * self.sample_rate_hz))

    def _player(self, bank: DeviceBank, passage, instrument, even, normal, tail):
        """`[time]` of one instrument with its own source, pitch shift, tilt, room, colour and level.

        Args:
            bank: see `device_bank`.
            passage: what is played, if it is; None if never.
            instrument: int32 `[]`, which row of the bank's tables.
            even: `[_NUM_EVEN]` random numbers from 0 to 1.
            normal: `[_NUM_NORMAL]` normal ones, and one more for the tuning.
            tail: as many as the longest room's response has.
        """
        config = self.config
        source, start = _place(bank, instrument, *even[:2])
        shift_semitones = _between(-1, 1, even[2]) * config.max_shift_semitones
        if passage is not None:
            together = (bank.ensembles[instrument], passage.start, passage.shift_semitones)
            source, start, shift_semitones = (
                jnp.where(passage.is_played, *either) for either in zip(together, (source, start, shift_semitones))
            )
        if config.detuning_semitones is not None:
            detuning = jnp.clip(normal[_NUM_NORMAL], -MAX_DETUNINGS, MAX_DETUNINGS) * config.detuning_semitones
            shift_semitones = jnp.round(shift_semitones) + detuning
        waveform = _read(bank, instrument, source, start, shift_semitones, config.num_samples)
        waveform = waveform + config.tilt * _between(-1, 1, even[3]) * jnp.diff(waveform, prepend=waveform[:1])
        if config.room_probability:
            response = _room(tail, self.sample_rate_hz, *even[4:6])
            wet = _convolve(waveform, response)[: len(waveform)]
            waveform = jnp.where(even[6] < config.room_probability, wet, waveform)
        if config.colour_db:
            response = _colour(config.colour_db * normal[1:_NUM_NORMAL], self.sample_rate_hz)
            waveform = _convolve(waveform, response)[COLOUR_TAPS // 2 :][: len(waveform)]
        return waveform * 10 ** (config.level_spread_db * normal[0] / 20)


class _Passage(NamedTuple):
    """What players play together: `av_sep.datasets.mixing.Passage` as arrays `[]`, and whether it is played."""

    is_played: Any
    start: Any
    shift_semitones: Any


def _place(bank: DeviceBank, instrument, which, where):
    """(source, first sample) of a place in an instrument's solos, by numbers from [0, 1)."""
    lengths = jnp.where(jnp.arange(bank.lengths.shape[1]) == bank.ensembles[instrument], 0, bank.lengths[instrument])
    # The square root keeps a small library audible beside a large one.
    source = _choice(jnp.sqrt(lengths.astype(jnp.float32)), which)
    return source, jnp.minimum((where * lengths[source]).astype(jnp.int32), lengths[source] - 1)


def _read(bank: DeviceBank, instrument, source, start, shift_semitones, num_samples: int):
    """A stretch of one source of an instrument, `[time]`, from a sample of it on, shifted in pitch."""
    length = bank.lengths[instrument, source]
    speed = 2 ** (shift_semitones / 12)
    position = jnp.arange(num_samples) * jnp.round(speed * 2**_POSITION_BITS).astype(jnp.int32)
    whole, fraction = position >> _POSITION_BITS, position & (2**_POSITION_BITS - 1)
    left, right = (
        bank.samples[bank.starts[instrument, source] + (start + whole + k) % length].astype(jnp.float32)
        for k in (0, 1)
    )
    return (left + (right - left) * (fraction / 2**_POSITION_BITS)) / INT16_SCALE


def _choice(weights, drawn):
    """Index with the chance that weights of 0 or more give it, for a number from [0, 1)."""
    cumulative = jnp.cumsum(weights)
    return jnp.argmax(drawn * cumulative[-1] < cumulative)


def _between(lowest, highest, drawn):
    return lowest + (highest - lowest) * drawn


def _room(tail, sample_rate_hz: int, how_long, how_loud):
    """Response of a room as `av_sep.datasets.mixing.add_room` makes them, from normal numbers `[time]`."""
    rt60_seconds = _between(*_RT60_SECONDS, how_long)
    time = jnp.arange(len(tail)) / sample_rate_hz
    tail = jnp.where(time < rt60_seconds, tail * 10 ** (-3 * time / rt60_seconds), 0.0)
    gain = 10 ** (_between(*_TAIL_DB, how_loud) / 20)
    return (tail * gain / jnp.sqrt(jnp.sum(tail**2))).at[0].add(1.0)


def _colour(gains_db, sample_rate_hz: int):
    """Response as `av_sep.datasets.mixing.add_colour` makes them, `[COLOUR_TAPS + 1]`, centred."""
    bins_hz = np.linspace(0, sample_rate_hz / 2, COLOUR_TAPS // 2 + 1)
    response = 10 ** (jnp.interp(np.log2(np.maximum(bins_hz, 1.0)), np.log2(COLOUR_CORNERS_HZ), gains_db) / 20)
    impulse = jnp.fft.fftshift(jnp.fft.irfft(response))
    return jnp.append(impulse, impulse[0]) * np.hanning(COLOUR_TAPS + 1)


def _convolve(waveform, response):
    """All of the convolution and zeros behind it, `[time]`."""
    fft_length = next_fast_len(len(waveform) + len(response) - 1, real=True)
    spectrum = jnp.fft.rfft(waveform, fft_length) * jnp.fft.rfft(response, fft_length)
    return jnp.fft.irfft(spectrum, fft_length)


def _at_level(sources, level_db):
    """`av_sep.datasets.mixing.set_level` of sources `[num_sources, time]`."""
    mixture = jnp.sum(sources, axis=0)
    rms, peak = jnp.sqrt(jnp.mean(mixture**2)), jnp.max(jnp.abs(mixture))
    gain = jnp.minimum(10 ** (level_db / 20) / jnp.maximum(rms, 1e-30), 0.99 / jnp.maximum(peak, 1e-30))
    return sources * jnp.where(rms > 0, gain, 1.0)
