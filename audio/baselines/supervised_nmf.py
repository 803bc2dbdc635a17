"""Supervised NMF: templates of each instrument, learnt from solos, explain every frame of the mixture.

The templates of the active instruments stand side by side and stay fixed; the activations of each frame are found by a
fixed number of multiplicative updates (`audio.nmf`) from the same start. What the templates of an instrument
explain of a bin, over what all explain, is its mask there. No frame hears another, so a stream may be cut anywhere
between two hops without anybody hearing it.

The start gives all templates one activation. Templates as loud as their instrument plays them on average make it the
static Wiener filter, from which each update leads further away.

Conventions: templates are `[num_sources, num_bins, num_components]`, magnitudes at bins from 0 to half the sample rate.
Frames of 2 (num_bins - 1) samples follow each other by a quarter of that, under a Hann window.

References:
    P. Smaragdis, B. Raj, M. Shashanka, "Supervised and semi-supervised separation of sounds from single-channel
    mixtures", ICA 2007: fixed templates of each source, masks from their shares.
    C. Fevotte, N. Bertin, J.-L. Durrieu, "Nonnegative matrix factorization with the Itakura-Saito divergence",
    Neural Computation 21(3), 2009: for that divergence, powers instead of magnitudes.
"""

from collections.abc import Sequence

import numpy as np
from scipy.signal import istft, stft

from audio.nmf import BETAS, SPECTROGRAM_POWERS, factorize
from audio.framing import ChunkPlan
from audio.spectrogram_framing import spectrogram_chunk_plan
from av_sep.errors import ParameterError

OVERLAP = 4


class SupervisedNMF:
    """Separates by the activations of known templates.

    Args:
        source_names: instruments in order.
        templates: magnitudes, `[num_sources, num_bins, num_components]`; num_bins - 1 is even.
        sample_rate_hz: that the templates were learnt at.
        divergence: "frobenius", "kl" or "itakura_saito".
        num_iterations: updates of each frame's activations.
        mask_exponent: masks are ratios of explained magnitudes to this power; 2 are Wiener's ratios, less is softer.

    Raises:
        ParameterError: if names and templates do not match, and for values that cannot be used.
    """

    def __init__(
        self,
        source_names: Sequence[str],
        templates: np.ndarray,
        sample_rate_hz: int,
        divergence: str = "kl",
        num_iterations: int = 12,
        mask_exponent: float = 0.7,
    ):
        _validate(source_names, templates, divergence, num_iterations, mask_exponent)
        self.source_names = tuple(source_names)
        self.templates = np.asarray(templates, np.float64)
        self.sample_rate_hz = sample_rate_hz
        self.divergence = divergence
        self.num_iterations = num_iterations
        self.mask_exponent = mask_exponent
        self.frame_length = 2 * (templates.shape[1] - 1)

    def chunk_plan(self, chunk_samples: int) -> ChunkPlan:
        """Hops on the grid of the frames; the context holds every frame that reaches into the output."""
        hop_length = self.frame_length // OVERLAP
        return spectrogram_chunk_plan(
            chunk_samples, grid_samples=hop_length, context_samples=self.frame_length - hop_length
        )

    def separate_chunk(self, chunk: np.ndarray, label_vector: np.ndarray) -> np.ndarray:
        """`[num_input_samples]` to `[num_sources, num_input_samples - 2 * context_samples]`, float32."""
        context = self.chunk_plan(1).context_samples
        overlap = self.frame_length - self.frame_length // OVERLAP
        estimates = np.zeros((len(self.source_names), len(chunk) - 2 * context), np.float32)
        _, _, spectrum = stft(chunk.astype(np.float64), nperseg=self.frame_length, noverlap=overlap)
        active = np.flatnonzero(np.asarray(label_vector) > 0)
        for i, mask in zip(active, self.masks(np.abs(spectrum), label_vector)[active], strict=True):
            _, estimate = istft(mask * spectrum, nperseg=self.frame_length, noverlap=overlap)
            estimates[i] = estimate[context : context + estimates.shape[1]]
        return estimates

    def masks(self, magnitudes: np.ndarray, label_vector: np.ndarray) -> np.ndarray:
        """Masks of a spectrogram.

        Args:
            magnitudes: `[num_bins, num_frames]`.
            label_vector: `[num_sources]`; active are the instruments above 0.

        Returns:
            `[num_sources, num_bins, num_frames]` in [0, 1], zero for absent instruments; those of the active ones sum
            to 1, in equal shares where no template has anything.
        """
        masks = np.zeros((len(self.source_names), *magnitudes.shape))
        active = np.flatnonzero(np.asarray(label_vector) > 0)
        if len(active):
            explained = self._explained(magnitudes, active) ** self.mask_exponent + np.finfo(np.float64).tiny
            masks[active] = explained / explained.sum(axis=0)
        return masks

    def _explained(self, magnitudes: np.ndarray, active: np.ndarray) -> np.ndarray:
        """Magnitudes that the active templates explain, `[num_active, num_bins, num_frames]`, to a scale per frame."""
        power = SPECTROGRAM_POWERS[self.divergence]
        # The floor of the factorization follows the loudest entry; this makes it the same for every chunk.
        loudest = magnitudes.max(axis=0)
        spectrogram = (magnitudes / np.where(loudest > 0, loudest, 1)) ** power
        templates = self.templates[active] ** power
        result = factorize(
            spectrogram,
            templates=np.concatenate(templates, axis=1),
            fixed_templates=True,
            divergence=self.divergence,
            num_iterations=self.num_iterations,
        )
        activations = result.activations.reshape(len(active), -1, spectrogram.shape[1])
        return (templates @ activations) ** (1 / power)


def _validate(source_names, templates, divergence, num_iterations, mask_exponent) -> None:
    if np.ndim(templates) != 3 or len(templates) != len(source_names) or templates.shape[1] % 2 == 0:
        raise ParameterError(
            f"Expected templates [num_sources, num_bins, num_components] for {len(source_names)} sources, num_bins odd."
            f" Received: shape {np.shape(templates)}"
        )
    if not (np.all(np.isfinite(templates)) and np.all(templates >= 0) and np.all(templates.sum(axis=(1, 2)) > 0)):
        raise ParameterError(
            "Expected templates without negative entries, some positive for every source."
            f" Received: minimum {templates.min()}, sums {templates.sum(axis=(1, 2)).tolist()}"
        )
    if divergence not in BETAS:
        raise ParameterError(f"Expected divergence to be one of {', '.join(BETAS)}. Received: {divergence!r}")
    if num_iterations < 0 or not mask_exponent > 0:
        raise ParameterError(
            "Expected num_iterations >= 0 and mask_exponent > 0."
            f" Received: num_iterations={num_iterations}, mask_exponent={mask_exponent}"
        )
