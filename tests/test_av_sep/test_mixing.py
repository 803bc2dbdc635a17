"""Mixtures made on the fly: reproducible, exact in their sums, labelled as they sound."""

import numpy as np
import pytest

from av_sep.datasets.mixing import MixingConfig, add_colour, add_room, draw_source, make_batch, make_example, set_level
from av_sep.datasets.mixing import require_mixable
from av_sep.datasets.solo_bank import ENSEMBLES, SoloBank
from av_sep.errors import ParameterError

NAMES = ("violin", "flute", "tuba", "horn")
RATE = 8000
PLAIN = {"room_probability": 0.0, "tilt": 0.0, "max_shift_semitones": 0.0, "level_spread_db": 0.0}


@pytest.fixture(scope="module")
def bank():
    """Noise as lines, a violin of two sources; nobody plays the horn."""
    rng = np.random.default_rng(3)

    def line(num_samples):
        return rng.integers(-20000, 20000, size=num_samples).astype(np.int16)

    violins = {"large": line(9000), "small": line(1000)}
    return SoloBank(RATE, {"violin": violins, "flute": {"one": line(5000)}, "tuba": {"one": line(300)}})


@pytest.fixture(scope="module")
def config():
    return MixingConfig(num_samples=2000)


def batch(bank, config, seed=1, index=0, batch_size=4):
    return make_batch(bank, NAMES, config, seed=seed, index=index, batch_size=batch_size)


def test_shapes_and_types(bank, config):
    mixture, labels, sources = batch(bank, config)
    assert (mixture.shape, labels.shape, sources.shape) == ((4, 2000, 1), (4, 4), (4, 4, 2000, 1))
    assert {mixture.dtype, labels.dtype, sources.dtype} == {np.dtype(np.float32)}


def test_same_seed_gives_the_same_bytes(bank, config):
    for first, second in zip(batch(bank, config), batch(bank, config), strict=True):
        assert first.tobytes() == second.tobytes()


def test_batches_depend_on_nothing_but_seed_and_index(bank, config):
    forwards = [batch(bank, config, index=index) for index in range(4)]
    backwards = [batch(bank, config, index=index) for index in reversed(range(4))][::-1]
    np.random.default_rng(0).random(5)
    for one, other in zip(forwards, backwards, strict=True):
        for first, second in zip(one, other, strict=True):
            assert first.tobytes() == second.tobytes()


def test_a_larger_batch_begins_with_the_smaller_one(bank, config):
    for small, large in zip(batch(bank, config, batch_size=2), batch(bank, config, batch_size=5), strict=True):
        np.testing.assert_array_equal(large[:2], small)


def test_seeds_indices_and_items_all_differ(bank, config):
    drawn = [batch(bank, config, seed=seed, index=index)[0] for seed in (1, 2) for index in (0, 1)]
    mixtures = [mixture.tobytes() for mixtures in drawn for mixture in mixtures]
    assert len(set(mixtures)) == len(mixtures) == 16


def test_sources_sum_to_the_mixture(bank, config):
    mixture, _, sources = batch(bank, config, batch_size=16)
    assert np.abs(mixture).max(axis=(1, 2)).min() > 0.01
    total = sum(sources[:, slot].astype(np.float64) for slot in range(4))
    np.testing.assert_allclose(mixture, total, rtol=0, atol=1e-6)


def test_labels_mark_the_sources_that_sound(bank):
    # A lone instrument may get a label beside its own, so leave soloists out.
    config = MixingConfig(num_samples=500, num_instruments_weights=(0, 1, 1), extra_label_probability=0.0)
    _, labels, sources = batch(bank, config, batch_size=60)
    np.testing.assert_array_equal(labels, np.any(sources, axis=(2, 3)))
    assert set(labels.sum(axis=1)) == {2, 3}
    assert np.all(labels[:, :3].sum(axis=0) > 10) and not np.any(labels[:, 3])


def test_extra_labels_claim_instruments_that_do_not_play(bank):
    config = MixingConfig(num_samples=500, num_instruments_weights=(0, 1), extra_label_probability=1.0)
    _, labels, sources = batch(bank, config, batch_size=60)
    sounding = np.any(sources, axis=(2, 3))
    assert np.all(labels[sounding] == 1)
    extra = (labels > sounding).sum(axis=1)
    assert set(extra) == {0, 1}
    # One label in four, drawn blindly, falls on each instrument: half of them on the two that are silent.
    assert 0.25 < extra.mean() < 0.75
    assert labels[:, 3].sum() > 0


