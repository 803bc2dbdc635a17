"""What a spectrogram U-Net's options may be."""

from audio.conditioning import MECHANISMS, SITES
from audio.separation_network import require_source_names
from audio.spectrogram_layers import COMPRESSIONS, MASKS
from av_sep.errors import ParameterError

BOTTLENECKS = ("conv", "gru")
NORMALIZATIONS = ("layer", "batch", "none")


def validate_options(options):
    """Checks the constructor's options of `audio.spectrogram_unet.SpectrogramUNet`.

    Raises:
        ParameterError: for the first that is unknown or does not fit the others.
    """
    require_source_names(options)
    choices = {
        "compression": COMPRESSIONS,
        "normalization": NORMALIZATIONS,
        "bottleneck": BOTTLENECKS,
        "masks": MASKS,
        "conditioning": (None, *MECHANISMS),
        "conditioning_site": SITES,
    }
    for name, allowed in choices.items():
        if options[name] not in allowed:
            raise ParameterError(f"Expected {name} to be one of {allowed}. Received: {name}={options[name]!r}")
    for name in ("sample_rate_hz", "num_channels", "hop_length", "num_levels", "num_filters", "recurrent_units"):
        if options[name] < 1:
            raise ParameterError(f"Expected {name} >= 1. Received: {name}={options[name]}")
    squeezed = options["recurrent_filters"]
    if squeezed is not None and squeezed < 1:
        raise ParameterError(f"Expected recurrent_filters >= 1, or None. Received: recurrent_filters={squeezed}")
    _validate_sizes(options)


def _validate_sizes(options):
    levels, time_levels, kernel = options["num_levels"], options["num_time_levels"], options["kernel_size"]
    if not 0 <= time_levels <= levels:
        raise ParameterError(f"Expected num_time_levels from 0 to num_levels. Received: num_time_levels={time_levels}")
    if kernel < 3 or kernel % 2 == 0:
        raise ParameterError(f"Expected kernel_size to be odd, 3 or more. Received: kernel_size={kernel}")
    if not 0 <= options["dropout"] < 1:
        raise ParameterError(f"Expected dropout from 0 to below 1. Received: dropout={options['dropout']}")
    frame, hop = options["frame_length"], options["hop_length"]
    if frame < 1 or frame % 2 ** (levels + 1):
        raise ParameterError(
            f"Expected frame_length to be a multiple of 2**(num_levels + 1) = {2 ** (levels + 1)}, so that its bins can"
            f" be halved. Received: frame_length={frame}"
        )
    if frame % hop or frame == hop:
        raise ParameterError(
            "Expected hop_length to be a divisor of frame_length, and smaller, so that the STFT can be inverted."
            f" Received: frame_length={frame}, hop_length={hop}"
        )
