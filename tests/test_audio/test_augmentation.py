"""Random changes of training examples: each against NumPy, its range seen over many seeds, its seed obeyed."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from audio.augmentation import (
    LARGEST_PEAK,
    Augmentation,
    augment,
    crop,
    extra_label,
    fit_full_scale,
    random_dropout,
    random_gain,
    random_pitch_shift,
    random_starts,
    random_tilt,
    remix,
    resample_around_centre,
)
from av_sep.errors import ParameterError

RATE = 16000
QUIET = Augmentation(
    gain_db=(0, 0), max_tilt=0, remix_probability=0, dropout_probability=0, extra_label_probability=0
)


def seeds(num=200):
    return [tf.constant([3, k], tf.int32) for k in range(num)]


@pytest.fixture
def sources(rng):
    """Four sources `[4, 120, 2]`, the third of them absent."""
    made = (0.1 * rng.normal(size=(4, 120, 2))).astype(np.float32)
    made[2] = 0
    return made


PRESENT = np.array([True, True, False, True])


@pytest.mark.parametrize("start", (-70, -31, -3, 0, 1, 60, 89, 90, 100, 119))
@pytest.mark.parametrize("num_samples", (71, 30, 120, 200))
def test_crop_is_a_slice_of_the_padded_signal(sources, start, num_samples):
    expected = np.pad(sources, ((0, 0), (80, 200), (0, 0)))[:, 80 + start : 80 + start + num_samples]
    if start + num_samples < 0:
        return
    np.testing.assert_array_equal(crop(sources, tf.constant(start), num_samples), expected)
    traced = tf.function(lambda s, at: crop(s, at, num_samples))
    np.testing.assert_array_equal(traced(sources, tf.constant(start)), expected)


@pytest.mark.parametrize(
    ("total", "options", "lowest", "highest"),
    (
        (50, {}, 0, 20),
        (30, {}, 0, 0),
        (12, {}, 0, 0),
        (50, {"context_samples": 10}, -10, 30),
        (5, {"context_samples": 10}, -10, -10),
        (50, {"context_samples": 10, "whole_context": True}, 0, 20),
        (30, {"context_samples": 10, "whole_context": True}, 0, 0),
        (29, {"context_samples": 10, "whole_context": True}, -10, 9),
    ),
)
def test_starts_reach_both_ends_evenly(total, options, lowest, highest):
    starts = random_starts(600, total, 30, seeds()[0], **options).numpy()
    assert (starts.min(), starts.max()) == (lowest, highest)
    counts = np.bincount(starts - lowest)
    assert counts.min() > 0.2 * counts.mean()


def test_gain_is_one_factor_a_source_within_its_range(sources):
    gains_db = []
    for seed in seeds():
        changed = random_gain(sources, seed, (-9.0, 3.0)).numpy()
        gains = [np.vdot(s, c) / np.vdot(s, s) for s, c in zip(sources[PRESENT], changed[PRESENT])]
        np.testing.assert_allclose(changed[PRESENT], sources[PRESENT] * np.reshape(gains, (-1, 1, 1)), rtol=1e-5)
        np.testing.assert_array_equal(changed[2], 0)
        gains_db.append(20 * np.log10(gains))
    gains_db = np.array(gains_db)
    assert gains_db.min() == pytest.approx(-9, abs=0.3) and gains_db.max() == pytest.approx(3, abs=0.3)
    assert abs(np.corrcoef(gains_db.T)[0, 1]) < 0.2
    assert np.mean(gains_db) == pytest.approx(-3, abs=0.5)


def test_tilt_is_a_first_difference_added(sources):
    found = []
    for seed in seeds():
        changed = random_tilt(sources, seed, 0.5).numpy()
        difference = np.diff(sources, prepend=sources[:, :1], axis=1)
        pairs = zip(difference[PRESENT], (changed - sources)[PRESENT])
        tilts = [np.vdot(d, added) / np.vdot(d, d) for d, added in pairs]
        expected = sources[PRESENT] + np.reshape(tilts, (-1, 1, 1)) * difference[PRESENT]
        np.testing.assert_allclose(changed[PRESENT], expected, atol=1e-6)
        found.append(tilts)
    assert np.min(found) == pytest.approx(-0.5, abs=0.02) and np.max(found) == pytest.approx(0.5, abs=0.02)
    assert abs(np.corrcoef(np.transpose(found))[0, 1]) < 0.2


def test_tilt_moves_the_highest_frequency_and_not_the_lowest():
    steady, fastest = np.ones((1, 50, 1), np.float32), np.array([1, -1] * 25, np.float32).reshape(1, 50, 1)
    gains = []
    for seed in seeds(100):
        np.testing.assert_array_equal(random_tilt(steady, seed, 0.5), steady)
        ratio = (random_tilt(fastest, seed, 0.5) / fastest)[0, 1:, 0]
        np.testing.assert_allclose(ratio, ratio[0], atol=1e-6)
        gains.append(float(ratio[0]))
    assert min(gains) == pytest.approx(0, abs=0.1) and max(gains) == pytest.approx(2, abs=0.1)


def catmull_rom(signal, positions):
    """Cubic whose slope at every sample is half the difference of its neighbours, by NumPy's Hermite basis."""
    left = np.floor(positions).astype(int)
    t = positions - left
    slope = lambda k: (signal[k + 1] - signal[k - 1]) / 2  # noqa: E731
    hermite = (2 * t**3 - 3 * t**2 + 1, t**3 - 2 * t**2 + t, -2 * t**3 + 3 * t**2, t**3 - t**2)
    return sum(h * v for h, v in zip(hermite, (signal[left], slope(left), signal[left + 1], slope(left + 1))))


