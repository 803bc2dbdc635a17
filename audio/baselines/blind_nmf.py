"""Blind NMF: the mixture's spectrogram is factorized, and its components are gathered into instruments by their timbre.

Nothing is known of the instruments but how many play. A component is about a note; notes of one instrument have
spectra of one envelope, so components are clustered by the mel cepstrum of their templates, without its coefficient 0,
the level, and those above 12, the pitch (M. Spiertz, V. Gnann, "Source-filter based clustering for monaural blind
source separation", DAFx 2009, with k-means in place of their second NMF). What the components of a cluster explain of a
bin, over what all explain, is the cluster's mask there; all channels share the masks. At last the clusters are named
(`audio.baselines.component_naming`).

How it was chosen, on ten duets and trios of 4 s, SI-SDR gained by the best naming of the clusters: cepstra by k-means
3.9 dB, by Ward's method 3.2 dB, mel spectra by k-means 2.1 dB, correlation of activations -2.8 to -2.1 dB, clusters at
random -1.2 dB, components given to the instrument they are loudest in 8.9 dB. So clustering is what limits this method,
and then naming: of these 3.9 dB 1.9 dB are left by it. Itakura-Saito on powers gained 0.6 dB where Kullback-Leibler on
magnitudes gained 3.9 dB. On 20 duets and 20 trios of sounds that nothing was learnt from the named clusters gain 0.9 dB
(static Wiener: 2.0 dB), on as many of recorded solos they lose 1.3 dB (static Wiener gains 2.6 dB). What is found
depends on the start: the divergence has many local minima.

Conventions: mixtures are `[time, channels]`, spectrograms `[num_bins, num_frames]`. The mixture keeps its rate; frames
are the power of two of samples below `FRAME_SECONDS`, and follow each other by a quarter under a Hann window.
"""

import numpy as np
from scipy.fft import dct
from scipy.signal import istft, stft
from sklearn.cluster import KMeans

from audio.baselines.component_naming import ComponentNamer
from audio.baselines.inputs import validated_inputs
from audio.nmf import BETAS, SPECTROGRAM_POWERS, Factorization, factorize
from av_sep.errors import ParameterError

FRAME_SECONDS = 0.129
OVERLAP = 4
NUM_MEL_BANDS = 24
MEL_RANGE_HZ = (50.0, 8000.0)
NUM_CEPSTRA = 12


