"""Least-squares projection of signals on what filters of several references can make."""

from itertools import count

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import irfft, next_fast_len, rfft
from scipy.linalg import LinAlgError, cho_factor, cho_solve


class DelayedReferences:
    """The space that references delayed by 0 to num_taps - 1 samples span: everything FIR filters can make of them.

    Signals count as zero before their first and after their last sample, so a projection is num_taps - 1 samples longer
    than the references. The normal equations are solved by one Cholesky factorization for all signals. Their matrix is
    made of Toeplitz blocks of the references' correlations.

    It is numerically singular where one reference is a filtered copy of another, and where references leave a band
    empty down to rounding errors. Recordings, with their noise, do not, nor does anything that is cut off at the edge
    of the segment, because an edge fills every band; resampled sounds that fade in and out within it may. Then filters
    that live on rounding errors would explain a little of everything. They are forbidden as gently as possible: where
    the factorization fails, float64's epsilon times 10, 100, ... is added to the diagonal, which is 1, until it works.
    The first of these amounts to white noise 147 dB below each reference.

    Args:
        references: `[num_sources, time]`, each of unit energy.
        num_taps: length of the filters.

    Reference: Vincent, Gribonval, Fevotte 2006, section III.B.
    """

    def __init__(self, references: np.ndarray, num_taps: int):
        self._num_taps = num_taps
        self._num_samples = references.shape[1] + num_taps - 1
        # No product of two transforms wraps around: neither correlations up to num_taps - 1 nor filtered references.
        self._fft_length = next_fast_len(self._num_samples, real=True)
        self._spectra = rfft(references, self._fft_length)
        self._factor = _factorized(lambda: self._gram(slice(None)))

    def project(self, signals: np.ndarray) -> np.ndarray:
        """Nearest points of the space to signals `[num_signals, time]`, as `[num_signals, time + num_taps - 1]`."""
        return self._nearest(self._factor, self._spectra, signals)

    def project_on_one(self, source: int, signal: np.ndarray) -> np.ndarray:
        """Nearest point to a signal `[time]` that filters of one reference can make, `[time + num_taps - 1]`."""
        only = slice(source, source + 1)
        return self._nearest(_factorized(lambda: self._gram(only)), self._spectra[only], signal[None])[0]

    def _nearest(self, factor, spectra, signals):
        signal_spectra = rfft(signals, self._fft_length)
        # [num_signals, num_sources, lag]
        correlations = irfft(signal_spectra[:, None] * spectra.conj(), self._fft_length)[..., : self._num_taps]
        filters = cho_solve(factor, correlations.reshape(len(signals), -1).T, check_finite=False).T
        filter_spectra = rfft(filters.reshape(correlations.shape), self._fft_length)
        return irfft(np.sum(filter_spectra * spectra, axis=1), self._fft_length)[:, : self._num_samples]

    def _gram(self, sources):
        """Inner products of delayed references, lower triangle of blocks, in LAPACK's order so that it works in place.

        Delays a of reference i and b of reference j meet at [i, a, j, b], and only a - b matters.
        """
        spectra, taps = self._spectra[sources], self._num_taps
        gram = np.zeros((len(spectra) * taps, len(spectra) * taps), order="F")
        for i, j in zip(*np.tril_indices(len(spectra)), strict=True):
            correlation = irfft(spectra[i].conj() * spectra[j], self._fft_length)
            # Lags from taps - 1 down to 1 - taps.
            lags = np.concatenate([correlation[taps - 1 :: -1], correlation[: -taps : -1]])
            gram[i * taps : (i + 1) * taps, j * taps : (j + 1) * taps] = sliding_window_view(lags, taps)[::-1]
        return gram


def _factorized(make_gram):
    """Cholesky factorization of the matrix, or of the nearest one upwards that has any."""
    loading = 0.0
    for exponent in count(1):
        gram = make_gram()
        gram[np.diag_indices_from(gram)] += loading
        try:
            return cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            loading = np.finfo(np.float64).eps * 10**exponent
