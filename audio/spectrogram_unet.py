"""Spectrogram U-Net: separation by masks on the STFT, the usual way before end-to-end networks, and often since.

Magnitudes of the mixture go through a convolutional autoencoder with skip connections that gives a mask per source;
a source is the masked spectrum with the mixture's phase. It shares constructor vocabulary, inputs and outputs with
`audio.wave_unet.WaveUNet`, so either can be trained, saved and run in the other's place:

    plain        K fixed sources, no labels           SpectrogramUNet(("vocals", "drums", ...))
    expanded     every instrument of the taxonomy     SpectrogramUNet(URMP_13.names)
    conditioned  the same, steered by labels          SpectrogramUNet(URMP_13.names, conditioning="film")

Conventions: mixtures `[batch, time, channels]` in [-1, 1], of any length; label vectors `[batch, num_sources]` in
[0, 1]; outputs `[batch, num_sources, time, channels]` of the mixture's length, in the order of `source_names`. Between
STFT and masks features are `[batch, stft_frames, num_bins, filters]`.

References:
    A. Jansson, E. Humphrey, N. Montecchio, R. Bittner, A. Kumar, T. Weyde, "Singing voice separation with deep U-Net
    convolutional networks", ISMIR 2017 (the network: six strided convolutions with kernel 5, 16 to 512 filters, masks).
    P. Chandna, M. Miron, J. Janer, E. Gomez, "Monoaural audio source separation using deep convolutional neural
    networks", LVA/ICA 2017 (several sources at once from one autoencoder).
"""

import functools

import keras

from audio.conditioning import conditioned_at
from audio.consistency import gated_and_consistent
from audio.framing import ChunkPlan
from audio.layers import StackSources
from audio.separation_network import SeparationNetwork, names_in_order
from audio.spectrogram_framing import reach_of_u_net, spectrogram_chunk_plan
from audio.spectrogram_layers import MagnitudeSpectrogram, MaskedWaveforms, SigmoidMasks, SoftmaxMasks, Spectrum
from audio.spectrogram_options import validate_options

# Of negative inputs, as published.
LEAK = 0.2
# The last of the published dropout's three layers, counted from the bottleneck.
NUM_DROPOUT_LEVELS = 3
# How much more sound on either side a recurrent bottleneck is given. Chunks of a trained one then agreed to 1e-4 of the
# peak, -84 dB in energy; of one whose update gates were forced to remember for 150 steps, to 1e-2 and -40 dB.
RECURRENT_CONTEXT_SECONDS = 2.0


