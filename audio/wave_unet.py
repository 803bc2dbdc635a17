"""Wave-U-Net: end-to-end separation of a waveform, optionally steered by a label vector.

One class covers the three models of the project:

    plain        K fixed sources, no labels           WaveUNet(("vocals", "drums", ...))
    expanded     every instrument of the taxonomy     WaveUNet(URMP_13.names)
    conditioned  the same, steered by labels          WaveUNet(URMP_13.names, conditioning="multiplicative")

Conventions: mixtures `[batch, time, channels]` in [-1, 1]; label vectors `[batch, num_sources]` in [0, 1]; outputs
`[batch, num_sources, time, channels]` in the order of `source_names`.

References:
    D. Stoller, S. Ewert, S. Dixon, "Wave-U-Net: a multi-scale neural network for end-to-end audio source separation",
    ISMIR 2018 (figure 1, table 1, variants M1-M4).
    O. Slizovskaia, L. Kim, G. Haro, E. Gomez, "End-to-end sound source separation conditioned on instrument labels",
    ICASSP 2019 (outer product at the bottleneck).
"""

import functools
import math

import keras

from audio.conditioning import MECHANISMS, SITES, conditioned_at
from audio.consistency import gated_and_consistent
from audio.framing import ChunkPlan, on_grid, output_length, valid_chunk_plan
from audio.layers import UPSAMPLING, AppendDifference, CenterCropLike, Decimate, StackSources, Upsample
from audio.separation_network import SeparationNetwork, names_in_order, require_source_names
from audio.slots import ActiveSlots, FromSlots, ToSlots, require_num_slots
from audio.wiener_filter import OVERLAP, WienerFilter
from av_sep.errors import ParameterError

OUTPUTS = ("direct", "difference")
KERNEL_SIZES = ("down_kernel_size", "up_kernel_size", "output_kernel_size")
LEAK = 0.2


