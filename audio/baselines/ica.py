"""Independent component analysis (FastICA): blind separation by independence.

With a microphone per instrument it is among the best blind methods for mixtures without delays: it needs sources that
are independent and, all but one, not Gaussian. See `audio.baselines.linear_components` for what is shared with PCA.

With fewer channels the matrix is the magnitude spectrogram, and the method is independent subspace analysis: spectra
are reduced to a few principal components and rotated until their loudness over time is as independent as can be. Each
component is a fixed spectrum that comes and goes, and a note or a chord rather than an instrument. Spectra are chosen
over delayed copies of the waveform because independence of their loudness says more than of filtered waveforms, whose
components are filters that all fit one another. Components are clustered by the coarse shape of their spectra (what an
instrument keeps from note to note), and the clusters' spectrograms become masks on the mixture's. Independence of
waveforms is measured by the logarithm of the hyperbolic cosine, that of loudness, often low and seldom high, by the
third moment: the former does not see skewness and left even made sources that fit the model mixed.

One microphone allows little of this. The model is not identifiable: nothing in the mixture says which components belong
to one instrument, magnitudes do not add up, and the timbre of an instrument may change as much from note to note as
from instrument to instrument. Expect scores near those of an equal share of the mixture, on either side of them; those
that were measured stand in `audio.baselines.linear_components`.

FastICA is started anew from other seeds when it has not settled after `MAX_ITERATIONS`. If no start settles, the last
one is used: any rotation of whitened channels is a separation that adds up, only a less independent one. That is told
in the log of this module (level INFO), where scikit-learn would have raised a warning.

References:
    A. Hyvarinen, E. Oja, "Independent component analysis: algorithms and applications", Neural Networks 13, 2000.
    M. A. Casey, A. Westner, "Separation of mixed audio sources by independent subspace analysis", ICMC 2000.
    M. Spiertz, V. Gnann, "Source-filter based clustering for monaural blind source separation", DAFx 2009.
"""

import logging
import warnings

import numpy as np
from scipy.signal import istft, stft

from audio.baselines.linear_components import (
    Namer,
    clusters,
    heard_samples,
    images,
    num_independent_channels,
    separate_by_components,
)
from av_sep.errors import ParameterError

_log = logging.getLogger(__name__)

NUM_STARTS = 3
MAX_ITERATIONS = 400
# Of about a tenth of a second, a power of two: partials of neighbouring semitones are apart from 200 Hz upwards.
WINDOW_SECONDS = 0.093
MAX_FIT_FRAMES = 2000
# Rotations by fewer frames fit chance.
FRAMES_PER_COMPONENT = 4
# Of a principal component, relative to the first: weaker ones are rounding.
SPECTRAL_TOLERANCE = 1e-6
MASK_FLOOR = 1e-9
NUM_BANDS = 24
LOWEST_BAND_HZ = 100.0
BAND_FLOOR = 1e-6