def test_soloist_always_gets_one_label_drawn_blindly(bank):
    config = MixingConfig(num_samples=300, num_instruments_weights=(1,), extra_label_probability=0.0)
    _, labels, sources = batch(bank, config, batch_size=60)
    assert np.all(np.any(sources, axis=(2, 3)).sum(axis=1) == 1)
    assert set(labels.sum(axis=1)) == {1, 2}


def test_weights_set_how_many_play(bank):
    config = MixingConfig(num_samples=100, num_instruments_weights=(0, 3, 1), extra_label_probability=0.0)
    _, labels, _ = batch(bank, config, batch_size=400)
    assert np.mean(labels.sum(axis=1) == 2) == pytest.approx(0.75, abs=0.08)


@pytest.mark.parametrize(
    ("names", "weights", "words"),
    [
        (("horn", "oboe"), (1,), "some of horn, oboe in the bank. Received: solo lines of flute, tuba, violin$"),
        (("cello",), (1,), "some of cello in the bank. Received: solo lines of flute, tuba, violin$"),
        (("horn", "tuba"), (0, 1), r"players up to 1, as many .* in the bank. Received: \(0, 1\)$"),
        (NAMES, (), r"up to 3, .*. Received: \(\)$"),
        (NAMES, (0.0, 0.0), "up to 3"),
        (NAMES, (0.5, -0.1), "of 0 or more"),
        (NAMES, (0.5, float("nan")), "of 0 or more"),
    ],
)
def test_a_bank_that_nothing_can_be_drawn_from(bank, names, weights, words):
    together = SoloBank(RATE, {**bank.lines, "cello": {ENSEMBLES: np.ones(9, np.int16)}})
    config = MixingConfig(num_samples=100, num_instruments_weights=weights)
    with pytest.raises(ParameterError, match=words):
        require_mixable(together, names, config)
    # It refuses no more than drawing does.
    with pytest.raises(ValueError), np.errstate(invalid="ignore"):
        make_batch(together, names, config, seed=0, index=0, batch_size=1)


@pytest.mark.parametrize(("names", "weights"), [(("tuba",), (1, 5)), (NAMES, (0, 0, 1, 1)), (("horn", "tuba"), (2,))])
def test_a_bank_that_just_suffices(bank, names, weights):
    config = MixingConfig(num_samples=100, num_instruments_weights=weights)
    require_mixable(bank, names, config)
    assert np.any(make_batch(bank, names, config, seed=0, index=0, batch_size=1)[0])


def test_level_lies_in_its_range(bank):
    config = MixingConfig(num_samples=2000, mixture_level_db=(-30.0, -20.0))
    mixture, _, _ = batch(bank, config, batch_size=80)
    levels = 20 * np.log10(np.sqrt(np.mean(mixture.astype(np.float64) ** 2, axis=(1, 2))))
    assert -30.001 < levels.min() < -28 and -22 < levels.max() < -19.999


def test_mixture_never_clips_even_where_the_level_asks_for_it(bank):
    mixture, _, _ = batch(bank, MixingConfig(num_samples=2000, mixture_level_db=(-3.0, 0.0)), batch_size=10)
    np.testing.assert_allclose(np.abs(mixture).max(axis=(1, 2)), 0.99, atol=1e-3)


def test_set_level_scales_all_sources_by_one_gain():
    sources = np.array([[0.5, -0.1], [0.1, 0.3]], np.float32)[..., None]
    scaled = set_level(sources, -20.0)
    np.testing.assert_allclose(scaled / sources, (scaled / sources)[0, 0, 0], rtol=1e-6)
    # The sum is (0.6, 0.2), of RMS sqrt(0.2).
    np.testing.assert_allclose(scaled[0, 0, 0], 0.5 * 0.1 / np.sqrt(0.2), rtol=1e-6)


def test_set_level_leaves_silence_alone():
    silence = np.zeros((2, 5, 1), np.float32)
    np.testing.assert_array_equal(set_level(silence, -20.0), silence)


