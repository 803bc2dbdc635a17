"""Scores of one estimate against its reference, in dB.

Conventions: reference and estimate are `[time, channels]` of the same shape; all channels are scored as one signal.
Metrics never load files. A silent reference makes the ratios undefined, because there is no signal to be distorted;
that is an error here, and leakage into a silent stem is measured by `level_below_mixture_db` instead. A silent estimate
is all error, SDR 0 dB, and has nothing of the reference, SI-SDR minus infinity.

References:
    SDR: plain signal-to-distortion ratio, as in the Music Demixing Challenge (Y. Mitsufuji et al., 2022, equation 1).
    SI-SDR: J. Le Roux, S. Wisdom, H. Erdogan, J. R. Hershey, "SDR - half-baked or well done?", ICASSP 2019, equation 3.
        Scaling the estimate does not change it, so a stem that is far too quiet scores as well: read it beside the SDR.
"""

import math

import numpy as np

from av_sep.errors import ParameterError


def sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Plain signal-to-distortion ratio in dB: `10 log10(|s|^2 / |s - e|^2)`; infinite for a perfect estimate.

    Raises:
        ParameterError: for unequal shapes, non-finite samples or a silent reference.
    """
    reference, estimate = _validated(reference, estimate)
    return _ratio_db(np.sum(reference**2), np.sum((reference - estimate) ** 2))


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB; minus infinity for a silent or orthogonal estimate.

    Raises:
        ParameterError: for unequal shapes, non-finite samples or a silent reference.
    """
    reference, estimate = _validated(reference, estimate)
    scaled = np.sum(reference * estimate) / np.sum(reference**2) * reference
    return _ratio_db(np.sum(scaled**2), np.sum((scaled - estimate) ** 2))


def sdr_improvement(reference: np.ndarray, estimate: np.ndarray, mixture: np.ndarray) -> float:
    """By how many dB the estimate's SDR exceeds that of the mixture taken for an estimate.

    0 where both are equal, even if infinite; minus infinity where the mixture was the reference already.

    Raises:
        ParameterError: for unequal shapes, non-finite samples or a silent reference.
    """
    return _improvement(sdr, reference, estimate, mixture)


def si_sdr_improvement(reference: np.ndarray, estimate: np.ndarray, mixture: np.ndarray) -> float:
    """By how many dB the estimate's SI-SDR exceeds that of the mixture taken for an estimate.

    0 where both are equal, even if infinite; minus infinity for a silent estimate.

    Raises:
        ParameterError: for unequal shapes, non-finite samples or a silent reference.
    """
    return _improvement(si_sdr, reference, estimate, mixture)


def _improvement(metric, reference, estimate, mixture):
    before, after = metric(reference, mixture), metric(reference, estimate)
    return 0.0 if before == after else after - before


def level_below_mixture_db(mixture: np.ndarray, estimate: np.ndarray) -> float:
    """How far a stem that should be silent lies below the mixture, in dB of energy; infinite for exact silence.

    Raises:
        ParameterError: for unequal shapes, non-finite samples or a silent mixture.
    """
    mixture, estimate = _validated(mixture, estimate)
    return _ratio_db(np.sum(mixture**2), np.sum(estimate**2))


def _validated(reference, estimate):
    reference, estimate = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if reference.shape != estimate.shape or reference.ndim != 2:
        raise ParameterError(
            f"Expected two [time, channels] arrays of one shape. Received: {reference.shape} and {estimate.shape}"
        )
    if not (np.all(np.isfinite(reference)) and np.all(np.isfinite(estimate))):
        raise ParameterError("Expected finite samples. Received: NaN or infinity")
    if not np.any(reference):
        raise ParameterError("A silent reference makes the ratio undefined: leave it out. Received: all samples 0")
    # Ratios stay; squares of very small samples would vanish.
    peak = np.max(np.abs(reference))
    return reference / peak, estimate / peak


def _ratio_db(signal: float, distortion: float) -> float:
    if signal == 0:
        return -math.inf
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(signal) - 10 * np.log10(distortion))