@pytest.mark.parametrize(("total", "num_samples"), ((120, 90), (119, 89), (120, 89)))
def test_pitch_shift_is_cubic_interpolation_around_the_centre(sources, total, num_samples):
    speeds = np.array([0.9, 1.0, 1.1, 1.25], np.float32)
    changed = resample_around_centre(sources[:, :total], num_samples, speeds).numpy()
    for source, speed, received in zip(sources[:, :total].astype(float), speeds, changed):
        positions = (total - 1) / 2 + float(speed) * (np.arange(num_samples) - (num_samples - 1) / 2)
        for channel in range(2):
            np.testing.assert_allclose(received[:, channel], catmull_rom(source[:, channel], positions), atol=1e-6)


def test_no_shift_is_the_centre(sources):
    changed = resample_around_centre(sources, 100, np.ones(4, np.float32))
    np.testing.assert_allclose(changed, sources[:, 10:110], atol=1e-7)


def test_shift_keeps_long_positions_exact():
    total, speed = 200_001, 2 ** (1 / 12)
    time = (np.arange(total) - total // 2) / RATE
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)[None, :, None]
    received = resample_around_centre(tone, 180_001, np.array([speed], np.float32))[0, :, 0]
    expected = np.sin(2 * np.pi * 440 * np.float32(speed) * (np.arange(180_001) - 90_000) / RATE)
    np.testing.assert_allclose(received, expected, atol=2e-3)


def test_pitch_moves_by_the_whole_range_for_every_source(make_sine):
    config = Augmentation(max_shift_semitones=2.0)
    total = config.num_input_samples(4000)
    tones = np.stack([make_sine(1000, total, RATE)] * 3)[:, :, None]
    shifts = []
    for seed in seeds(60):
        spectra = np.abs(np.fft.rfft(np.hanning(4000) * random_pitch_shift(tones, 4000, seed, 2.0)[:, :, 0], 2**16))
        shifts.append(12 * np.log2(np.argmax(spectra, axis=1) * RATE / 2**16 / 1000))
    shifts = np.array(shifts)
    assert shifts.min() == pytest.approx(-2, abs=0.1) and shifts.max() == pytest.approx(2, abs=0.1)
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.3


@pytest.mark.parametrize("semitones", (0.5, 1.5, 12))
@pytest.mark.parametrize("num_samples", (1, 100, 20481))
def test_enough_is_cropped_for_the_highest_pitch(semitones, num_samples):
    total = Augmentation(max_shift_semitones=semitones).num_input_samples(num_samples)
    assert (total - num_samples) % 2 == 0
    last = (total - 1) / 2 + 2 ** (semitones / 12) * (num_samples - 1) / 2
    assert total - 3 > last >= total - 9
    assert QUIET.num_input_samples(num_samples) == num_samples


