"""Spectra of notes for a factorization to start from: at every pitch the partials, falling off in two ways.

An update of a factorization only multiplies, so what is zero between the partials stays next to it, and a template
stays the note that it is while the strengths of its partials become those of what plays.

Reference:
    S. Raczynski, N. Ono, S. Sagayama, "Multipitch analysis with harmonic nonnegative matrix approximation", ISMIR 2007.
"""

import numpy as np

LOWEST_PITCH, HIGHEST_PITCH = 26, 101  # in MIDI's numbers: under a double bass, over a flute
STEPS_PER_SEMITONE = 2
# A partial's strength is its number to minus this power: bright and dark notes.
DECAYS = (0.5, 1.5)
MAX_PARTIALS = 40
# Of a partial's lobe: the window's, in bins, and what tuning and vibrato add, in parts of its frequency.
LOBE_BINS, LOBE_DETUNING = 1.0, 0.002
# What is no note, bows and breath: broad bands.
NUM_NOISE_BANDS, NOISE_LOW_HZ, NOISE_HIGH_HZ, NOISE_RELATIVE_WIDTH = 24, 60.0, 10_000.0, 0.3


def harmonic_templates(frequencies_hz: np.ndarray, bin_hz: float) -> np.ndarray:
    """Magnitudes at given frequencies, float32 `[num_frequencies, num_templates]`; every template adds up to 1.

    Args:
        frequencies_hz: rising, `[num_frequencies]`; notes of which none is heard up to the last are left out.
        bin_hz: between the bins of the spectra; how sharp a partial is.
    """
    last_hz = frequencies_hz[-1]
    pitches = np.arange(LOWEST_PITCH, HIGHEST_PITCH, 1 / STEPS_PER_SEMITONE)
    fundamentals_hz = 440 * 2 ** ((pitches - 69) / 12)
    templates = [
        _note(frequencies_hz, bin_hz, fundamental_hz, decay)
        for fundamental_hz in fundamentals_hz[fundamentals_hz < last_hz]
        for decay in DECAYS
    ]
    middles_hz = np.geomspace(NOISE_LOW_HZ, min(NOISE_HIGH_HZ, last_hz), NUM_NOISE_BANDS)
    templates += [_lobe(frequencies_hz, middle, middle * NOISE_RELATIVE_WIDTH) for middle in middles_hz]
    matrix = np.stack(templates, axis=1)
    return (matrix / matrix.sum(axis=0)).astype(np.float32)


def _note(frequencies_hz, bin_hz, fundamental_hz, decay):
    numbers = np.arange(1, MAX_PARTIALS + 1)
    numbers = numbers[numbers * fundamental_hz <= frequencies_hz[-1]]
    partials = (
        number**-decay * _lobe(frequencies_hz, number * fundamental_hz, bin_hz * LOBE_BINS + partial_width)
        for number, partial_width in zip(numbers, numbers * fundamental_hz * LOBE_DETUNING, strict=True)
    )
    return sum(partials)


def _lobe(frequencies_hz, middle_hz, width_hz):
    return np.exp(-0.5 * ((frequencies_hz - middle_hz) / width_hz) ** 2)
