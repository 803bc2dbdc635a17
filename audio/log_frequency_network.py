"""Separation by masks on a logarithmic frequency axis: convolutions that know an instrument at any pitch.

The mixture's magnitudes are gathered in bands evenly spaced in octaves, where a note at another pitch is the same shape
moved along the axis, and convolutions, which are shift-equivariant, treat it alike: few recordings suffice to learn
timbres. The harmonics of each band are laid beside it; residual blocks at a quarter of the bands look along frequency
and time with growing dilation; twice a memory looks at whole frames over seconds. A label vector steers every block.
The masks of the labelled instruments are shares of every band; a source is the masked spectrum with the mixture's
phase, so the sources add up to the mixture and absent ones are exactly silent, in training as in use.

Conventions: mixtures `[batch, time, channels]` in [-1, 1], of any length; label vectors `[batch, num_sources]` in
[0, 1]; outputs `[batch, num_sources, time, channels]` of the mixture's length, in the order of `source_names`.
Features are `[batch, stft_frames, num_bands, filters]`.

References:
    R. Bittner, B. McFee, J. Salamon, P. Li, J. P. Bello, "Deep salience representations for F0 estimation in
    polyphonic music", ISMIR 2017 (harmonics as channels).
    E. Perez et al., "FiLM: visual reasoning with a general conditioning layer", AAAI 2018 (how labels steer).
    S. Bai, J. Z. Kolter, V. Koltun, "An empirical evaluation of generic convolutional and recurrent networks for
    sequence modeling", 2018 (dilated residual convolutions over time).
"""

import math

import keras

from audio.conditioning import MECHANISMS, Conditioning
from audio.framing import ChunkPlan
from audio.log_frequency_layers import (
    BandBias,
    BandMaskedWaveforms,
    HarmonicStack,
    LogFrequencySpectrogram,
    SlotMasks,
)
from audio.separation_network import SeparationNetwork, names_in_order, require_source_names
from audio.slots import ActiveSlots, FromSlots, require_num_slots
from audio.spectrogram_framing import spectrogram_chunk_plan
from audio.spectrogram_layers import Spectrum
from av_sep.errors import ParameterError

# Fine bands of a coarse one: the residual blocks work on the coarse ones.
BAND_STRIDE = 4
# Below a band its octave, above it the partials up to the seventh.
HARMONICS = (0.5, 1, 2, 3, 4, 5, 6, 7)
BAND_DILATIONS = (1, 2, 4, 8)
TIME_DILATIONS = (1, 2, 4, 8)
MEMORY_DILATIONS = (1, 2, 4, 8, 16)
MEMORY_FILTERS = 24
LABEL_UNITS = 64


@keras.saving.register_keras_serializable(package="av_sep")
class LogFrequencyNetwork(SeparationNetwork):
    """STFT, log-frequency bands, dilated residual convolutions, shares of every band, inverse STFT.

    Inputs are `{"mixture": [batch, time, num_channels], "label_vector": [batch, num_sources]}`, the second only with a
    conditioning. No layer looks at more than a fixed stretch of time, so away from the ends of its input the network
    gives the same numbers wherever the stretch begins, on the grid of `hop_length`.

    Args:
        source_names: names of the sources in output order; the model's own copy of its taxonomy.
        sample_rate_hz: rate of the sound it was made for.
        num_channels: channels of the sound; all share one spectrogram and one set of masks.
        frame_length: samples in an STFT frame.
        hop_length: samples from one STFT frame to the next, a divisor of `frame_length` and smaller.
        bands_per_octave: of the spectrogram.
        num_bands: of the spectrogram, a multiple of 4.
        lowest_hz: centre of the lowest band.
        num_fine_filters: filters at the spectrogram's resolution.
        num_filters: filters of the residual blocks, at a quarter of the bands.
        num_blocks: residual blocks; after the middle one and the last one a memory looks at whole frames.
        memory_units: width of a memory; 0 for none.
        conditioning: None (every source is always there), or one of `audio.conditioning.MECHANISMS`.
        num_slots: how many labelled sources are estimated, those with the highest labels; None for all. Training is
            faster with no more than can play; `for_inference` lifts the limit.
        name: of the Keras model.

    Raises:
        ParameterError: for options that are unknown or do not fit together.
    """

    OPTIONS_IN_USE = {"num_slots": None}

    def __init__(
        self,
        source_names,
        *,
        sample_rate_hz=22050,
        num_channels=1,
        frame_length=4096,
        hop_length=1024,
        bands_per_octave=36,
        num_bands=288,
        lowest_hz=32.7,
        num_fine_filters=16,
        num_filters=64,
        num_blocks=8,
        memory_units=256,
        conditioning="film",
        num_slots=None,
        # No `**kwargs`: Keras would take a misspelt option and ignore it.
        name=None,
    ):
        options = {
            "source_names": names_in_order(source_names),
            "sample_rate_hz": sample_rate_hz,
            "num_channels": num_channels,
            "frame_length": frame_length,
            "hop_length": hop_length,
            "bands_per_octave": bands_per_octave,
            "num_bands": num_bands,
            "lowest_hz": lowest_hz,
            "num_fine_filters": num_fine_filters,
            "num_filters": num_filters,
            "num_blocks": num_blocks,
            "memory_units": memory_units,
            "conditioning": conditioning,
            "num_slots": num_slots,
        }
        _validate(options)
        super().__init__(_separate, options, name)

    @property
    def reach_frames(self) -> int:
        """STFT frames before or after a frame that can change the output for it."""
        blocks = sum(_time_dilation(block) for block in range(self.options["num_blocks"]))
        # The stem's three kernels and the head's one.
        return 4 + blocks + len(_memory_blocks(self.options)) * sum(MEMORY_DILATIONS)

    @property
    def border_samples(self) -> int:
        """Samples at each end of its output that depend on where the stretch was cut: the context that it asks for."""
        # A frame at the border hears zeros up to a whole frame's length into the stretch.
        return self.reach_frames * self.options["hop_length"] + self.options["frame_length"]

    def chunk_plan(self, chunk_samples: int) -> ChunkPlan:
        """How to cut a long signal for this network, in hops of at least `chunk_samples`."""
        return spectrogram_chunk_plan(
            chunk_samples, grid_samples=self.options["hop_length"], context_samples=self.border_samples
        )


