"""Pictures of stems: truth is the signal that was drawn."""

import cv2
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


def drawn(wave, rate_hz=16000):
    """A waveform's picture as a person sees it: `[height, width, 3]`, and which of its pixels are the waveform's."""
    picture = StemPicture(rate_hz)
    for start in range(0, len(wave), 777):
        picture.add(wave[start : start + 777, None].astype(np.float32))
    pixels = cv2.imdecode(np.frombuffer(picture.png(), np.uint8), cv2.IMREAD_COLOR).astype(int)
    return pixels, (pixels == (0xB0, 0x6C, 0x2B)).all(axis=-1)


def test_click_at_the_very_end_is_drawn_at_the_end():
    # 500 samples after the last full column.
    silence = np.zeros(31 * 1024 + 500)
    click = silence.copy()
    click[-200] = 0.9
    (pixels, is_wave), (quiet, nothing) = drawn(click), drawn(silence)
    assert not nothing.any()
    rows, columns = np.nonzero(is_wave)
    assert len(columns) and columns.min() > 0.95 * is_wave.shape[1] and np.ptp(rows) > 0.9 * 0.2 * is_wave.shape[0]
    # The spectrogram below shows it too, and nothing before.
    spectrogram = slice(rows.max() + 20, None)
    change = np.abs(pixels - quiet)[spectrogram].max(axis=(0, 2))
    assert change[columns.min() : columns.max()].min() > 50 and not change[: columns.min() - 20].any()


@pytest.mark.parametrize("num_samples", [300, 1000, 1100])
def test_short_tone_fills_its_picture(num_samples):
    tone = 0.5 * np.sin(2 * np.pi * 3000 * np.arange(num_samples) / 16000)
    pixels, is_wave = drawn(tone)
    rows, columns = np.nonzero(is_wave)
    assert np.ptp(columns) > 0.85 * is_wave.shape[1] and len(set(columns)) == np.ptp(columns) + 1
    loud_rows, _ = np.nonzero(drawn(2 * tone)[1])
    assert np.ptp(rows) == pytest.approx(np.ptp(loud_rows) / 2, abs=2)
    # Three of eight kHz, counted from below, is where the spectrogram is brightest; a row of paper is white.
    brightness = np.median(pixels[rows.max() + 20 :, columns.min() : columns.max()].sum(axis=-1), axis=1)
    spectrogram = np.flatnonzero(brightness < 700)
    brightest = spectrogram[np.argmax(brightness[spectrogram])]
    assert (spectrogram[-1] - brightest) / np.ptp(spectrogram) == pytest.approx(3 / 8, abs=0.02)
