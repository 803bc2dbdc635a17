"""Multi-resolution STFT loss: how spectra differ, seen through windows of several lengths."""

import keras
from keras import ops

from audio.losses.ratios import energy_of, is_present
from audio.losses.waveform import magnitude
from audio.stft import stft
from av_sep.errors import ParameterError

# (fft_length, frame_length, hop_length) of Yamamoto et al., section 3.1, made for 24 kHz.
RESOLUTIONS = ((1024, 600, 120), (2048, 1200, 240), (512, 240, 50))
SMALLEST_POWER = 1e-8


@keras.saving.register_keras_serializable(package="av_sep")
class MultiResolutionSTFT(keras.losses.Loss):
    """Spectral convergence plus log-magnitude error per source, averaged over resolutions, summed over sources and
    divided by the number of those whose energy lies less than 80 dB below that of all.

    With magnitudes |S| of the reference and |E| of the estimate: `norm(|S| - |E|) / norm(|S|)`, and the mean over bins
    of `abs(log |S| - log |E|)`, logarithms of `sqrt(|.|^2 + floor)`; R. Yamamoto, E. Song, J.-M. Kim, "Parallel
    WaveGAN", ICASSP 2020, equations 3 to 6. The floor is `10^(floor_db / 10)` times the mean power of the references'
    spectra, all added up.

    A reference whose spectrum's mean power lies below the floor has no convergence (a distance relative to
    nothing); its estimate is weighed by the log-magnitude error alone: 0 for silence, growing with every bin that is
    louder than the floor. Phase is not heard by this loss: add one on samples where it matters. Nor has exact silence a
    gradient.

    Args:
        floor_db: power of a bin, relative to the mixture's mean, below which nothing more is gained.
        resolutions: (fft_length, frame_length, hop_length) of each STFT, in samples.

    Raises:
        ParameterError: without resolutions.
    """

    def __init__(self, floor_db=-60.0, resolutions=RESOLUTIONS, name="multi_resolution_stft", **kwargs):
        super().__init__(name=name, **kwargs)
        if not resolutions or any(len(sizes) != 3 for sizes in resolutions):
            raise ParameterError(
                "Expected resolutions as (fft_length, frame_length, hop_length), one or more."
                f" Received: resolutions={resolutions}"
            )
        self.floor_db = floor_db
        self.resolutions = tuple(tuple(sizes) for sizes in resolutions)

    def call(self, y_true, y_pred):
        reference, estimate = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        losses = sum(self._loss_per_source(reference, estimate, *sizes) for sizes in self.resolutions)
        present = ops.cast(is_present(energy_of(reference)), "float32")
        return ops.sum(losses, axis=1) / len(self.resolutions) / ops.maximum(ops.sum(present, axis=1), 1)

    def _loss_per_source(self, reference, estimate, fft_length, frame_length, hop_length):
        power, estimated_power = (
            _power_spectrum(sources, fft_length, frame_length, hop_length) for sources in (reference, estimate)
        )
        mean_power = ops.mean(power, axis=(2, 3, 4))
        floor = 10 ** (self.floor_db / 10) * ops.sum(mean_power, axis=1, keepdims=True) + SMALLEST_POWER
        bin_floor = floor[:, :, None, None, None]
        log_error = ops.log(power + bin_floor) - ops.log(estimated_power + bin_floor)
        mean_log_error = 0.5 * ops.mean(magnitude(log_error), axis=(2, 3, 4))
        # The roots' slope is infinite at 0, where their errors are 0 as well: a billionth of the floor is enough.
        small = 1e-9 * bin_floor
        distance = ops.square(ops.sqrt(power + small) - ops.sqrt(estimated_power + small))
        mean_distance = ops.mean(distance, axis=(2, 3, 4))
        heard = mean_power > floor
        convergence = ops.sqrt((mean_distance + 1e-6 * floor) / ops.where(heard, mean_power, 1.0))
        return mean_log_error + ops.where(heard, convergence, 0.0)

    def get_config(self):
        return {
            "name": self.name,
            "reduction": self.reduction,
            "floor_db": self.floor_db,
            "resolutions": [list(sizes) for sizes in self.resolutions],
        }


def _power_spectrum(sources, fft_length, frame_length, hop_length):
    """`[batch, num_sources, time, channels]` to `[batch, num_sources, stft_frames, num_bins, channels]`."""
    num_sources, time, channels = sources.shape[1], ops.shape(sources)[2], sources.shape[3]
    waveforms = ops.reshape(sources, (-1, time, channels))
    real, imaginary = stft(waveforms, frame_length, hop_length, fft_length=fft_length)
    power = ops.square(real) + ops.square(imaginary)
    return ops.reshape(power, (-1, num_sources, ops.shape(power)[1], *power.shape[2:]))