def _validate(options):
    require_source_names(options)
    if options["conditioning"] not in (None, *MECHANISMS):
        raise ParameterError(
            f"Expected conditioning to be one of {(None, *MECHANISMS)}. Received: {options['conditioning']!r}"
        )
    for name in ("sample_rate_hz", "num_channels", "bands_per_octave", "num_fine_filters", "num_filters", "num_blocks"):
        if options[name] < 1:
            raise ParameterError(f"Expected {name} >= 1. Received: {name}={options[name]}")
    if options["memory_units"] < 0:
        raise ParameterError(f"Expected memory_units >= 0. Received: memory_units={options['memory_units']}")
    require_num_slots(options)
    if options["num_slots"] is not None and options["conditioning"] is None:
        raise ParameterError("Expected no num_slots without a conditioning: labels choose what gets a slot.")
    _validate_axes(options)


def _validate_axes(options):
    frame, hop = options["frame_length"], options["hop_length"]
    if hop < 1 or frame % hop or frame <= hop or frame % 2:
        raise ParameterError(
            "Expected hop_length to be a divisor of an even frame_length, and smaller, to invert the STFT."
            f" Received: frame_length={frame}, hop_length={hop}"
        )
    bands, lowest = options["num_bands"], options["lowest_hz"]
    if bands < BAND_STRIDE or bands % BAND_STRIDE:
        raise ParameterError(f"Expected num_bands to be a multiple of {BAND_STRIDE}. Received: num_bands={bands}")
    highest = lowest * 2 ** ((bands - 1) / options["bands_per_octave"])
    if not 0 < lowest or highest > options["sample_rate_hz"] / 2:
        raise ParameterError(
            f"Expected bands between 0 Hz and half the sample rate, {options['sample_rate_hz'] / 2:g} Hz."
            f" Received: {lowest:g} to {highest:g} Hz"
        )


def _time_dilation(block):
    return TIME_DILATIONS[block % len(TIME_DILATIONS)]


