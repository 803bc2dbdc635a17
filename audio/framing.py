"""Lengths of the Wave-U-Net, and how a long signal is cut so that nobody can hear where.

Conventions:
    All lengths are in samples at the model's rate. "Valid" convolution adds no padding, so a network output is
    shorter than its input by a context that is split evenly on both sides.

Why chunk hops are multiples of 2**num_levels: the network keeps every second sample at each level, so shifting its
input by one sample changes which samples survive. Shifting by 2**num_levels does not, hence outputs of chunks placed
on that grid are the same numbers that one pass over the whole signal gives, and need no cross-fade.

References:
    D. Stoller, S. Ewert, S. Dixon, "Wave-U-Net: a multi-scale neural network for end-to-end audio source separation",
    ISMIR 2018, section 3.2.2 (avoiding border artifacts) and its published sizes 147,443 -> 16,389.
"""

from dataclasses import dataclass

from av_sep.errors import ParameterError


@dataclass(frozen=True)
class ValidLengths:
    """Lengths of a valid-convolution Wave-U-Net: samples in, time steps after the bottleneck, samples out."""

    num_input_samples: int
    num_bottleneck_steps: int
    num_output_samples: int

    @property
    def context_samples(self) -> int:
        """Samples by which the input exceeds the output on each side."""
        return (self.num_input_samples - self.num_output_samples) // 2


@dataclass(frozen=True)
class ChunkPlan:
    """How a signal is cut for an operator that needs context on both sides.

    Chunk k reads `num_input_samples` from `k * hop_samples - context_samples` and gives output samples
    `k * hop_samples ... (k + 1) * hop_samples`.

    Attributes:
        num_input_samples: length of every chunk's input; static, so that the network is traced once.
        hop_samples: output samples used of each chunk.
        context_samples: input samples before the first output sample.
    """

    num_input_samples: int
    hop_samples: int
    context_samples: int


def valid_lengths(
    num_output_samples: int,
    *,
    num_levels: int = 12,
    down_kernel_size: int = 15,
    up_kernel_size: int = 5,
    output_kernel_size: int = 1,
) -> ValidLengths:
    """Smallest lengths that a valid-convolution Wave-U-Net can tile, with at least the wanted output.

    Args:
        num_output_samples: wanted output length, at least 1.
        num_levels: number of down-sampling levels.
        down_kernel_size: kernel of the contracting path and the bottleneck, odd.
        up_kernel_size: kernel of the expanding path, odd.
        output_kernel_size: kernel of the output layer, odd.

    Returns:
        The exact lengths; 147,443 -> 9 -> 16,389 for the published sizes and 16,384 wanted samples.

    Raises:
        ParameterError: if a length or a kernel cannot be used.
    """
    if num_output_samples < 1 or num_levels < 1:
        raise ParameterError(
            "Expected num_output_samples >= 1 and num_levels >= 1."
            f" Received: num_output_samples={num_output_samples}, num_levels={num_levels}"
        )
    if any(size < 1 or size % 2 == 0 for size in (down_kernel_size, up_kernel_size, output_kernel_size)):
        raise ParameterError(
            "Expected odd kernel sizes, so that valid convolutions crop both sides alike."
            f" Received: down_kernel_size={down_kernel_size}, up_kernel_size={up_kernel_size},"
            f" output_kernel_size={output_kernel_size}"
        )
    bottleneck = _bottleneck_steps_for(num_output_samples + output_kernel_size - 1, num_levels, up_kernel_size)
    output = _expanded(bottleneck, num_levels, up_kernel_size) - (output_kernel_size - 1)
    encoded = bottleneck + down_kernel_size - 1
    for _ in range(num_levels):
        encoded = 2 * encoded - 1 + down_kernel_size - 1
    return ValidLengths(encoded, bottleneck, output)


def output_length(
    num_input_samples: int,
    *,
    num_levels: int = 12,
    down_kernel_size: int = 15,
    up_kernel_size: int = 5,
    output_kernel_size: int = 1,
) -> int:
    """Output length of a valid-convolution Wave-U-Net for an input length; the inverse of `valid_lengths`.

    Raises:
        ParameterError: if the input is not one of the lengths that the network can tile.
    """
    steps = num_input_samples
    for _ in range(num_levels):
        steps = (steps - (down_kernel_size - 1) + 1) // 2
    expanded = _expanded(steps - (down_kernel_size - 1), num_levels, up_kernel_size)
    output = expanded - (output_kernel_size - 1)
    sizes = {
        "num_levels": num_levels,
        "down_kernel_size": down_kernel_size,
        "up_kernel_size": up_kernel_size,
        "output_kernel_size": output_kernel_size,
    }
    if output < 1 or valid_lengths(output, **sizes).num_input_samples != num_input_samples:
        nearest = valid_lengths(max(output, 1), **sizes).num_input_samples
        raise ParameterError(
            f"Expected an input length that the network can tile, such as {nearest}. Received: {num_input_samples}"
        )
    return output


def valid_chunk_plan(chunk_samples: int, *, num_levels: int = 12, **kernel_sizes: int) -> ChunkPlan:
    """Chunk plan of a valid-convolution Wave-U-Net with hops of at least `chunk_samples`, on the 2**num_levels grid.

    Args:
        chunk_samples: wanted hop.
        num_levels: number of down-sampling levels.
        kernel_sizes: as `valid_lengths` takes them.
    """
    grid = 2**num_levels
    hop = on_grid(chunk_samples, grid)
    lengths = valid_lengths(hop, num_levels=num_levels, **kernel_sizes)
    return ChunkPlan(lengths.num_input_samples, hop, lengths.context_samples)


def on_grid(num_samples: int, grid_samples: int) -> int:
    """The least multiple of a grid that is no shorter than a length."""
    return -(-num_samples // grid_samples) * grid_samples


def _expanded(steps: int, num_levels: int, up_kernel_size: int) -> int:
    """Length after the expanding path."""
    for _ in range(num_levels):
        steps = 2 * steps - 1 - (up_kernel_size - 1)
    return steps


def _bottleneck_steps_for(num_output_samples: int, num_levels: int, up_kernel_size: int) -> int:
    # One level maps n to 2n - 1 - (k - 1); ceiling at every level equals one ceiling at the end, since each step back
    # is monotone and integer outputs need integer inputs.
    steps = num_output_samples
    for _ in range(num_levels):
        steps = -(-(steps + up_kernel_size) // 2)
    return steps