@keras.saving.register_keras_serializable(package="av_sep")
class WaveUNet(SeparationNetwork):
    """Wave-U-Net with the published options and sizes.

    Inputs are `{"mixture": [batch, time, num_channels], "label_vector": [batch, num_sources]}`, the second only when a
    conditioning, a gate or mixture consistency asks for it. With `context=True` the time length must be one of
    `audio.framing.valid_lengths` (147,443 -> 16,389 for the defaults); otherwise a multiple of 2**num_levels.

    The network is shift-equivariant on a grid of 2**num_levels samples (with a Wiener filter, of the least common
    multiple with a quarter of its frame), and `context` adds no weights: the same weights give, with `context=True`,
    exactly what they give away from the borders with `context=False`.

    Args:
        source_names: names of the sources in output order; the model's own copy of its taxonomy.
        sample_rate_hz: rate of the sound it was made for.
        num_channels: channels of the sound.
        num_levels: down-sampling levels.
        num_filters: filters added per level: level i has `num_filters * (i + 1)`.
        down_kernel_size: kernel of the contracting path and the bottleneck, odd.
        up_kernel_size: kernel of the expanding path, odd.
        output_kernel_size: kernel of the output layer, odd; 1 as published.
        context: valid convolutions (True) or zero-padded ones (False).
        upsampling: "linear" or "learned".
        output: "direct" (one output per source) or "difference" (the last is the mixture minus the others).
        output_activation: activation of the output layer, "tanh" as published.
        conditioning: None, or one of `audio.conditioning.MECHANISMS`.
        conditioning_site: "input", "bottleneck" or "output" (before the output layer).
        gate: set the outputs of instruments with label 0 to zero.
        mixture_consistency: share what is missing from the mixture among the active sources.
        wiener_frame_length: STFT frame in samples of a Wiener filter made of the sources' own spectra, through which
            the mixture goes (see `audio.wiener_filter`); None for the sources as the network gives them, as published.
        num_slots: how many labelled sources are filtered, those with the highest labels; the others are silent. None
            for all. Training is faster with no more than can play; `for_inference` lifts the limit.
        name: of the Keras model.

    Raises:
        ParameterError: for options that are unknown or do not fit together.
    """

    OPTIONS_IN_USE = {"context": True, "num_slots": None}

    def __init__(
        self,
        source_names,
        *,
        sample_rate_hz=22050,
        num_channels=1,
        num_levels=12,
        num_filters=24,
        down_kernel_size=15,
        up_kernel_size=5,
        output_kernel_size=1,
        context=True,
        upsampling="linear",
        output="direct",
        output_activation="tanh",
        conditioning=None,
        conditioning_site="bottleneck",
        gate=False,
        mixture_consistency=False,
        wiener_frame_length=None,
        num_slots=None,
        # No `**kwargs`: Keras would take a misspelt option and ignore it.
        name=None,
    ):
        options = {
            "source_names": names_in_order(source_names),
            "sample_rate_hz": sample_rate_hz,
            "num_channels": num_channels,
            "num_levels": num_levels,
            "num_filters": num_filters,
            "down_kernel_size": down_kernel_size,
            "up_kernel_size": up_kernel_size,
            "output_kernel_size": output_kernel_size,
            "context": context,
            "upsampling": upsampling,
            "output": output,
            "output_activation": output_activation,
            "conditioning": conditioning,
            "conditioning_site": conditioning_site,
            "gate": gate,
            "mixture_consistency": mixture_consistency,
            "wiener_frame_length": wiener_frame_length,
            "num_slots": num_slots,
        }
        _validate(options)
        super().__init__(_separate, options, name)

    @property
    def border_samples(self) -> int:
        """Samples at each end of its output, with valid convolutions, that depend on where a stretch was cut."""
        # What an STFT frame reaches over, on the network's grid.
        return on_grid(self.options["wiener_frame_length"] or 0, self._grid_samples)

    def chunk_plan(self, chunk_samples: int) -> ChunkPlan:
        """How to cut a long signal for this network with `context=True`, in hops of at least `chunk_samples`."""
        sizes = ("num_levels", *KERNEL_SIZES)
        hop = on_grid(chunk_samples, self._grid_samples)
        border = self.border_samples
        plan = valid_chunk_plan(hop + 2 * border, **{name: self.options[name] for name in sizes})
        return ChunkPlan(plan.num_input_samples, hop, plan.context_samples + border)

    @property
    def _grid_samples(self) -> int:
        """What it may be shifted by and gives the same numbers."""
        hop_length = (self.options["wiener_frame_length"] or OVERLAP) // OVERLAP
        return math.lcm(2 ** self.options["num_levels"], hop_length)

    def output_samples(self, num_samples: int) -> int:
        """Length of the sources for a mixture of `num_samples`: its centre with `context`, all of it without.

        Raises:
            ParameterError: for a length that the network cannot take.
        """
        if self.options["context"]:
            sizes = ("num_levels", *KERNEL_SIZES)
            return output_length(num_samples, **{name: self.options[name] for name in sizes})
        if num_samples < 1 or num_samples % 2 ** self.options["num_levels"]:
            grid = 2 ** self.options["num_levels"]
            raise ParameterError(f"Expected a mixture of a multiple of {grid} samples. Received: {num_samples}")
        return num_samples

    def with_context(self, context: bool) -> "WaveUNet":
        """The same network and a copy of its weights, with valid (True) or zero-padded (False) convolutions."""
        return self.twin(context=context)


def _validate(options):
    require_source_names(options)
    try:
        keras.activations.get(options["output_activation"])
    except ValueError as error:
        activation = options["output_activation"]
        raise ParameterError(f"Expected an activation of Keras. Received: output_activation={activation!r}") from error
    choices = {
        "upsampling": UPSAMPLING,
        "output": OUTPUTS,
        "conditioning": (None, *MECHANISMS),
        "conditioning_site": SITES,
    }
    for name, allowed in choices.items():
        if options[name] not in allowed:
            raise ParameterError(f"Expected {name} to be one of {allowed}. Received: {name}={options[name]!r}")
    for name in ("num_levels", "num_filters", "num_channels", "sample_rate_hz"):
        if options[name] < 1:
            raise ParameterError(f"Expected {name} >= 1. Received: {name}={options[name]}")
    for name in KERNEL_SIZES:
        if options[name] < 1 or options[name] % 2 == 0:
            raise ParameterError(
                f"Expected {name} to be odd, so that both sides crop alike. Received: {name}={options[name]}"
            )
    _validate_slots(options)
    if options["output"] == "difference" and (options["gate"] or len(options["source_names"]) < 2):
        raise ParameterError(
            "A difference output needs two sources or more and no gate: its last source is whatever the others leave,"
            f" so a label cannot silence it. Received: gate={options['gate']}, source_names={options['source_names']}"
        )