def _memory_blocks(options):
    """Blocks that a memory follows: the middle one and the last one, which are one where there is only one."""
    last = options["num_blocks"] - 1
    return {last // 2, last} if options["memory_units"] else set()


def _separate(mixture, label_vector, options):
    """The functional graph: transform, gather in bands, look, share out, transform back."""
    sizes = {"frame_length": options["frame_length"], "hop_length": options["hop_length"]}
    bands = {name: options[name] for name in ("sample_rate_hz", "num_bands", "bands_per_octave", "lowest_hz")}
    spectrum = Spectrum(**sizes, name="spectrum", dtype="float32")(mixture)
    spectrogram = LogFrequencySpectrogram(**bands, name="spectrogram", dtype="float32")(spectrum)
    logits = _logits(spectrogram, label_vector, options)
    slots = None
    if label_vector is None:
        masks = keras.layers.Softmax(name="masks", dtype="float32")(logits)
    else:
        num_slots = options["num_slots"] or len(options["source_names"])
        slots = ActiveSlots(num_slots, name="slots", dtype="float32")(label_vector)
        masks = SlotMasks(name="masks", dtype="float32")(logits, slots)
    waveforms = BandMaskedWaveforms(**sizes, **bands, name="waveforms", dtype="float32")
    estimates = waveforms(masks, spectrum, mixture)
    return estimates if slots is None else FromSlots(name="sources", dtype="float32")(estimates, slots)


def _logits(spectrogram, label_vector, options):
    """What speaks for each source in each band, float32 `[batch, stft_frames, num_bands, num_sources]`."""
    steer = _steering(label_vector, options)
    fine, features = _stem(spectrogram, options)
    for block in range(options["num_blocks"]):
        features = _block(features, steer, block, options)
        if block in _memory_blocks(options):
            features = _memory(features, steer, f"memory_{block}", options)
    return _head(fine, features, options)


def _steering(label_vector, options):
    """How features are steered at a place of the network: `steer(features, name)`."""
    if label_vector is None:
        return lambda features, name: features
    # Which instruments play together matters, not only which: hence a layer before the projections of each place.
    labels = keras.layers.Dense(LABEL_UNITS, activation="relu", name="labels")(label_vector)
    return lambda features, name: Conditioning(options["conditioning"], name=f"{name}_labels")(features, labels)


def _stem(spectrogram, options):
    """Features at the spectrogram's resolution, and at a quarter of it."""
    offsets = [round(options["bands_per_octave"] * math.log2(ratio)) for ratio in HARMONICS]
    fine = HarmonicStack(offsets, name="harmonics")(spectrogram)
    for i in range(2):
        fine = _convolution(options["num_fine_filters"], (3, 3), f"fine_{i}", activation="relu")(fine)
    features = keras.layers.Conv2D(
        options["num_filters"], (3, 2 * BAND_STRIDE), strides=(1, BAND_STRIDE), padding="same", name="coarse"
    )(fine)
    return fine, BandBias(name="band_bias")(features)


def _block(features, steer, block, options):
    """A residual block: along frequency, then along time."""
    name = f"block_{block}"
    band_dilation = BAND_DILATIONS[block % len(BAND_DILATIONS)]
    hidden = steer(keras.layers.LayerNormalization(name=f"{name}_normalization")(features), name)
    filters = options["num_filters"]
    hidden = _convolution(filters, (1, 5), f"{name}_bands", dilation_rate=(1, band_dilation), activation="relu")(hidden)
    # From zero: a new block passes its input on unchanged.
    time = {"dilation_rate": (_time_dilation(block), 1), "kernel_initializer": "zeros"}
    hidden = _convolution(filters, (3, 1), f"{name}_time", **time)(hidden)
    return keras.layers.Add(name=name)([features, hidden])


def _memory(features, steer, name, options):
    """Whole frames, heard over seconds by dilated convolutions over time, added to the features."""
    num_bands, filters = features.shape[2:]
    hidden = keras.layers.LayerNormalization(name=f"{name}_normalization")(features)
    hidden = keras.layers.Dense(MEMORY_FILTERS, name=f"{name}_squeeze")(hidden)
    hidden = keras.layers.Reshape((-1, num_bands * MEMORY_FILTERS), name=f"{name}_frames")(hidden)
    hidden = steer(keras.layers.Dense(options["memory_units"], name=f"{name}_in")(hidden), name)
    if hidden.shape[-1] != options["memory_units"]:
        # Labels that come as further filters are taken in before anything is added up.
        hidden = keras.layers.Dense(options["memory_units"], name=f"{name}_steered")(hidden)
    for dilation in MEMORY_DILATIONS:
        step = f"{name}_dilated_{dilation}"
        heard = keras.layers.ReLU(name=f"{step}_activation")(hidden)
        heard = keras.layers.Conv1D(
            options["memory_units"], 3, padding="same", dilation_rate=dilation, name=step
        )(heard)
        hidden = keras.layers.Add(name=f"{step}_sum")([hidden, heard])
    hidden = keras.layers.ReLU(name=f"{name}_activation")(hidden)
    hidden = keras.layers.Dense(num_bands * MEMORY_FILTERS, activation="relu", name=f"{name}_out")(hidden)
    hidden = keras.layers.Reshape((-1, num_bands, MEMORY_FILTERS), name=f"{name}_bands")(hidden)
    hidden = keras.layers.Dense(filters, kernel_initializer="zeros", name=f"{name}_expand")(hidden)
    return keras.layers.Add(name=name)([features, hidden])


def _head(fine, features, options):
    """Back at the spectrogram's resolution: logits of every source."""
    num_bands, filters = options["num_bands"], options["num_fine_filters"]
    features = keras.layers.LayerNormalization(name="head_normalization")(features)
    features = keras.layers.Dense(BAND_STRIDE * filters, activation="relu", name="refine")(features)
    features = keras.layers.Reshape((-1, num_bands, filters), name="refined")(features)
    features = keras.layers.Concatenate(name="skip")([fine, features])
    features = _convolution(2 * filters, (3, 3), "head", activation="relu")(features)
    # Shares of a spectrum in full precision add up to 1 to more than 8 bits.
    logits = keras.layers.Dense(len(options["source_names"]), dtype="float32", name="logits")(features)
    return BandBias(name="logits_bias", dtype="float32")(logits)


def _convolution(filters, kernel_size, name, **options):
    return keras.layers.Conv2D(filters, kernel_size, padding="same", name=name, **options)