class ICA:
    """Separates a whole mixture blindly; see the module for what to expect.

    Args:
        namer: tells which component is which instrument; gives the source names.
        num_components_per_source: spectra for each active instrument where there are too few channels, at least 1.
        seed: of everything that is drawn.

    Raises:
        ParameterError: for no spectra at all.
    """

    def __init__(self, namer: Namer, *, num_components_per_source: int = 3, seed: int = 0):
        if num_components_per_source < 1:
            raise ParameterError(f"Expected num_components_per_source >= 1. Received: {num_components_per_source}")
        self.namer = namer
        self.num_components_per_source = num_components_per_source
        self.seed = seed

    @property
    def source_names(self) -> tuple[str, ...]:
        return self.namer.source_names

    def separate_mixture(self, mixture: np.ndarray, label_vector: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Separates into components that are as independent as can be.

        Args:
            mixture: `[time, channels]`, finite.
            label_vector: `[num_sources]`; active are the instruments above 0.
            sample_rate_hz: of the mixture.

        Returns:
            Estimates `[num_sources, time, channels]`, float32; the active ones add up to the mixture.

        Raises:
            ParameterError: for a shape or samples that cannot be used.
        """
        return separate_by_components(mixture, label_vector, sample_rate_hz, namer=self.namer, split=self._split)

    def _split(self, mixture: np.ndarray, num_components: int, sample_rate_hz: int) -> np.ndarray | None:
        heard = heard_samples(mixture, self.seed)
        if num_independent_channels(heard) < num_components:
            return self._split_spectrogram(mixture, num_components, sample_rate_hz)
        unmixing, mixing = _independent(heard, num_components, self.seed, "logcosh")
        return images(mixture, unmixing, mixing)

    def _split_spectrogram(self, mixture, num_sources, sample_rate_hz) -> np.ndarray | None:
        window = 2 ** round(np.log2(WINDOW_SECONDS * sample_rate_hz))
        padding = max(window - len(mixture), 0)
        # Half the memory of float64, which is what limits the length of a recording.
        _, _, spectrum = stft(np.pad(mixture, ((0, padding), (0, 0))).T.astype(np.float32), nperseg=window)
        # All channels of a frame side by side, so that places are told apart as spectra are: [frames, channels * bins].
        frames = np.abs(spectrum).reshape(-1, spectrum.shape[-1]).T
        found = self._independent_spectra(frames, num_sources)
        if found is None:
            return None
        unmixing, spectra = found
        energies = np.sum((frames @ unmixing.T) ** 2, axis=0) * np.sum(spectra**2, axis=1)
        if not np.any(energies):
            return None
        shapes = _band_levels(np.abs(spectra).reshape(-1, *spectrum.shape[:2]).mean(axis=1), sample_rate_hz)
        labels = clusters(shapes, energies, num_sources, self.seed)
        groups = [(unmixing[labels == k], spectra[labels == k]) for k in range(num_sources)]
        spectra_of_groups = (mask.T.reshape(spectrum.shape) * spectrum for mask in _masks(frames, groups))
        components = [istft(of_group, nperseg=window)[1][:, : len(mixture)] for of_group in spectra_of_groups]
        return np.stack(components).transpose(0, 2, 1)

    def _independent_spectra(self, frames, num_sources) -> tuple[np.ndarray, np.ndarray] | None:
        """Unmixing matrix and spectra, both `[num_components, channels * bins]`; None for too few kinds of spectra."""
        from sklearn.decomposition import PCA

        if len(frames) > MAX_FIT_FRAMES:
            chosen = np.random.default_rng(self.seed).choice(len(frames), MAX_FIT_FRAMES, replace=False)
            frames = frames[chosen]
        frames = frames.astype(np.float64)
        num_components = min(self.num_components_per_source * num_sources, len(frames) // FRAMES_PER_COMPONENT)
        if num_components < num_sources or not np.any(frames - frames.mean(axis=0)):
            return None
        pca = PCA(num_components, random_state=self.seed).fit(frames)
        basis = pca.components_[pca.singular_values_ > SPECTRAL_TOLERANCE * pca.singular_values_[0]]
        if len(basis) < num_sources:
            return None
        unmixing, mixing = _independent(frames @ basis.T, len(basis), self.seed, _skewness)
        return unmixing @ basis, mixing.T @ basis


def _independent(observations, num_components: int, seed: int, measure) -> tuple[np.ndarray, np.ndarray]:
    """Unmixing `[num_components, num_signals]` of `[num_observations, num_signals]`, and its pseudo-inverse.

    `measure` is the contrast function as `sklearn.decomposition.FastICA` takes it.
    """
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    for start in range(NUM_STARTS):
        ica = FastICA(num_components, fun=measure, random_state=seed + start, max_iter=MAX_ITERATIONS)
        with warnings.catch_warnings():
            # Told by the number of iterations, and in the log.
            warnings.simplefilter("ignore", ConvergenceWarning)
            ica.fit(observations)
        if ica.n_iter_ < MAX_ITERATIONS:
            return ica.components_, ica.mixing_
    _log.info("FastICA did not settle in %d starts of %d iterations; the last is used", NUM_STARTS, MAX_ITERATIONS)
    return ica.components_, ica.mixing_


def _skewness(signals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of the third moment, and the mean of its own derivative over time."""
    return signals**2, 2 * signals.mean(axis=-1)


def _masks(frames, groups):
    """Yields masks `[frames, channels * bins]` in [0, 1] that add up to 1, from (unmixing, spectra) of each group."""
    floor = MASK_FLOOR * frames.max()

    def magnitudes(group):
        part = (frames @ group[0].T).astype(frames.dtype) @ group[1].astype(frames.dtype)
        # A group's part of a spectrum may be negative, which no magnitude is.
        return np.maximum(part, 0, out=part) + floor

    total = sum(magnitudes(group) for group in groups)
    for group in groups:
        yield magnitudes(group) / total


def _band_levels(spectra: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Logarithmic levels `[num_components, bands]`, bands evenly spaced in pitch, of `[num_components, bins]`."""
    bins_hz = np.linspace(0, sample_rate_hz / 2, spectra.shape[1])
    edges_hz = np.geomspace(LOWEST_BAND_HZ, max(sample_rate_hz / 2, 2 * LOWEST_BAND_HZ), NUM_BANDS)
    bands = np.searchsorted(edges_hz, bins_hz)[:, None] == np.arange(NUM_BANDS)
    sums = spectra @ bands
    levels = np.log(sums + BAND_FLOOR * sums.max(axis=1, keepdims=True))
    return levels - levels.mean(axis=1, keepdims=True)