class BlindNMF:
    """Separates a whole mixture without knowing how its instruments sound; only their names are told by that.

    Memory grows with the mixture: a trio in stereo at 44.1 kHz takes 5.3 MB a second beside the estimates, a quarter of
    an hour of it 5 GB; a second of it takes 0.2 seconds of one core.

    Args:
        namer: names the clusters.
        divergence: "frobenius", "kl" or "itakura_saito".
        num_components_per_source: components of the factorization for each active instrument.
        num_iterations: of the factorization.
        mask_exponent: masks are ratios of explained magnitudes to this power; 2 are Wiener's ratios, less is softer.
        seed: of the factorization and the clustering.

    Raises:
        ParameterError: for values that cannot be used.
    """

    def __init__(
        self,
        namer: ComponentNamer,
        divergence: str = "kl",
        num_components_per_source: int = 10,
        num_iterations: int = 100,
        mask_exponent: float = 0.5,
        seed: int = 0,
    ):
        if divergence not in BETAS:
            raise ParameterError(f"Expected divergence to be one of {', '.join(BETAS)}. Received: {divergence!r}")
        if num_components_per_source < 1 or num_iterations < 0 or not mask_exponent > 0:
            raise ParameterError(
                "Expected num_components_per_source >= 1, num_iterations >= 0 and mask_exponent > 0. Received:"
                f" num_components_per_source={num_components_per_source}, num_iterations={num_iterations},"
                f" mask_exponent={mask_exponent}"
            )
        self.namer = namer
        self.divergence = divergence
        self.num_components_per_source = num_components_per_source
        self.num_iterations = num_iterations
        self.mask_exponent = mask_exponent
        self.seed = seed

    @property
    def source_names(self) -> tuple[str, ...]:
        return self.namer.source_names

    def separate_mixture(self, mixture: np.ndarray, label_vector: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Separates into the active instruments.

        Args:
            mixture: `[time, channels]`, at least one sample.
            label_vector: `[num_sources]`; active are the instruments above 0.
            sample_rate_hz: of the mixture.

        Returns:
            `[num_sources, time, channels]`, float32; the active ones add up to the mixture, the others are silent.

        Raises:
            ParameterError: as `validated_inputs`.
        """
        mixture, active = validated_inputs(mixture, label_vector, self.source_names)
        mixture = mixture.astype(np.float32)
        estimates = np.zeros((len(self.source_names), *mixture.shape), np.float32)
        if len(active) == 1:
            estimates[active] = mixture
        elif len(active) and np.any(mixture):
            clusters = self.separate_clusters(mixture, len(active), sample_rate_hz)
            estimates[list(self.namer.assign(clusters, label_vector, sample_rate_hz))] = clusters
        return estimates

    def separate_clusters(self, mixture: np.ndarray, num_clusters: int, sample_rate_hz: int) -> np.ndarray:
        """Separates a mixture `[time, channels]` that is not silent into clusters without names.

        Returns:
            `[num_clusters, time, channels]`, float32, adding up to the mixture.
        """
        frame_length = frame_length_at(sample_rate_hz)
        result = self._factorized(mixture, num_clusters, frame_length)
        labels = clustered(result.templates, num_clusters, frame_length, sample_rate_hz, self.seed)
        exponent = self.mask_exponent / SPECTROGRAM_POWERS[self.divergence]
        members = [labels == i for i in range(num_clusters)]
        explained = [(result.templates[:, own] @ result.activations[own]) ** exponent for own in members]
        return _masked(mixture, explained, frame_length)

    def _factorized(self, mixture: np.ndarray, num_clusters: int, frame_length: int) -> Factorization:
        power = SPECTROGRAM_POWERS[self.divergence]
        # Magnitudes, not waveforms: channels in opposite phase must not cancel.
        spectrogram = sum((np.abs(_stft(channel, frame_length)) ** power for channel in mixture.T), np.float32(0))
        return factorize(
            spectrogram / spectrogram.max(),
            self.num_components_per_source * num_clusters,
            divergence=self.divergence,
            num_iterations=self.num_iterations,
            seed=self.seed,
        )


def frame_length_at(sample_rate_hz: float) -> int:
    """Samples in a frame."""
    return 2 ** max(int(np.log2(FRAME_SECONDS * sample_rate_hz)), 4)


def clustered(templates: np.ndarray, num_clusters: int, frame_length: int, sample_rate_hz: float, seed: int):
    """Cluster of each template by the envelope of its spectrum.

    Args:
        templates: `[num_bins, num_components]`.
        num_clusters: how many.
        frame_length: samples in a frame.
        sample_rate_hz: of the mixture.
        seed: of the start of k-means.

    Returns:
        `[num_components]`, integers from 0.
    """
    powers = (templates / np.maximum(templates.sum(axis=0), np.finfo(templates.dtype).tiny)) ** 2
    bands = mel_bands(frame_length, sample_rate_hz) @ (powers / np.maximum(powers.sum(axis=0), 1e-30))
    cepstra = dct(np.log(bands + 1e-5), axis=0, norm="ortho")[1 : NUM_CEPSTRA + 1]
    return KMeans(num_clusters, n_init=10, random_state=seed).fit_predict(cepstra.T)


def mel_bands(frame_length: int, sample_rate_hz: float) -> np.ndarray:
    """Triangular filters `[NUM_MEL_BANDS, num_bins]` over power, peaks 1, equally spaced in mel."""
    lowest, highest = MEL_RANGE_HZ[0], min(MEL_RANGE_HZ[1], sample_rate_hz / 2)
    lowest, highest = 2595 * np.log10(1 + np.array([lowest, highest]) / 700)
    mels = np.linspace(lowest, highest, NUM_MEL_BANDS + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)
    frequencies = np.fft.rfftfreq(frame_length, 1 / sample_rate_hz)
    rising = (frequencies - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - frequencies) / (corners[2:] - corners[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0, None)


def _masked(mixture: np.ndarray, shares: list[np.ndarray], frame_length: int) -> np.ndarray:
    """Each channel's spectrum times each of `shares` over their sum: `[num_shares, time, channels]`."""
    total = sum(shares) + len(shares) * np.finfo(np.float32).tiny
    estimates = np.empty((len(shares), *mixture.shape), np.float32)
    for channel in range(mixture.shape[1]):
        spectrum = _stft(mixture[:, channel], frame_length)
        for i, share in enumerate(shares):
            masked = (share + np.finfo(np.float32).tiny) / total * spectrum
            _, estimate = istft(masked, nperseg=frame_length, noverlap=frame_length - frame_length // OVERLAP)
            estimates[i, :, channel] = estimate[: len(mixture)]
    return estimates


def _stft(channel: np.ndarray, frame_length: int) -> np.ndarray:
    padded = np.pad(channel, (0, max(frame_length - len(channel), 0)))
    return stft(padded, nperseg=frame_length, noverlap=frame_length - frame_length // OVERLAP)[2]
