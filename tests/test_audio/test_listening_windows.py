"""Windows of streams: where they begin, what is kept meanwhile, and their one channel."""

import numpy as np
import pytest

from audio.listening.windows import WindowCutter, to_one_channel

WINDOW = 4000


@pytest.mark.parametrize("hop", [1000, 2000])
@pytest.mark.parametrize("num_samples", [1, 3999, 4000, 4001, 5000, 5001, 6000, 6001, 13_777])
def test_windows_cover_the_stream_to_its_last_sample(num_samples, hop):
    cutter, stream = WindowCutter(WINDOW, hop, 1), np.arange(1.0, num_samples + 1, dtype=np.float32)[:, None]
    cut = [(start, w.copy()) for block in np.array_split(stream, 7) for start, w in cutter.push(block)]
    told, windows = zip(*cut, *cutter.finish())
    assert {w.shape for w in windows} == {(WINDOW, 1)}
    if num_samples <= WINDOW:
        np.testing.assert_array_equal(windows, [np.resize(stream, (WINDOW, 1))])
        assert told == (0,)
        return
    starts = [*range(0, num_samples - WINDOW + 1, hop)]
    starts += [num_samples - WINDOW] * (starts[-1] + WINDOW < num_samples)
    assert [int(w[0, 0]) - 1 for w in windows] == starts == list(told)
    assert windows[-1][-1, 0] == num_samples
    assert all(np.array_equal(np.diff(w[:, 0]), np.ones(WINDOW - 1)) for w in windows)


def test_cutter_keeps_no_more_than_a_window():
    cutter = WindowCutter(WINDOW, 2000, 2)
    for _ in range(200):
        for _ in cutter.push(np.ones((777, 2), np.float32)):
            pass
        assert len(cutter._kept) <= WINDOW


def test_one_channel_is_the_mean_of_channels_that_agree(rng):
    window = rng.normal(size=(50, 1)).astype("f") * np.array([[1.0, 0.4]], "f")
    np.testing.assert_allclose(to_one_channel(window), 0.7 * window[:, 0], rtol=1e-5)
    assert to_one_channel(1e-5 * window) is None