@keras.saving.register_keras_serializable(package="av_sep")
class SpectrogramUNet(SeparationNetwork):
    """STFT, convolutional U-Net, masks, inverse STFT.

    Inputs are `{"mixture": [batch, time, num_channels], "label_vector": [batch, num_sources]}`, the second only when a
    conditioning, a gate or mixture consistency asks for it.

    Far enough from the ends of a stretch the estimates do not depend on where it begins, on a grid of
    `hop_length * 2**num_time_levels` samples: exactly with `bottleneck="conv"`, because no layer looks further than its
    kernel; nearly with "gru", which remembers everything a little (`RECURRENT_CONTEXT_SECONDS` says how much). That is
    why no normalisation here takes statistics over time (batch normalisation uses stored ones).

    Args:
        source_names: names of the sources in output order; the model's own copy of its taxonomy.
        sample_rate_hz: rate of the sound it was made for.
        num_channels: channels of the sound.
        frame_length: samples in an STFT frame, a multiple of 2**(num_levels + 1).
        hop_length: samples from one STFT frame to the next, a divisor of `frame_length` and smaller.
        compression: of magnitudes, "log" or "power" (see `MagnitudeSpectrogram`).
        num_levels: convolutions that halve the number of bins.
        num_time_levels: how many of them, from the outermost, halve the number of frames as well; None for all, as
            published. A recurrent bottleneck hears rhythm and notes with two or three.
        num_filters: filters of the first level; each further level has twice as many.
        kernel_size: of all convolutions, odd, along frames and bins.
        normalization: "layer" (over bins and filters of each frame), "batch" (as published; couples the examples of a
            training batch, and moving averages of weights do not fit its statistics) or "none".
        dropout: rate in the three expanding levels next to the bottleneck, in training; published with 0.5.
        bottleneck: "conv", or "gru" for a bidirectional recurrent layer over the bottleneck's frames, added to them.
        recurrent_units: of the recurrent layer in each direction.
        recurrent_filters: what each bin of a bottleneck frame is brought down to before the recurrent layer and up from
            after it, by a dense layer that all bins share; None for all its filters. At 16 bins of 256 filters the
            recurrent layer's input is two thirds of the network.
        masks: "sigmoid" (each source by itself) or "softmax" (shares that add up to 1 over the sources whose label is
            above 0, or over all sources in a model without labels).
        conditioning: None, or one of `audio.conditioning.MECHANISMS`. "multiplicative" makes a level's kernels
            `num_sources` times as large; at the bottleneck of the published size that is most of the network.
        conditioning_site: "input", "bottleneck" or "output" (before the masks' 1x1 convolution).
        gate: set the outputs of instruments with label 0 to zero.
        mixture_consistency: share what is missing from the mixture among the active sources.
        name: of the Keras model.

    Raises:
        ParameterError: for options that are unknown or do not fit together.
    """

    def __init__(
        self,
        source_names,
        *,
        sample_rate_hz=22050,
        num_channels=1,
        frame_length=1024,
        hop_length=256,
        compression="log",
        num_levels=6,
        num_time_levels=None,
        num_filters=16,
        kernel_size=5,
        normalization="layer",
        dropout=0.0,
        bottleneck="conv",
        recurrent_units=256,
        recurrent_filters=None,
        masks="sigmoid",
        conditioning=None,
        conditioning_site="bottleneck",
        gate=False,
        mixture_consistency=False,
        # No `**kwargs`: Keras would take a misspelt option and ignore it.
        name=None,
    ):
        options = {
            "source_names": names_in_order(source_names),
            "sample_rate_hz": sample_rate_hz,
            "num_channels": num_channels,
            "frame_length": frame_length,
            "hop_length": hop_length,
            "compression": compression,
            "num_levels": num_levels,
            "num_time_levels": num_levels if num_time_levels is None else num_time_levels,
            "num_filters": num_filters,
            "kernel_size": kernel_size,
            "normalization": normalization,
            "dropout": dropout,
            "bottleneck": bottleneck,
            "recurrent_units": recurrent_units,
            "recurrent_filters": recurrent_filters,
            "masks": masks,
            "conditioning": conditioning,
            "conditioning_site": conditioning_site,
            "gate": gate,
            "mixture_consistency": mixture_consistency,
        }
        validate_options(options)
        super().__init__(_separate, options, name)

    @property
    def border_samples(self) -> int:
        """Samples at each end of its output that depend on where the stretch was cut: the context that it asks for."""
        sizes = ("num_levels", "num_time_levels", "kernel_size")
        num_frames = reach_of_u_net(**{name: self.options[name] for name in sizes})
        if self.options["bottleneck"] == "gru":
            seconds_per_frame = self.options["hop_length"] / self.options["sample_rate_hz"]
            num_frames += round(RECURRENT_CONTEXT_SECONDS / seconds_per_frame)
        # A frame at the border hears zeros up to a whole frame's length into the stretch.
        return num_frames * self.options["hop_length"] + self.options["frame_length"]

    def chunk_plan(self, chunk_samples: int) -> ChunkPlan:
        """How to cut a long signal for this network, in hops of at least `chunk_samples`."""
        grid = self.options["hop_length"] * 2 ** self.options["num_time_levels"]
        return spectrogram_chunk_plan(chunk_samples, grid_samples=grid, context_samples=self.border_samples)


