"""Training examples changed at random, as pure functions of tensors and a seed.

Conventions:
    Sources are float32 `[num_sources, time, channels]`; `present` says which of them are there, bool `[num_sources]`.
    Every function works on each source by itself, so it serves all slots of a taxonomy as well as the present ones
    alone. A seed is int32 `[2]`; the same seed gives the same numbers on every machine, in every order of execution.

The mixture is always the sum of the sources plus the rest, what the recording holds beside its stems (bleeding, the
hall). The rest stays as it was recorded under changes of level and colour, and goes where it would tell what was there
before: where sources are dropped, shifted in pitch, or come from several recordings.

References:
    S. Uhlich et al., "Improving music source separation based on deep neural networks through data augmentation and
    network blending", ICASSP 2017 (gains and mixing of different songs).
"""

from dataclasses import dataclass

import tensorflow as tf

from av_sep.errors import ParameterError

# What holds the sum of full-scale sources inside the range of the network's tanh output.
LARGEST_PEAK = 0.99
# Catmull-Rom reads one sample before and two after a position.
_INTERPOLATION_MARGIN = 2


@dataclass(frozen=True)
class Augmentation:
    """How strongly examples are changed.

    Attributes:
        gain_db: lowest and highest change of a source's level.
        max_tilt: largest spectral tilt, see `random_tilt`.
        max_shift_semitones: largest change of speed and pitch; every source has its own.
        remix_probability: chance that an example is put together from sources of several tracks.
        dropout_probability: chance of a source to be left out; one always stays.
        extra_label_probability: chance of a label for an instrument that may not play (detectors err).

    Raises:
        ParameterError: for a chance outside [0, 1] and ranges that are none.
    """

    gain_db: tuple[float, float] = (-6.0, 6.0)
    max_tilt: float = 0.5
    max_shift_semitones: float = 0.0
    remix_probability: float = 0.5
    dropout_probability: float = 0.1
    extra_label_probability: float = 0.1

    def __post_init__(self) -> None:
        for name in ("remix_probability", "dropout_probability", "extra_label_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ParameterError(f"Expected {name} from 0 to 1. Received: {getattr(self, name)}")
        if self.gain_db[0] > self.gain_db[1]:
            raise ParameterError(f"Expected gain_db as (lowest, highest). Received: {self.gain_db}")
        if not 0 <= self.max_tilt or not 0 <= self.max_shift_semitones <= 12:
            raise ParameterError(
                "Expected max_tilt of at least 0 and max_shift_semitones from 0 to 12."
                f" Received: max_tilt={self.max_tilt}, max_shift_semitones={self.max_shift_semitones}"
            )

    def num_input_samples(self, num_samples: int) -> int:
        """Samples that are cropped for a segment of `num_samples`: more where pitch is raised; of the same parity."""
        if not self.max_shift_semitones:
            return num_samples
        longest = num_samples * 2 ** (self.max_shift_semitones / 12)
        return num_samples + 2 * (int((longest - num_samples) / 2) + 1 + _INTERPOLATION_MARGIN)


def augment(
    sources: tf.Tensor, rest: tf.Tensor, present: tf.Tensor, num_samples: int, seed: tf.Tensor, config: Augmentation
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Everything but remixing, for one example.

    Args:
        sources: `[num_sources, config.num_input_samples(num_samples), channels]`.
        rest: `[same time, channels]`.
        present: bool `[num_sources]`.
        num_samples: length of the segment.
        seed: int32 `[2]`.
        config: the strengths.

    Returns:
        (mixture `[num_samples, channels]`, sources `[num_sources, num_samples, channels]`, kept bool `[num_sources]`).
    """
    seeds = split_seed(seed, 4)
    kept = random_dropout(present, seeds[0], config.dropout_probability)
    sources = tf.where(kept[:, None, None], sources, 0.0)
    if config.max_shift_semitones:
        sources = random_pitch_shift(sources, num_samples, seeds[1], config.max_shift_semitones)
        rest = tf.zeros_like(sources[0])
    rest = tf.where(tf.reduce_all(kept == present), rest, 0.0)
    sources = random_tilt(sources, seeds[2], config.max_tilt)
    sources = random_gain(sources, seeds[3], config.gain_db)
    mixture, sources = fit_full_scale(tf.reduce_sum(sources, axis=0) + rest, sources)
    return mixture, sources, kept


def split_seed(seed: tf.Tensor, num: int) -> list[tf.Tensor]:
    """Independent seeds made from one."""
    # The generator is named everywhere, because the default one differs between devices.
    return tf.unstack(tf.random.split(seed, num, alg="philox"))


def fold_seed(seed: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """The seed that belongs to `(seed, number)`."""
    return tf.random.fold_in(seed, number, alg="philox")


def uniform(shape, seed: tf.Tensor, lowest: float = 0.0, highest: float = 1.0) -> tf.Tensor:
    """Even random float32 numbers in [lowest, highest)."""
    return tf.random.stateless_uniform(shape, seed, lowest, highest, alg="philox")


def crop(signals: tf.Tensor, start: tf.Tensor, num_samples: int) -> tf.Tensor:
    """Samples `start … start + num_samples` of `[num_signals, time, channels]`, zeros where there are none."""
    total = tf.shape(signals)[1]
    begin = tf.clip_by_value(start, 0, total)
    end = tf.clip_by_value(start + num_samples, begin, total)
    before = tf.minimum(begin - start, num_samples)
    after = num_samples - before - (end - begin)
    cropped = tf.pad(signals[:, begin:end], [[0, 0], [before, after], [0, 0]])
    return tf.ensure_shape(cropped, [signals.shape[0], num_samples, signals.shape[2]])


def random_starts(
    num: int,
    total: tf.Tensor,
    num_samples: int,
    seed: tf.Tensor,
    *,
    context_samples: int = 0,
    whole_context: bool = False,
) -> tf.Tensor:
    """Where `num` crops start in a stretch of `total` samples, int32 `[num]`.

    What lies between a crop's contexts falls anywhere in the stretch with equal chance, so that every sample is
    a target equally often away from the ends; its context may reach beyond the stretch. With `whole_context` the
    crop itself lies in the stretch, if it fits. A stretch shorter than what lies between is taken from its beginning.
    """
    drawn = uniform([num], seed)
    starts = _places(drawn, total - (num_samples - 2 * context_samples)) - context_samples
    if not whole_context:
        return starts
    return tf.where(total >= num_samples, _places(drawn, total - num_samples), starts)


def _places(drawn: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """Integers from 0 to `last`, or 0 if there is none, for numbers drawn from [0, 1)."""
    last = tf.maximum(last, 0)
    return tf.minimum(tf.cast(drawn * tf.cast(last + 1, tf.float32), tf.int32), last)


def random_gain(sources: tf.Tensor, seed: tf.Tensor, gain_db: tuple[float, float]) -> tf.Tensor:
    """Every source at its own level, evenly distributed in dB."""
    drawn = uniform([tf.shape(sources)[0], 1, 1], seed, *gain_db)
    return sources * 10 ** (drawn / 20)


def random_tilt(sources: tf.Tensor, seed: tf.Tensor, max_tilt: float) -> tf.Tensor:
    """Every source brighter or duller: `x[n] + tilt * (x[n] - x[n - 1])`, tilt evenly in [-max_tilt, max_tilt).

    With z = exp(-i w) the gain is |1 + tilt * (1 - z)|: 1 at 0 Hz, |1 + 2 tilt| at half the sample rate.
    """
    tilt = uniform([tf.shape(sources)[0], 1, 1], seed, -max_tilt, max_tilt)
    previous = tf.concat([sources[:, :1], sources[:, :-1]], axis=1)
    return sources + tilt * (sources - previous)


def random_pitch_shift(
    sources: tf.Tensor, num_samples: int, seed: tf.Tensor, max_shift_semitones: float
) -> tf.Tensor:
    """Every source faster and higher or slower and lower by up to so many semitones; centres stay where they are.

    Args:
        sources: `[num_sources, Augmentation.num_input_samples(num_samples), channels]`.
        num_samples: length of the result.
        seed: int32 `[2]`.
        max_shift_semitones: largest change, evenly distributed in both directions.

    Returns:
        `[num_sources, num_samples, channels]`.
    """
    drawn = uniform([tf.shape(sources)[0]], seed, -max_shift_semitones, max_shift_semitones)
    return resample_around_centre(sources, num_samples, 2 ** (drawn / 12))


def resample_around_centre(sources: tf.Tensor, num_samples: int, speeds: tf.Tensor) -> tf.Tensor:
    """Reads every source at its speed, by cubic interpolation (Catmull and Rom, 1974).

    In the worst place, halfway between two samples, it lacks 0.5 dB at a fifth and 1.1 dB at a quarter of the rate.

    Args:
        sources: `[num_sources, time, channels]`, at least `num_samples * speed + 4` long.
        num_samples: length of the result.
        speeds: float32 `[num_sources]`, 2 is an octave up.

    Returns:
        `[num_sources, num_samples, channels]`, whose centre is that of the sources.
    """
    total = tf.shape(sources)[1]
    # A float32 position has no bits left for the fraction in long segments.
    offsets = tf.range(num_samples, dtype=tf.float64) - (num_samples - 1) / 2
    positions = tf.cast(total - 1, tf.float64) / 2 + tf.cast(speeds, tf.float64)[:, None] * offsets
    whole = tf.floor(positions)
    fraction = tf.cast(positions - whole, tf.float32)[:, :, None]
    index = tf.cast(whole, tf.int32)
    before, left, right, after = (tf.gather(sources, index + k, axis=1, batch_dims=1) for k in (-1, 0, 1, 2))
    cubic = 3 * (left - right) + after - before
    square = 2 * before - 5 * left + 4 * right - after
    return left + fraction / 2 * (right - before + fraction * (square + fraction * cubic))


def random_dropout(present: tf.Tensor, seed: tf.Tensor, probability: float) -> tf.Tensor:
    """Which sources stay, bool `[num_sources]`: each of the present is dropped with the chance, but never all."""
    drawn = tf.where(present, uniform(tf.shape(present), seed), -1.0)
    kept = drawn >= probability
    last = tf.range(tf.size(present)) == tf.argmax(drawn, output_type=tf.int32)
    return present & (kept | (last & ~tf.reduce_any(kept)))


def fit_full_scale(mixture: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixture and sources, turned down together where the mixture exceeds `LARGEST_PEAK`."""
    peak = tf.reduce_max(tf.abs(mixture))
    scale = LARGEST_PEAK / tf.maximum(peak, LARGEST_PEAK)
    return mixture * scale, sources * scale


def extra_label(label_vector: tf.Tensor, seed: tf.Tensor, probability: float) -> tf.Tensor:
    """`label_vector [num_sources]`, with the given chance with one label of any instrument set to 1."""
    if not probability:
        return label_vector
    num_sources = tf.size(label_vector)
    # One number decides both: below the probability it says which label, beyond it lies behind the last.
    slot = tf.cast(uniform([], seed) / probability * tf.cast(num_sources, tf.float32), tf.int32)
    return tf.where(tf.range(num_sources) == slot, 1.0, label_vector)


def remix(
    sources: tf.Tensor, slots: tf.Tensor, seed: tf.Tensor, probability: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Examples put together from the sources of a whole group of examples.

    A remixed example has as many instruments as it had before (fewer where the group knows fewer), each once, each
    source of the group with the same chance among those of its instrument.

    Args:
        sources: `[group, num_sources, time, channels]`.
        slots: instrument of every source as its place in the taxonomy, -1 for none, int32 `[group, num_sources]`;
            different within an example.
        seed: int32 `[2]`.
        probability: chance of an example to be remixed.

    Returns:
        (sources, slots, remixed bool `[group]`), of the same shapes.
    """
    seeds = split_seed(seed, 2)
    group, num_sources = tf.unstack(tf.shape(slots))
    own = tf.reshape(tf.range(group * num_sources), [group, num_sources])
    drawn = _draw_sources(slots, uniform([group, group * num_sources], seeds[0]))
    remixed = uniform([group], seeds[1]) < probability
    chosen = tf.where(remixed[:, None], drawn, tf.where(slots >= 0, own, -1))
    used = chosen >= 0
    index = tf.maximum(chosen, 0)
    pool = tf.reshape(sources, tf.concat([[-1], tf.shape(sources)[2:]], axis=0))
    new_sources = tf.where(used[:, :, None, None], tf.gather(pool, index), 0.0)
    new_slots = tf.where(used, tf.gather(tf.reshape(slots, [-1]), index), -1)
    return tf.ensure_shape(new_sources, sources.shape), new_slots, remixed


def _draw_sources(slots: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """For every example the sources with the highest scores, one for each instrument, -1 behind the last.

    Args:
        slots: int32 `[group, num_sources]`.
        scores: float32 `[group, group * num_sources]`, in [0, 1).

    Returns:
        Places in the flattened group, int32 `[group, num_sources]`.
    """
    flat = tf.reshape(slots, [-1])
    scores = tf.where(flat >= 0, scores, -1.0)
    same = flat[:, None] == flat[None, :]
    best = tf.argmax(tf.where(same, scores[:, None, :], -1.0), axis=2, output_type=tf.int32)
    scores = tf.where(best == tf.range(tf.size(flat)), scores, -1.0)
    values, places = tf.math.top_k(scores, tf.shape(slots)[1])
    num_playing = tf.reduce_sum(tf.cast(slots >= 0, tf.int32), axis=1, keepdims=True)
    wanted = tf.range(tf.shape(slots)[1]) < num_playing
    return tf.where(wanted & (values >= 0), places, -1)