def test_dropout_leaves_one_and_invents_none():
    kept = np.array([random_dropout(PRESENT, seed, 0.5).numpy() for seed in seeds(400)])
    assert not kept[:, 2].any()
    assert kept.any(axis=1).all()
    # A half each, and of the eighth of cases in which all would go, one stays.
    np.testing.assert_allclose(kept[:, PRESENT].mean(axis=0), 0.5 + 1 / 24, atol=0.08)
    np.testing.assert_array_equal([random_dropout(PRESENT, seed, 0.0) for seed in seeds(20)], [PRESENT] * 20)
    assert {tuple(random_dropout(PRESENT, seed, 1.0).numpy()) for seed in seeds(60)} == {
        tuple(np.eye(4, dtype=bool)[slot]) for slot in (0, 1, 3)
    }


def test_full_scale_is_never_exceeded_and_quiet_sound_untouched(sources):
    mixture = sources.sum(axis=0)
    unchanged = fit_full_scale(mixture, sources)
    np.testing.assert_array_equal(unchanged[0], mixture)
    np.testing.assert_array_equal(unchanged[1], sources)
    loud, parts = fit_full_scale(30 * mixture, 30 * sources)
    assert np.abs(loud).max() == pytest.approx(LARGEST_PEAK, rel=1e-6)
    np.testing.assert_allclose(loud, mixture * LARGEST_PEAK / np.abs(mixture).max(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(np.sum(parts, axis=0), loud, atol=1e-5)
    np.testing.assert_array_equal(fit_full_scale(0 * mixture, 0 * sources)[0], 0)


def test_extra_label_sets_one_place_as_often_as_asked():
    labels = np.array([0, 1, 0, 0], np.float32)
    changed = np.array([extra_label(labels, seed, 0.4) for seed in seeds(500)])
    assert (changed[:, 1] == 1).all() and (changed.sum(axis=1) <= 2).all()
    # A quarter of the draws falls on the label that is there already.
    np.testing.assert_allclose(changed[:, [0, 2, 3]].mean(axis=0), 0.1, atol=0.05)
    np.testing.assert_array_equal([extra_label(labels, seed, 0.0) for seed in seeds(20)], [labels] * 20)


@pytest.fixture
def group(rng):
    """A duet, a trio and a solo `[3, 3, 40, 1]` with their instruments; empty places are zeros and -1."""
    slots = np.array([[0, 2, -1], [0, 1, 4], [2, -1, -1]], np.int32)
    made = rng.normal(size=(3, 3, 40, 1)).astype(np.float32)
    made[slots < 0] = 0
    return made, slots


def whose(source, group):
    """(example, place) that a source was taken from."""
    sources, _ = group
    ((example, place),) = np.argwhere((sources == source).all(axis=(2, 3)))
    return example, place


def test_remixed_examples_hold_each_instrument_once_under_its_own_name(group):
    drawn = []
    for seed in seeds(150):
        sources, slots, remixed = (np.asarray(part) for part in remix(*group, seed, 1.0))
        assert remixed.all()
        for example in range(3):
            there = slots[example] >= 0
            # As many instruments as before; the group knows four.
            assert there.sum() == len(set(slots[example][there])) == (group[1][example] >= 0).sum()
            np.testing.assert_array_equal(sources[example][~there], 0)
            for place in np.flatnonzero(there):
                origin = whose(sources[example, place], group)
                assert group[1][origin] == slots[example, place]
                drawn.append((example, *origin))
    # Every source of the group reaches every example.
    assert len(set(drawn)) == 3 * 6


def test_remix_leaves_the_others_alone(group):
    parts = [remix(*group, seed, 0.3) for seed in seeds(200)]
    remixed = np.array([part[2] for part in parts])
    assert remixed.mean() == pytest.approx(0.3, abs=0.06)
    for sources, slots, changed in parts:
        np.testing.assert_array_equal(sources.numpy()[~changed], group[0][~changed])
        np.testing.assert_array_equal(slots.numpy()[~changed], group[1][~changed])
    np.testing.assert_array_equal(remix(*group, seeds()[0], 0.0)[0], group[0])


def test_group_with_fewer_instruments_gives_fewer(group):
    sources, slots = group[0][[0, 2]], np.array([[0, -1, -1], [0, -1, -1]], np.int32)
    _, mixed, _ = remix(sources, slots, seeds()[0], 1.0)
    np.testing.assert_array_equal(np.sort(mixed, axis=1), [[-1, -1, 0]] * 2)


def strong(**changes):
    return dataclasses.replace(Augmentation(dropout_probability=0.3), **changes)


@pytest.mark.parametrize("shift", (0.0, 2.0))
def test_mixture_is_the_sum_of_what_is_left(sources, shift):
    config = strong(max_shift_semitones=shift)
    total = config.num_input_samples(80)
    for seed in seeds(30):
        rest = np.zeros((total, 2), np.float32)
        mixture, changed, kept = augment(sources[:, :total], rest, PRESENT, 80, seed, config)
        assert mixture.shape == (80, 2) and changed.shape == (4, 80, 2)
        np.testing.assert_allclose(mixture, np.sum(changed, axis=0), atol=1e-6)
        np.testing.assert_array_equal(np.any(changed, axis=(1, 2)), kept)


def test_rest_stays_under_gain_and_tilt_and_goes_with_a_dropped_source(sources, rng):
    rest = (0.01 * rng.normal(size=(120, 2))).astype(np.float32)
    seen = set()
    for seed in seeds(40):
        mixture, changed, kept = augment(sources, rest, PRESENT, 120, seed, strong())
        complete = np.array_equal(kept, PRESENT)
        np.testing.assert_allclose(mixture - np.sum(changed, axis=0), rest * complete, atol=1e-6)
        seen.add(complete)
    assert seen == {True, False}


def test_rest_goes_with_a_changed_pitch(sources, rng):
    config = strong(max_shift_semitones=1.0, dropout_probability=0.0)
    total = config.num_input_samples(90)
    rest = rng.normal(size=(total, 2)).astype(np.float32)
    mixture, changed, _ = augment(sources[:, :total], rest, PRESENT, 90, seeds()[0], config)
    np.testing.assert_allclose(mixture, np.sum(changed, axis=0), atol=1e-6)


def test_nothing_asked_for_changes_nothing(sources):
    mixture, changed, kept = augment(sources, np.zeros((120, 2), np.float32), PRESENT, 120, seeds()[0], QUIET)
    np.testing.assert_array_equal(changed, sources)
    np.testing.assert_allclose(mixture, sources.sum(axis=0), atol=1e-7)
    np.testing.assert_array_equal(kept, PRESENT)


def test_seed_alone_decides_in_eager_and_graph_mode(sources):
    config = strong(max_shift_semitones=1.0)
    total, rest = config.num_input_samples(90), np.zeros((config.num_input_samples(90), 2), np.float32)

    def run(seed):
        return augment(tf.constant(sources[:, :total]), tf.constant(rest), PRESENT, 90, seed, config)

    traced = tf.function(run)
    first, second = seeds(2)
    tf.random.set_seed(1)
    expected = run(first)
    tf.random.set_seed(2)
    for part, again, graph in zip(expected, run(first), traced(first), strict=True):
        np.testing.assert_array_equal(part, again)
        np.testing.assert_allclose(part, graph, atol=1e-6)
    assert not np.array_equal(expected[0], run(second)[0])
    traced(second)
    assert traced.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"remix_probability": 1.5}, r"remix_probability from 0 to 1\. Received: 1\.5"),
        ({"dropout_probability": -0.1}, r"dropout_probability from 0 to 1"),
        ({"gain_db": (3, -3)}, r"\(lowest, highest\)\. Received: \(3, -3\)"),
        ({"max_shift_semitones": 13}, r"max_shift_semitones=13"),
        ({"max_tilt": -1}, r"max_tilt=-1"),
    ),
)
def test_ranges_that_are_none_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        Augmentation(**options)