def test_unchanged_source_is_a_stretch_of_its_line(bank):
    config = MixingConfig(num_samples=100, **PLAIN)
    line = bank.lines["flute"]["one"] / 32768
    for seed in range(5):
        drawn = draw_source(bank, "flute", config, np.random.default_rng(seed))
        starts = [start for start in range(5000) if abs(line[start] - drawn[0]) < 1e-6]
        assert any(np.allclose(np.take(line, range(s, s + 100), mode="wrap"), drawn, atol=1e-6) for s in starts)


def test_short_line_is_repeated(bank):
    drawn = draw_source(bank, "tuba", MixingConfig(num_samples=700, **PLAIN), np.random.default_rng(1))
    np.testing.assert_allclose(drawn[300:], drawn[:-300], rtol=0, atol=1e-6)
    assert np.abs(drawn).max() > 0.1


def test_larger_libraries_are_heard_by_the_square_root_of_their_size(bank):
    config = MixingConfig(num_samples=1, **PLAIN)
    heard = set(np.round(bank.lines["violin"]["small"] / 32768, 6))
    drawn = [draw_source(bank, "violin", config, np.random.default_rng(seed))[0] for seed in range(600)]
    share = np.mean([round(float(sample), 6) in heard for sample in drawn])
    # sqrt(1000) : sqrt(9000) is 1 : 3; by plain size it would be 1 : 9.
    assert share == pytest.approx(0.25, abs=0.08)


def impulses(seed, **options):
    """Where one player's stretches sound: every stretch of the line holds one impulse, somewhere."""
    line = np.zeros(1000, np.int16)
    line[0] = 30_000
    bank = SoloBank(RATE, {"flute": {"one": line}})
    config = MixingConfig(num_samples=1000, num_instruments_weights=(1,), **options, **PLAIN)
    mixture, _, sources = make_batch(bank, ("flute", "horn"), config, seed=seed, index=0, batch_size=300)
    np.testing.assert_array_equal(mixture, sources[:, 0])
    return [tuple(np.flatnonzero(example)) for example in sources[:, 0, :, 0]]


def test_doubled_instruments_have_two_players_in_one_stem():
    share = np.mean([len(found) == 2 for found in impulses(1, doubling_probability=0.3)])
    assert share == pytest.approx(0.3, abs=0.08)
    always = [found for found in impulses(1, doubling_probability=1.0) if len(found) == 2]
    assert len(always) >= 297 and np.mean([second - first for first, second in always]) > 200


def test_without_doubling_seeds_mean_what_they_always_meant():
    # As drawn before there was any doubling.
    assert [position for (position,) in impulses(7)[:6]] == [167, 197, 716, 356, 789, 599]


def test_shift_changes_pitch_within_its_range():
    time = np.arange(8000) / RATE
    sine = (20000 * np.sin(2 * np.pi * 500 * time)).astype(np.int16)
    bank = SoloBank(RATE, {"flute": {"one": sine}})
    config = MixingConfig(num_samples=4000, **{**PLAIN, "max_shift_semitones": 2.0})
    drawn = [draw_source(bank, "flute", config, np.random.default_rng(seed)) for seed in range(30)]
    peaks = [np.argmax(np.abs(np.fft.rfft(d * np.hanning(4000)))) * RATE / 4000 for d in drawn]
    assert 500 * 2 ** (-2 / 12) - 2 <= min(peaks) < 480
    assert 520 < max(peaks) <= 500 * 2 ** (2 / 12) + 2


def test_players_in_tune_change_pitch_by_whole_semitones_and_a_little():
    sine = (20000 * np.sin(2 * np.pi * 500 * np.arange(8000) / RATE)).astype(np.int16)
    bank = SoloBank(RATE, {"flute": {"one": sine}})
    config = MixingConfig(num_samples=4000, **{**PLAIN, "max_shift_semitones": 2.0}, detuning_semitones=0.05)
    drawn = [draw_source(bank, "flute", config, np.random.default_rng(seed)) for seed in range(40)]
    # A padded spectrum finds the pitch to a hundredth of a semitone.
    padded = [np.abs(np.fft.rfft(waveform * np.hanning(4000), 2**17)) for waveform in drawn]
    shifts = np.array([12 * np.log2(np.argmax(spectrum) * RATE / 2**17 / 500) for spectrum in padded])
    assert {-2, -1, 0, 1, 2} == set(np.round(shifts).astype(int))
    detunings = shifts - np.round(shifts)
    assert np.abs(detunings).max() < 0.16 and 0.03 < detunings.std() < 0.07
    assert np.abs(shifts).max() <= config.largest_shift_semitones + 0.01 == pytest.approx(2.16)


