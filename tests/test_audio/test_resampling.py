"""Sample-rate conversion: a sine stays the sine it was, however the stream is cut."""

import numpy as np
import pytest

from audio.resampling import StreamResampler, resample

RATES = ((44100, 16000), (16000, 44100), (48000, 22050), (8000, 96000))


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_sine_keeps_frequency_amplitude_and_phase(make_sine, rate_in, rate_out):
    low, high = (make_sine(hz, rate_in, rate_in, phase=phase) for hz, phase in ((440, 0.3), (1234.5, 1.1)))
    output = resample(np.stack([low, high], axis=1), rate_in, rate_out)
    assert output.dtype == np.float32
    assert output.shape == (rate_out, 2)
    inside = slice(rate_out // 10, -rate_out // 10)
    for channel, (hz, phase) in enumerate(((440, 0.3), (1234.5, 1.1))):
        expected = make_sine(hz, rate_out, rate_out, phase=phase)
        np.testing.assert_allclose(output[inside, channel], expected[inside], rtol=0, atol=2e-5)


def test_sine_above_the_new_nyquist_is_removed(make_sine):
    output = resample(make_sine(9000, 44100, 44100)[:, None], 44100, 16000)
    assert np.abs(output[1600:-1600]).max() < 1e-5


def test_what_lies_just_below_the_new_nyquist_stays(make_sine):
    sine = make_sine(9900, 44100, 44100, 0.5)[:, None]
    inside = resample(sine, 44100, 22050)[2000:-2000]
    assert np.sqrt(2 * np.mean(inside.astype(np.float64) ** 2)) == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_output_does_not_depend_on_how_the_stream_is_cut(rng, rate_in, rate_out):
    waveform = rng.normal(size=(3000, 2)).astype(np.float32)
    whole = resample(waveform, rate_in, rate_out)
    for cuts in ([1, 2, 3], [997, 1994, 2991], sorted(rng.integers(3000, size=20))):
        stream = StreamResampler(rate_in, rate_out, 2)
        parts = [stream.process(block) for block in np.split(waveform, cuts)]
        parts.append(stream.process(np.zeros((0, 2), np.float32), last=True))
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=0, atol=1e-6)


def test_equal_rates_pass_through(rng):
    waveform = rng.normal(size=(100, 3)).astype(np.float32)
    stream = StreamResampler(22050, 22050, 3)
    np.testing.assert_array_equal(stream.process(waveform[:40]), waveform[:40])
    np.testing.assert_array_equal(stream.process(waveform[40:], last=True), waveform[40:])


def test_channels_are_converted_apart(rng):
    waveform = rng.normal(size=(2000, 2)).astype(np.float32)
    both = resample(waveform, 44100, 16000)
    for channel in range(2):
        alone = resample(waveform[:, channel : channel + 1], 44100, 16000)
        np.testing.assert_allclose(both[:, channel], alone[:, 0], rtol=0, atol=1e-6)
