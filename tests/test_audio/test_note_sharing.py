"""Notes shared out: a partial in the wrong stem comes back to its note, and what must never change."""

import tracemalloc

import numpy as np
import pytest

from audio.metrics import si_sdr
from audio.note_sharing import BLOCK_SECONDS, OVERLAP_SECONDS, NoteSharing, _BlockSharer

RATE_HZ = 8000


def share(estimates, cuts=(), rate_hz=RATE_HZ):
    sharing = NoteSharing(rate_hz)
    parts = [sharing.push(block) for block in np.split(estimates, cuts, axis=1)]
    return np.concatenate([*parts, sharing.finish()], axis=1)


def notes(pitches, note_seconds, num_partials=12):
    """A line of notes of equal length, `[time]`."""
    seconds = np.arange(int(note_seconds * RATE_HZ)) / RATE_HZ
    ends = np.minimum(1, 40 * np.minimum(seconds, seconds[-1] - seconds))
    line = []
    for pitch in pitches:
        fundamental_hz = 440 * 2 ** ((pitch - 69) / 12)
        partials = [
            np.sin(2 * np.pi * fundamental_hz * number * seconds + number) / number
            for number in range(1, num_partials + 1)
            if fundamental_hz * number < RATE_HZ / 2
        ]
        line.append(0.1 * ends * np.sum(partials, axis=0))
    return np.concatenate(line)


@pytest.fixture(scope="module")
def lines():
    """Two players whose notes share no partial, `[2, time, 1]`."""
    high, low = notes((74, 77, 73, 78, 74, 76), 0.7), notes((48, 52, 50, 47, 53, 49), 0.7)
    return np.stack([high, low])[..., None].astype(np.float32)


@pytest.fixture(scope="module")
def blurred(lines):
    """Estimates with a third of the other's sound in each."""
    return (np.array([[2, 1], [1, 2]]) / 3 @ lines[..., 0])[..., None].astype(np.float32)


@pytest.fixture
def noise(rng):
    return (0.1 * rng.normal(size=(3, 30_000, 2))).astype(np.float32)


def gains(references, estimates, before):
    return [si_sdr(*pair) - si_sdr(pair[0], own) for *pair, own in zip(references, estimates, before)]


def test_what_leaks_of_every_note_goes_back(lines, blurred):
    assert min(gains(lines, share(blurred), blurred)) > 6


def test_a_partial_in_the_wrong_stem_comes_back_to_its_note(lines):
    """The second partial of the high notes is with the low ones, which have nothing else there."""
    fundamentals = notes((74, 77, 73, 78, 74, 76), 0.7, num_partials=1)
    two = notes((74, 77, 73, 78, 74, 76), 0.7, num_partials=2)
    stray = (two - fundamentals)[:, None].astype(np.float32)
    estimates = np.stack([lines[0] - stray, lines[1] + stray])
    assert np.mean(gains(lines, share(estimates), estimates)) > 3


def test_sum_of_the_estimates_stays_what_it_is(noise):
    shared = share(noise)
    assert shared.dtype == np.float32 and shared.shape == noise.shape
    assert np.abs(shared - noise).max() > 0.05
    np.testing.assert_allclose(shared.sum(axis=0), noise.sum(axis=0), atol=3e-6)


def test_long_streams_are_shared_out_as_well_and_add_up_where_blocks_meet(lines):
    long = np.tile(lines, (1, 14, 1))
    estimates = (0.7 * long + 0.3 * long[::-1]).astype(np.float32)
    assert long.shape[1] > 2 * BLOCK_SECONDS * RATE_HZ
    shared = share(estimates)
    np.testing.assert_allclose(shared.sum(axis=0), estimates.sum(axis=0), atol=3e-6)
    assert min(gains(long, shared, estimates)) > 6


def test_blocks_are_faded_into_each_other(monkeypatch):
    """Blocks that come back once, twice, three times as loud: nowhere a jump, and each for itself where it is alone."""
    loudness = iter((1, 2, 3))
    monkeypatch.setattr(_BlockSharer, "share", lambda self, estimates: next(loudness) * estimates)
    hop_seconds = BLOCK_SECONDS - OVERLAP_SECONDS
    shared = share(np.ones((2, int((2 * hop_seconds + BLOCK_SECONDS - 1) * RATE_HZ), 1), np.float32))[0, :, 0]
    assert np.abs(np.diff(shared)).max() < 2 / (OVERLAP_SECONDS * RATE_HZ)
    for number, seconds in enumerate((0, BLOCK_SECONDS, hop_seconds + BLOCK_SECONDS)):
        np.testing.assert_array_equal(shared[int(seconds * RATE_HZ) :][: 5 * RATE_HZ], number + 1)
    halfway = int((hop_seconds + OVERLAP_SECONDS / 2) * RATE_HZ)
    assert shared[halfway] == pytest.approx(1.5, abs=1e-3)


