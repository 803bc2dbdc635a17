"""Oracles: the ceilings of separation by masks and filters of spectra, because they are told the references.

A method that multiplies the mixture's spectrum by numbers of the same kind will hardly score above them, so they say
how much of a score is the music's difficulty. They are no models: nothing but an evaluation has references to tell.

Conventions:
    Mixtures are `[time, channels]`, references and estimates `[num_sources, time, channels]`, float64 out; spectra
    `[..., channels, bins, stft_frames]`. Masks are made channel by channel, the Wiener filter for all together. Where
    no reference sounds, no estimate does; a silent reference gets silence. Where the references add up to the mixture,
    so do the estimates.

The window is 2,048 samples with hops of half of it, at whatever rate the sound comes: 93 ms at 22,050 Hz, 46 ms at
44,100 Hz. So the same recording has different ceilings at different rates; compare oracles and methods at one rate.

References:
    IBM, IRM: Y. Wang, A. Narayanan, D. Wang, "On training targets for supervised speech separation", IEEE/ACM TASLP
        22(12), 2014: equation 1 at 0 dB, for any number of sources the loudest; equation 2 with exponent 1 on
        magnitudes.
    MWF: N. Q. K. Duong, E. Vincent, R. Gribonval, "Under-determined reverberant audio source separation using a
        full-rank spatial covariance model", IEEE TASLP 18(7), 2010: its model of a source and the filter of minimum
        mean square error. The covariances are weighted by power, as A. Liutkus, R. Badeau, G. Richard, "Low bitrate
        informed source separation of realistic mixtures", ICASSP 2013, and the norbert toolbox do.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy.signal import istft, stft

from av_sep.errors import ParameterError

WINDOW_SAMPLES = 2048
# Relative to the mean power of a bin's channels: keeps covariances invertible where fewer sources than channels sound.
REGULARIZATION = 1e-10
# Far below the square of any sample, far above the smallest float64.
POWER_FLOOR = 1e-200


def ideal_binary_mask(mixture: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Gives each bin of the mixture's spectrum to the source that is loudest there, the first of equals.

    Args:
        mixture: `[time, channels]`.
        references: `[num_sources, time, channels]`.

    Returns:
        Estimates `[num_sources, time, channels]`.

    Raises:
        ParameterError: for shapes that do not fit, no samples, and samples that are not finite.
    """
    mixture_spectrum, reference_spectra = _spectra(mixture, references)
    magnitudes = np.abs(reference_spectra)
    sources = np.arange(len(references))[:, None, None, None]
    masks = (np.argmax(magnitudes, axis=0) == sources) & (magnitudes > 0)
    return _waveforms(masks * mixture_spectrum, len(mixture))


def ideal_ratio_mask(mixture: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Shares each bin of the mixture's spectrum among the sources in proportion to their magnitudes.

    Args:
        mixture: `[time, channels]`.
        references: `[num_sources, time, channels]`.

    Returns:
        Estimates `[num_sources, time, channels]`.

    Raises:
        ParameterError: for shapes that do not fit, no samples, and samples that are not finite.
    """
    mixture_spectrum, reference_spectra = _spectra(mixture, references)
    magnitudes = np.abs(reference_spectra)
    masks = magnitudes / np.maximum(magnitudes.sum(axis=0), np.finfo(np.float64).tiny)
    return _waveforms(masks * mixture_spectrum, len(mixture))


def multichannel_wiener(mixture: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Filters all channels together, by the power of each source in time and its place among the channels.

    Source j is modelled as Gaussian with covariance `v_j(f, n) R_j(f)`: its power in every bin, averaged over the
    channels, times a spatial covariance of full rank that holds for the whole recording. The estimate is the source's
    mean given the mixture, `v_j R_j (sum over i of v_i R_i)^-1 x`. With one channel that is the ratio mask of powers.

    Args:
        mixture: `[time, channels]`.
        references: `[num_sources, time, channels]`.

    Returns:
        Estimates `[num_sources, time, channels]`.

    Raises:
        ParameterError: for shapes that do not fit, no samples, and samples that are not finite.
    """
    mixture_spectrum, estimates = _spectra(mixture, references)
    # Bins do not depend on each other; one at a time, the covariances of all frames fit into memory.
    for k in range(mixture_spectrum.shape[1]):
        estimates[:, :, k] = _wiener_of_bin(mixture_spectrum[:, k], estimates[:, :, k])
    return _waveforms(estimates, len(mixture))


ORACLES: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "ideal_binary_mask": ideal_binary_mask,
    "ideal_ratio_mask": ideal_ratio_mask,
    "multichannel_wiener": multichannel_wiener,
}


def _wiener_of_bin(mixture: np.ndarray, references: np.ndarray) -> np.ndarray:
    """One bin of all frames: `[channels, stft_frames]` and `[num_sources, channels, stft_frames]` to the latter."""
    powers = np.mean(np.abs(references) ** 2, axis=1)
    # Loud frames count more, as they tell the place better; the trace is the number of channels.
    covariances = references @ references.conj().swapaxes(1, 2)
    covariances /= np.maximum(powers.sum(axis=1), POWER_FLOOR)[:, None, None]
    total = np.einsum("sn,scd->ncd", powers, covariances)
    loading = REGULARIZATION * np.maximum(powers.sum(axis=0), POWER_FLOOR)
    whitened = np.linalg.solve(total + loading[:, None, None] * np.eye(len(mixture)), mixture.T[..., None])[..., 0]
    return powers[:, None] * (covariances @ whitened.T)


def _spectra(mixture: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spectra `[channels, bins, stft_frames]` of the mixture, `[num_sources, ...]` of the references."""
    mixture, references = np.asarray(mixture, np.float64), np.asarray(references, np.float64)
    if mixture.ndim != 2 or not mixture.size or references.ndim != 3 or references.shape[1:] != mixture.shape:
        raise ParameterError(
            "Expected a mixture [time, channels] with sound and references [num_sources, time, channels] of its shape."
            f" Received: {mixture.shape} and {references.shape}"
        )
    if not (np.all(np.isfinite(mixture)) and np.all(np.isfinite(references))):
        raise ParameterError("Expected finite samples. Received: NaN or infinity")
    padding = ((0, max(WINDOW_SAMPLES - len(mixture), 0)), (0, 0))
    _, _, mixture_spectrum = stft(np.pad(mixture, padding).T, nperseg=WINDOW_SAMPLES)
    padded = np.pad(references, ((0, 0), *padding))
    _, _, reference_spectra = stft(padded.transpose(0, 2, 1), nperseg=WINDOW_SAMPLES)
    return mixture_spectrum, reference_spectra


def _waveforms(spectra: np.ndarray, num_samples: int) -> np.ndarray:
    """Waveforms `[num_sources, time, channels]` of spectra `[num_sources, channels, bins, stft_frames]`."""
    _, waveforms = istft(spectra, nperseg=WINDOW_SAMPLES)
    return waveforms[..., :num_samples].transpose(0, 2, 1)