def _validate_slots(options):
    require_num_slots(options)
    filtered_by_label = options["gate"] and options["wiener_frame_length"] is not None
    if options["num_slots"] is not None and not filtered_by_label:
        raise ParameterError(
            "Expected a gate and a wiener_frame_length with num_slots: labels choose what is filtered."
            f" Received: gate={options['gate']}, wiener_frame_length={options['wiener_frame_length']}"
        )


def _separate(mixture, label_vector, options):
    """The functional graph: contract, condition, expand, predict."""
    condition = functools.partial(conditioned_at, label_vector=label_vector, options=options)
    features, skips = _contract(condition(mixture, "input"), options)
    features = condition(_convolve(features, options["num_levels"], "bottleneck", options), "bottleneck")
    features = _expand(features, skips, options)
    # What estimates are to add up to stays as exact as it came.
    cropped = CenterCropLike(name="crop_mixture", dtype="float32")(mixture, features)
    features = condition(keras.layers.Concatenate(name="with_mixture")([features, cropped]), "output")
    return _predict(features, cropped, label_vector, options)


def _contract(features, options):
    skips = []
    for level in range(options["num_levels"]):
        features = _convolve(features, level, f"down_{level}", options)
        skips.append(features)
        features = Decimate(name=f"decimate_{level}")(features)
    return features, skips


def _expand(features, skips, options):
    for level in reversed(range(options["num_levels"])):
        upsample = Upsample(options["upsampling"], context=options["context"], name=f"upsample_{level}")
        features = upsample(features)
        skip = CenterCropLike(name=f"crop_{level}")(skips[level], features)
        features = keras.layers.Concatenate(name=f"skip_{level}")([skip, features])
        features = _convolve(features, level, f"up_{level}", options, "up_kernel_size")
    return features


def _convolve(features, level, name, options, kernel="down_kernel_size"):
    return keras.layers.Conv1D(
        options["num_filters"] * (level + 1),
        options[kernel],
        padding="valid" if options["context"] else "same",
        activation=keras.layers.LeakyReLU(LEAK),
        name=name,
    )(features)


def _predict(features, mixture, label_vector, options):
    num_sources = len(options["source_names"])
    num_predicted = num_sources - 1 if options["output"] == "difference" else num_sources
    predicted = keras.layers.Conv1D(
        num_predicted * options["num_channels"],
        options["output_kernel_size"],
        padding="valid" if options["context"] else "same",
        activation=options["output_activation"],
        # Sums and differences of waveforms below lose 8 of 16 bits in bfloat16.
        dtype="float32",
        name="sources",
    )(features)
    if options["output_kernel_size"] > 1:
        mixture = CenterCropLike(name="crop_to_sources", dtype="float32")(mixture, predicted)
    estimates = StackSources(num_predicted, name="stack", dtype="float32")(predicted)
    if options["output"] == "difference":
        estimates = AppendDifference(name="difference", dtype="float32")(estimates, mixture)
    estimates = gated_and_consistent(estimates, mixture, label_vector, options)
    if options["wiener_frame_length"] is not None:
        estimates = _filter(estimates, mixture, label_vector, options)
    return estimates


def _filter(estimates, mixture, label_vector, options):
    wiener_filter = WienerFilter(options["wiener_frame_length"], name="wiener_filter", dtype="float32")
    if options["num_slots"] is None:
        return wiener_filter(estimates, mixture)
    slots = ActiveSlots(options["num_slots"], name="slots", dtype="float32")(label_vector)
    filtered = wiener_filter(ToSlots(name="to_slots", dtype="float32")(estimates, slots), mixture)
    return FromSlots(name="from_slots", dtype="float32")(filtered, slots)