def _separate(mixture, label_vector, options):
    """The functional graph: transform, contract, condition, expand, mask, transform back."""
    condition = functools.partial(conditioned_at, label_vector=label_vector, options=options)
    sizes = {"frame_length": options["frame_length"], "hop_length": options["hop_length"]}
    spectrum = Spectrum(**sizes, name="spectrum", dtype="float32")(mixture)
    multiple = 2 ** options["num_time_levels"]
    spectrogram = MagnitudeSpectrogram(options["compression"], multiple, name="spectrogram", dtype="float32")(spectrum)
    features, skips = _contract(condition(spectrogram, "input"), options)
    features = condition(_remember(features, options), "bottleneck")
    features = condition(_expand(features, skips, options), "output")
    masks = _masks(features, label_vector, options)
    waveforms = MaskedWaveforms(**sizes, name="waveforms", dtype="float32")(masks, spectrum, mixture)
    estimates = StackSources(len(options["source_names"]), name="stack", dtype="float32")(waveforms)
    return gated_and_consistent(estimates, mixture, label_vector, options)


def _contract(features, options):
    skips = []
    for level in range(options["num_levels"]):
        convolution = keras.layers.Conv2D(
            options["num_filters"] * 2**level, **_convolution(level, options), name=f"down_{level}"
        )
        features = _normalized(convolution(features), f"down_{level}", options)
        features = keras.layers.LeakyReLU(LEAK, name=f"down_{level}_activation")(features)
        skips.append(features)
    return features, skips


def _expand(features, skips, options):
    for level in reversed(range(options["num_levels"])):
        convolution = keras.layers.Conv2DTranspose(
            options["num_filters"] * 2 ** max(level - 1, 0), **_convolution(level, options), name=f"up_{level}"
        )
        features = _normalized(convolution(features), f"up_{level}", options)
        features = keras.layers.ReLU(name=f"up_{level}_activation")(features)
        if options["dropout"] and level >= options["num_levels"] - NUM_DROPOUT_LEVELS:
            features = keras.layers.Dropout(options["dropout"], name=f"dropout_{level}")(features)
        if level:
            features = keras.layers.Concatenate(name=f"skip_{level - 1}")([skips[level - 1], features])
    return features


def _convolution(level, options):
    return {
        "kernel_size": options["kernel_size"],
        "strides": (2 if level < options["num_time_levels"] else 1, 2),
        "padding": "same",
        # A normalisation has an offset of its own.
        "use_bias": options["normalization"] == "none",
    }


def _normalized(features, name, options):
    if options["normalization"] == "batch":
        return keras.layers.BatchNormalization(name=f"{name}_normalization")(features)
    if options["normalization"] == "layer":
        return keras.layers.LayerNormalization(axis=(2, 3), name=f"{name}_normalization")(features)
    return features


def _remember(features, options):
    """The bottleneck, with what a recurrent layer has to add."""
    if options["bottleneck"] == "conv":
        return features
    num_bins, num_filters = features.shape[2:]
    filters = options["recurrent_filters"] or num_filters
    squeezed = features
    if filters != num_filters:
        squeezed = keras.layers.Dense(filters, name="bottleneck_squeeze")(features)
    sequence = keras.layers.Reshape((-1, num_bins * filters), name="bottleneck_frames")(squeezed)
    recurrent = keras.layers.GRU(options["recurrent_units"], return_sequences=True, name="gru")
    heard = keras.layers.Bidirectional(recurrent, name="bottleneck_recurrent")(sequence)
    projected = keras.layers.Dense(num_bins * filters, name="bottleneck_projection")(heard)
    added = keras.layers.Reshape((-1, num_bins, filters), name="bottleneck_memory")(projected)
    if filters != num_filters:
        added = keras.layers.Dense(num_filters, name="bottleneck_expand")(added)
    return keras.layers.Add(name="bottleneck")([features, added])


def _masks(features, label_vector, options):
    num_sources = len(options["source_names"])
    # Masks multiply a spectrum in full precision, and their sum over sources should be 1 to more than 8 bits.
    convolution = keras.layers.Conv2D(num_sources * options["num_channels"], 1, dtype="float32", name="masks_logits")
    logits = convolution(features)
    if options["masks"] == "sigmoid":
        return SigmoidMasks(num_sources, name="masks", dtype="float32")(logits)
    return SoftmaxMasks(num_sources, name="masks", dtype="float32")(logits, label_vector)
