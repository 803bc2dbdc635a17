"""Ideal ratio mask: the ceiling of all mask-based separation, because it is told the references.

References: Y. Wang, A. Narayanan, D. Wang, "On training targets for supervised speech separation", IEEE/ACM TASLP
22(12), 2014, equation 2 with exponent 1 on magnitudes.
"""

import numpy as np
from scipy.signal import istft, stft

WINDOW_SAMPLES = 2048


def ideal_ratio_mask(mixture: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Separates a mixture by the masks that its references ask for.

    Args:
        mixture: `[time, channels]`.
        references: `[num_sources, time, channels]`.

    Returns:
        Estimates `[num_sources, time, channels]`.
    """
    padding = max(WINDOW_SAMPLES - len(mixture), 0)
    _, _, mixture_stft = stft(np.pad(mixture, ((0, padding), (0, 0))).T, nperseg=WINDOW_SAMPLES)
    padded_references = np.pad(references, ((0, 0), (0, padding), (0, 0)))
    _, _, reference_stfts = stft(padded_references.transpose(0, 2, 1), nperseg=WINDOW_SAMPLES)
    magnitudes = np.abs(reference_stfts)
    masks = magnitudes / np.maximum(magnitudes.sum(axis=0), np.finfo(np.float64).tiny)
    _, estimates = istft(masks * mixture_stft, nperseg=WINDOW_SAMPLES)
    return estimates[..., : len(mixture)].transpose(0, 2, 1)
