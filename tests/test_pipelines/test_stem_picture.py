"""Pictures of stems: truth is the signal that was drawn."""

import numpy as np
import pytest

from pipelines.stem_picture import MAX_COLUMNS, StemPicture


def test_columns_stay_bounded_and_find_the_loud_place():
    picture = StemPicture(16000)
    rng = np.random.default_rng(0)
    num_blocks = 400
    for i in range(num_blocks):
        block = 0.01 * rng.normal(size=(7001, 2))
        block[3500] += 0.9 * (i == 100)
        picture.add(block.astype(np.float32))
        assert len(picture._peaks) <= MAX_COLUMNS
    where = np.argmax(picture._peaks) / len(picture._peaks)
    assert where == pytest.approx(100.5 / num_blocks, abs=0.01)


def test_level_is_the_signals():
    picture = StemPicture(16000)
    wave = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(32000) / 16000)
    picture.add(wave[:, None].astype(np.float32))
    assert picture.rms_db == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert picture.peak == pytest.approx(0.5, abs=1e-3)


def test_spectrum_peaks_at_the_tone():
    picture = StemPicture(16000)
    picture.add(np.sin(2 * np.pi * 3000 * np.arange(160000) / 16000)[:, None].astype(np.float32))
    assert np.argmax(np.mean(picture._spectra, axis=0)) == 3000 * 1024 // 16000


@pytest.mark.parametrize("num_samples", [0, 1, 5000])
def test_png_is_drawn_for_any_length(num_samples):
    picture = StemPicture(8000)
    picture.add(np.zeros((num_samples, 1), np.float32))
    assert picture.png().startswith(b"\x89PNG")
    assert picture.rms_db == float("-inf")
