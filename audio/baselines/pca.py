"""Principal component analysis: separation by decorrelation, the weaker sibling of ICA.

With a microphone per instrument the channels are rotated until they are uncorrelated, the loudest direction first.
Sources are uncorrelated, but so is every rotation of equally loud ones, and directions of microphones are seldom at
right angles; so components are mixtures as a rule. PCA stands in a table to show what decorrelation alone is worth. See
`audio.baselines.linear_components` for what is shared with ICA.

With fewer channels the matrix is made of delayed copies of the channels (a Hankel matrix), and the method is singular
spectrum analysis: the principal components are filters, the narrower the more regular the sound, each with its own
output. Waveforms are chosen over spectrograms because PCA is linear and its components have signs, as waveforms do and
magnitudes do not; so the reconstruction is exact and the filters of all components add up to the identity. They are
clustered by the loudness of their outputs over time: partials of one note come and go together.

One microphone allows only what fixed filters can do: to give each instrument its own frequencies for the whole
recording. Where instruments share frequencies, in one instant or one after the other, they stay together.

References:
    K. Pearson, "On lines and planes of closest fit to systems of points in space", Philosophical Magazine 2(11), 1901.
    N. Golyandina, V. Nekrutkin, A. Zhigljavsky, "Analysis of time series structure: SSA and related techniques", 2001,
        sections 1.1 (embedding, decomposition, grouping, diagonal averaging) and, for several channels, the stacked
        trajectory matrices of multivariate SSA.
"""

import numpy as np
from scipy.signal import oaconvolve

from audio.baselines.linear_components import (
    Namer,
    clusters,
    heard_samples,
    images,
    num_independent_channels,
    separate_by_components,
)

# How many delays: filters of this length tell partials apart that are some 90 Hz apart.
EMBEDDING_SECONDS = 0.0116
# Delays of all channels together. The time of the decomposition grows with the cube, and above a thousand scikit-learn
# no longer takes the short way by the covariance.
MAX_EMBEDDING = 1000
# Loudness is measured in stretches of this length, each by so many windows.
STRETCH_SECONDS = 0.046
WINDOWS_PER_STRETCH = 64
MAX_STRETCHES = 256
# Fewer give no course of loudness to compare.
MIN_STRETCHES = 4
LOUDNESS_FLOOR = 1e-4


class PCA:
    """Separates a whole mixture blindly; see the module for what to expect.

    Args:
        namer: tells which component is which instrument; gives the source names.
        seed: of everything that is drawn.
    """

    def __init__(self, namer: Namer, *, seed: int = 0):
        self.namer = namer
        self.seed = seed

    @property
    def source_names(self) -> tuple[str, ...]:
        return self.namer.source_names

    def separate_mixture(self, mixture: np.ndarray, label_vector: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Separates into components that are uncorrelated.

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
        from sklearn.decomposition import PCA as Decomposition

        heard = heard_samples(mixture, self.seed)
        if num_independent_channels(heard) < num_components:
            return self._split_by_filters(mixture, num_components, sample_rate_hz)
        directions = Decomposition(num_components, random_state=self.seed).fit(heard).components_
        return images(mixture, directions, directions.T)

    def _split_by_filters(self, mixture, num_sources, sample_rate_hz) -> np.ndarray | None:
        from sklearn.decomposition import PCA as Decomposition

        num_channels = mixture.shape[1]
        num_delays = max(min(round(EMBEDDING_SECONDS * sample_rate_hz), MAX_EMBEDDING // num_channels), 1)
        stretches = self._stretches(mixture, num_delays, round(STRETCH_SECONDS * sample_rate_hz))
        windows = stretches.reshape(-1, num_channels * num_delays)
        if len(stretches) < MIN_STRETCHES or not np.any(windows - windows.mean(axis=0)):
            return None
        directions = Decomposition(random_state=self.seed).fit(windows).components_
        if len(directions) < num_sources:
            return None
        outputs = (windows @ directions.T).reshape(len(stretches), -1, len(directions))
        loudness = np.mean(outputs**2, axis=1).T
        labels = clusters(_courses(loudness), loudness.mean(axis=1), num_sources, self.seed)
        directions = directions.reshape(-1, num_channels, num_delays)
        return np.stack([reconstruction(mixture, directions[labels == k]) for k in range(num_sources)])

    def _stretches(self, mixture, num_delays, stretch_samples) -> np.ndarray:
        """Windows of stretches all over the mixture, `[num_stretches, WINDOWS_PER_STRETCH, channels, num_delays]`."""
        count = max(len(mixture) - num_delays + 1, 0) // stretch_samples
        starts = np.arange(count) * stretch_samples
        if count > MAX_STRETCHES:
            starts = np.sort(np.random.default_rng(self.seed).choice(starts, MAX_STRETCHES, replace=False))
        steps = np.arange(WINDOWS_PER_STRETCH) * stretch_samples // WINDOWS_PER_STRETCH
        if not count:
            return np.zeros((0, len(steps), mixture.shape[1], num_delays))
        every = np.lib.stride_tricks.sliding_window_view(mixture, num_delays, axis=0)
        return every[starts[:, None] + steps]


def _courses(loudness: np.ndarray) -> np.ndarray:
    """Loudness over time as directions: logarithms without mean, of length 1; `[num_components, num_stretches]`."""
    floor = LOUDNESS_FLOOR * loudness.mean(axis=1, keepdims=True) + np.finfo(np.float64).tiny
    courses = np.log(loudness + floor)
    courses -= courses.mean(axis=1, keepdims=True)
    return courses / np.maximum(np.linalg.norm(courses, axis=1, keepdims=True), np.finfo(np.float64).tiny)


def reconstruction(mixture: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """What some components reconstruct together, `[time, channels]`: projection of every window, averaged over windows.

    From channel d to channel c that is the filter `sum over k of (w_k,c correlated with w_k,d) / num_delays`.

    Args:
        mixture: `[time, channels]`.
        directions: orthonormal, `[num_components, channels, num_delays]`.
    """
    _, num_channels, num_delays = directions.shape
    spectra = np.fft.rfft(directions, 2 * num_delays)
    correlations = np.einsum("kcf,kdf->cdf", spectra, spectra.conj())
    # Lag -num_delays is out of reach; without it the filters have an odd length and a centre.
    filters = np.fft.fftshift(np.fft.irfft(correlations, 2 * num_delays), axes=-1)[..., 1:] / num_delays
    rows = [oaconvolve(mixture, filters[c].T, mode="same", axes=0).sum(axis=1) for c in range(num_channels)]
    return np.stack(rows, axis=1)