@pytest.mark.parametrize(("largest", "detuning", "expected"), ((1.7, None, 1.7), (1.7, 0.1, 2.3), (0.4, 0.1, 0.3)))
def test_largest_shift_counts_rounding_and_tuning(largest, detuning, expected):
    config = MixingConfig(num_samples=10, max_shift_semitones=largest, detuning_semitones=detuning)
    assert config.largest_shift_semitones == pytest.approx(expected)


# --- ensembles -------------------------------------------------------------------------------------------------------


def ensemble_bank():
    """Two duets, one after the other: violin and flute, then flute and tuba; and solos that never sound like them."""
    time = np.arange(20_000)
    solo = np.full(3000, 5, np.int16)
    parts = {
        "violin": np.where(time < 10_000, time, 0),
        "flute": 20_000 - time,
        "tuba": np.where(time >= 10_000, time, 0),
    }
    lines = {name: {"solo": solo, ENSEMBLES: part.astype(np.int16)} for name, part in parts.items()}
    return SoloBank(RATE, {**lines, "horn": {"solo": solo}})


def test_related_players_read_one_passage_together():
    config = MixingConfig(num_samples=200, **PLAIN, num_instruments_weights=(0, 1), related_probability=1.0)
    pairs = set()
    for seed in range(60):
        sources, labels = make_example(ensemble_bank(), NAMES, config, np.random.default_rng(seed))
        playing = [name for slot, name in enumerate(NAMES) if sources[slot].any()]
        if len(playing) < 2:
            # At the border of the duets only the flute plays on.
            continue
        pairs.add(tuple(playing))
        assert all(labels[NAMES.index(name)] for name in playing)
        first, second = (sources[NAMES.index(name), :, 0].astype(np.float64) for name in playing)
        # One falls as the other rises, so at one time they add up to the same, at any level.
        total = first + second
        np.testing.assert_allclose(total, total[0], rtol=1e-4)
    assert pairs == {("violin", "flute"), ("flute", "tuba")}


def test_ensembles_are_no_solos():
    config = MixingConfig(num_samples=200, **PLAIN, num_instruments_weights=(1,))
    for seed in range(20):
        sources, _ = make_example(ensemble_bank(), NAMES, config, np.random.default_rng(seed))
        assert np.ptp(sources[sources.any(axis=(1, 2))]) < 1e-9


def test_a_bank_without_ensembles_gives_unrelated_lines(bank):
    related = MixingConfig(num_samples=2000, related_probability=1.0)
    mixture, labels, _ = batch(bank, related)
    assert mixture.any(axis=(1, 2)).all() and labels.any(axis=1).all()


def test_room_keeps_the_direct_path_and_adds_a_tail_of_its_level():
    impulse = np.zeros(RATE)
    impulse[100] = 1.0
    for seed in range(5):
        wet = add_room(impulse, RATE, np.random.default_rng(seed))
        assert wet.shape == impulse.shape
        np.testing.assert_allclose(wet[:100], 0, atol=1e-9)
        tail = wet - impulse
        assert np.argmax(np.abs(wet)) == 100
        assert -16.5 < 10 * np.log10(np.sum(tail**2)) < -3.5
        early, late = np.sum(tail[100:500] ** 2), np.sum(tail[1000:1400] ** 2)
        assert early > 3 * late


def test_example_is_a_pure_function_of_its_generator(bank, config):
    first, second = (make_example(bank, NAMES, config, np.random.default_rng(9)) for _ in range(2))
    assert all(one.tobytes() == other.tobytes() for one, other in zip(first, second, strict=True))


# --- colours ---------------------------------------------------------------------------------------------------------