def test_cutting_the_stream_does_not_change_the_estimates(lines, blurred, rng):
    long = np.tile(blurred, (1, 9, 1))
    cuts = np.sort(rng.integers(0, long.shape[1], 40))
    np.testing.assert_array_equal(share(long, cuts), share(long))


@pytest.mark.parametrize("num_samples", (0, 1, 300, 2048, 2049))
def test_any_length_comes_out_as_it_went_in(blurred, num_samples):
    short = blurred[:, :num_samples]
    shared = share(short)
    assert shared.shape == short.shape and np.all(np.isfinite(shared))
    np.testing.assert_allclose(shared.sum(axis=0), short.sum(axis=0), atol=3e-6)


def test_level_of_the_recording_does_not_matter(blurred):
    np.testing.assert_allclose(1000 * share(blurred / 1000), share(blurred), atol=1e-4)


def test_equal_channels_are_shared_out_as_one_alone(blurred):
    both = share(np.repeat(blurred, 2, axis=2))
    np.testing.assert_array_equal(both[..., 0], both[..., 1])
    np.testing.assert_allclose(both[..., :1], share(blurred), atol=1e-4)


def test_a_silent_channel_stays_silent_and_changes_nothing_in_the_other(blurred):
    both = share(np.concatenate([blurred, 0 * blurred], axis=2))
    assert np.abs(both[..., 1]).max() < 1e-6
    np.testing.assert_allclose(both[..., :1], share(blurred), atol=1e-4)


def test_who_sits_apart_is_told_apart(lines):
    """Shares that are nearly equal say little of who plays a note; that one is heard left, one right, says all."""
    left_and_right = np.array([[1, 0.4], [0.4, 1]], np.float32)
    references = lines * left_and_right[:, None]
    estimates = 0.56 * references + 0.44 * references[::-1]
    here = [gains(references, own, estimates) for own in (share(estimates), one_by_one(estimates))]
    assert min(here[0]) > 20 and max(here[1]) < 10


def test_a_note_that_two_play_is_shared_out_by_the_levels_that_they_have_elsewhere(lines):
    unison = np.broadcast_to(notes((62, 62, 62), 0.7)[:, None], (2, 3 * int(0.7 * RATE_HZ), 1))
    left_and_right = np.array([[1, 0.4], [0.4, 1]], np.float32)
    references = np.concatenate([lines, unison], axis=1).astype(np.float32) * left_and_right[:, None]
    together = slice(lines.shape[1] + RATE_HZ // 2, None)
    estimates = 0.6 * references + 0.4 * references[::-1]
    sounds = [sound[:, together, 0] for sound in (estimates, share(estimates), references)]
    before, after, true = (np.linalg.norm(sound[0]) / np.linalg.norm(sound.sum(axis=0)) for sound in sounds)
    assert before < 0.55 and true == pytest.approx(1 / 1.4)
    # Between the part of the magnitudes, true of unison in phase, and that of the powers, true of any other, and a bit.
    assert 1 / 1.4 < after < 1 / 1.16 + 0.05


def one_by_one(estimates):
    """Channels shared out each by itself, as if there were no other."""
    return np.concatenate([share(estimates[..., :1]), share(estimates[..., 1:])], axis=2)


def test_silent_stems_and_silence_stay_silent(lines):
    silence = np.zeros((2, 9000, 1), np.float32)
    np.testing.assert_array_equal(share(silence), silence)
    estimates = np.stack([lines[0], 0 * lines[0]])
    shared = share(estimates)
    np.testing.assert_allclose(shared[0], lines[0], atol=1e-5)
    assert np.abs(shared[1]).max() < 1e-5


def test_one_alone_stays_as_it_is(noise):
    np.testing.assert_array_equal(share(noise[:1]), noise[:1])


def test_nothing_comes_of_nothing():
    assert NoteSharing(RATE_HZ).finish().size == 0


def test_memory_does_not_grow_with_the_stream(noise):
    sharing = NoteSharing(RATE_HZ)
    for _ in range(10):
        sharing.push(noise[:2])
        assert sharing._waiting.shape[1] < BLOCK_SECONDS * RATE_HZ


def test_memory_is_a_few_times_the_block_however_many_play(rng):
    block = (0.1 * rng.normal(size=(13, int(BLOCK_SECONDS * RATE_HZ), 1))).astype(np.float32)
    sharing = NoteSharing(RATE_HZ)
    tracemalloc.start()
    sharing.push(block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Fifteen; with the spectra of the whole block held at once it would be twenty-three.
    assert peak < 20 * block.nbytes
