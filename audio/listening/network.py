"""What networks that listen have in common: a mel spectrogram, blocks of 3x3 convolutions, features of every moment.

They may be told which instruments can play: whoever knows that it is a clarinet or a flute need not tell a clarinet
from an oboe. The candidates steer every block but the first, and the dense layer.

Conventions: waveforms are float32 `[batch, window_samples]`, one channel, at any level; candidates float32 `[batch,
num_instruments]`, 1 for an instrument that may play and 0 for one that does not; outputs are logits, in the order of
`instruments` in their last axis, each by itself, as several instruments may play at once. The logits of instruments
that are no candidates mean nothing.

References:
    E. Perez et al., "FiLM: visual reasoning with a general conditioning layer", AAAI 2018 (how candidates steer).
    Y. Han, J. Kim, K. Lee, "Deep convolutional neural networks for predominant instrument recognition in polyphonic
    music", IEEE/ACM TASLP 25(1), 2017 (3x3 convolutions on a mel spectrogram of about a second, one sigmoid each).
"""

import keras

from audio.conditioning import Conditioning
from audio.listening.layers import LogMelSpectrogram
from audio.stft import num_stft_frames
from av_sep.errors import ParameterError

CANDIDATE_UNITS = 64
# The last ones, which halve bands only.
NUM_BLOCKS_AT_ONE_RATE = 2


class ListeningNetwork(keras.Model):
    """From windows and candidates to logits; what becomes of the features of moments is a subclass's.

    Inputs are `{"waveform": [batch, window_samples], "candidates": [batch, num_instruments]}`.

    Args:
        instruments: names in output order; the model's own copy of its taxonomy.
        sample_rate_hz: rate of the sound it was made for.
        window_samples: length of what it hears at a time.
        frame_length: samples in an STFT frame.
        hop_length: samples from one STFT frame to the next.
        num_mels: bands of the spectrogram.
        filters: of the blocks; every block halves the bands, all but the last two halve the frames.
        dense_units: features of a moment.
        dropout: rate before and after the dense layer, in training.
        name: of the Keras model.

    Raises:
        ParameterError: for a window too short or bands too few for the blocks.
    """

    def __init__(
        self,
        instruments,
        *,
        sample_rate_hz=16000,
        window_samples=49152,
        frame_length=2048,
        hop_length=1024,
        num_mels=96,
        filters=(24, 48, 96, 128),
        dense_units=160,
        dropout=0.3,
        name=None,
    ):
        options = {
            "instruments": tuple(instruments),
            "sample_rate_hz": sample_rate_hz,
            "window_samples": window_samples,
            "frame_length": frame_length,
            "hop_length": hop_length,
            "num_mels": num_mels,
            "filters": tuple(filters),
            "dense_units": dense_units,
            "dropout": dropout,
        }
        num_frames = num_stft_frames(window_samples, frame_length, hop_length)
        # Attention and context need two moments.
        fewest_frames, fewest_bands = 2 ** (_num_time_halvings(options) + 1), 2 ** len(options["filters"])
        if num_frames < fewest_frames or num_mels < fewest_bands:
            raise ParameterError(
                f"Expected at least {fewest_frames} STFT frames and {fewest_bands} bands for"
                f" {len(options['filters'])} blocks. Received: {num_frames} frames of window_samples={window_samples},"
                f" num_mels={num_mels}"
            )

        # === Functional model ===
        waveform = keras.Input((window_samples,), name="waveform")
        candidates = keras.Input((len(options["instruments"]),), name="candidates")
        # Which instruments may play together matters, not only which: hence a layer before all that they steer.
        known = keras.layers.Dense(CANDIDATE_UNITS, activation="relu", name="known")(candidates)
        outputs = self._classify(_moments(waveform, known, options), known, options)
        super().__init__(inputs={"waveform": waveform, "candidates": candidates}, outputs=outputs, name=name)

        # === Config ===
        self.options = options

    @staticmethod
    def _classify(moments, known, options):
        """Logits of features of moments `[batch, num_moments, dense_units]`, steered by `[batch, CANDIDATE_UNITS]`."""
        raise NotImplementedError

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names in output order."""
        return self.options["instruments"]

    @property
    def moment_samples(self) -> int:
        """Samples from one moment to the next."""
        return self.options["hop_length"] * 2 ** _num_time_halvings(self.options)

    def get_config(self):
        lists = {"instruments": list(self.instruments), "filters": list(self.options["filters"])}
        return {"name": self.name, **self.options, **lists}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


def _num_time_halvings(options) -> int:
    return max(len(options["filters"]) - NUM_BLOCKS_AT_ONE_RATE, 0)


def _moments(waveform, known, options):
    """Features of moments `[batch, num_moments, dense_units]`."""
    # Decibels of quiet bands are lost in half precision.
    sizes = (options["frame_length"], options["hop_length"], options["num_mels"])
    features = LogMelSpectrogram(options["sample_rate_hz"], *sizes, name="spectrogram", dtype="float32")(waveform)
    for level, num_filters in enumerate(options["filters"]):
        features = keras.layers.Conv2D(num_filters, 3, padding="same", use_bias=False, name=f"conv_{level}")(features)
        features = keras.layers.BatchNormalization(name=f"norm_{level}")(features)
        if level:
            features = Conditioning("film", name=f"steer_{level}")(features, known)
        features = keras.layers.ReLU(name=f"relu_{level}")(features)
        pool = (2 if level < _num_time_halvings(options) else 1, 2)
        features = keras.layers.MaxPooling2D(pool, name=f"pool_{level}")(features)
    num_moments, num_bands, num_filters = features.shape[1:]
    moments = keras.layers.Reshape((num_moments, num_bands * num_filters), name="moments")(features)
    moments = keras.layers.Dropout(options["dropout"], name="dropout_in")(moments)
    moments = keras.layers.Dense(options["dense_units"], name="dense")(moments)
    moments = Conditioning("film", name="steer_dense")(moments, known)
    moments = keras.layers.ReLU(name="relu_dense")(moments)
    return keras.layers.Dropout(options["dropout"], name="dropout_out")(moments)