def colour_db(seed, standard_deviation_db=6.0, rate=22050):
    """(frequencies Hz, gains dB, phases) of a random colour, from its response to an impulse."""
    impulse = np.zeros(4096)
    impulse[2000] = 1.0
    heard = add_colour(impulse, rate, standard_deviation_db, np.random.default_rng(seed))
    spectrum = np.fft.rfft(np.roll(heard, -2000))
    return np.fft.rfftfreq(4096, 1 / rate), 20 * np.log10(np.abs(spectrum)), np.angle(spectrum)


@pytest.mark.parametrize("rate", (8000, 22050))
def test_colour_joins_gains_drawn_every_octave(rate):
    for seed in range(5):
        gains = 6.0 * np.random.default_rng(seed).standard_normal(9)
        hz, drawn, _ = colour_db(seed, rate=rate)
        # Corners below this are rounded: the filter lasts a fortieth of a second.
        audible = (hz > 600) & (hz < rate / 2)
        expected = np.interp(np.log2(hz[audible]), np.log2([62.5 * 2**octave for octave in range(9)]), gains)
        assert np.ptp(expected) > 3
        np.testing.assert_allclose(drawn[audible], expected, rtol=0, atol=0.7)


def test_colours_spread_as_asked_around_no_change():
    drawn = np.array([np.interp(2000, *colour_db(seed, 4.0)[:2]) for seed in range(300)])
    assert np.std(drawn) == pytest.approx(4.0, rel=0.12)
    assert np.mean(drawn) == pytest.approx(0, abs=0.8)


def test_colour_moves_nothing_in_time():
    _, _, phases = colour_db(3)
    np.testing.assert_allclose(phases, 0, rtol=0, atol=1e-9)
    noise = np.random.default_rng(1).normal(size=3000)
    np.testing.assert_allclose(add_colour(noise, RATE, 0.0, np.random.default_rng(2)), noise, rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_samples", (1, 2, 100, 512, 513, 514, 5000))
def test_coloured_sounds_of_any_length_keep_it(num_samples):
    """And are the middle of what the sound makes of the filter, with silence before and after."""
    noise = np.random.default_rng(1).normal(size=num_samples)
    heard = add_colour(noise, RATE, 6.0, np.random.default_rng(2))
    silence = np.zeros(700)
    longer = add_colour(np.concatenate([silence, noise, silence]), RATE, 6.0, np.random.default_rng(2))
    assert heard.shape == noise.shape and np.abs(heard - noise).max() > 0.01
    np.testing.assert_allclose(heard, longer[700:-700], rtol=0, atol=1e-9)


def test_every_source_is_heard_through_a_colour_of_its_own():
    line = np.zeros(4000, np.int16)
    line[0] = 30_000
    bank = SoloBank(RATE, {"flute": {"one": line}, "tuba": {"one": line}})
    config = MixingConfig(num_samples=4000, num_instruments_weights=(0, 1), colour_db=6.0, **PLAIN)
    mixture, labels, sources = batch(bank, config, batch_size=3)
    assert np.all(np.any(sources, axis=(2, 3)).sum(axis=1) == 2) and np.all(labels.sum(axis=1) >= 2)
    np.testing.assert_allclose(mixture, sources.sum(axis=1), rtol=0, atol=1e-6)
    colours = [20 * np.log10(np.abs(np.fft.rfft(sources[item, slot, :, 0]))) for item in range(3) for slot in (1, 2)]
    # At 500, 1000 and 2000 Hz, against each other: a common gain says nothing.
    shapes = np.array([np.diff(colour[[250, 500, 1000]]) for colour in colours])
    assert np.ptp(shapes, axis=0).min() > 2 and len(np.unique(np.round(shapes, 3), axis=0)) == 6
    for first, second in zip(batch(bank, config, batch_size=3), (mixture, labels, sources), strict=True):
        assert first.tobytes() == second.tobytes()


def test_without_colours_seeds_mean_what_they_always_meant(bank, config):
    mixture, labels, _ = batch(bank, config, batch_size=2)
    # As drawn before there were any.
    np.testing.assert_array_equal(labels, [[0, 1, 1, 0], [1, 1, 1, 0]])
    known = [[-0.14347607, 0.04157635, 0.09047612], [-0.00770293, -0.04347315, -0.01296945]]
    np.testing.assert_allclose(mixture[:, [0, 700, 1999], 0], known, rtol=0, atol=1e-6)
