"""How far a spectrogram network hears, and how a long signal is cut for it.

A convolution with stride 2 makes a network shift-equivariant on a grid of 2**num_time_levels STFT frames. Away from
the ends of its input it then gives the same numbers wherever a stretch begins, if it hears no further than its
convolutions reach; so chunks on that grid, each read with that much on both sides, need no cross-fade.
"""

from audio.framing import ChunkPlan, on_grid

Interval = tuple[int, int]


def reach_of_u_net(num_levels: int, num_time_levels: int, kernel_size: int) -> int:
    """STFT frames before or after a frame that can change the U-Net's output for it, the larger of both.

    Args:
        num_levels: convolutions with stride 2 along frequency, and as many transposed ones.
        num_time_levels: how many of them, from the outermost, have stride 2 along time as well.
        kernel_size: of all of them, odd.
    """
    strides = [2 if level < num_time_levels else 1 for level in range(num_levels)]
    # Frames of different places on the grid hear differently far.
    heard = [(frame, *_heard_by(frame, strides, kernel_size)) for frame in range(2**num_time_levels)]
    return max(max(frame - first, last - frame) for frame, first, last in heard)


def _heard_by(frame: int, strides: list[int], kernel_size: int) -> Interval:
    """First and last input frame that can change an output frame."""
    # What the expanding path asks for at each resolution, from the output down to the bottleneck.
    needed = [(frame, frame)]
    for stride in strides:
        needed.append(_asked_by_transposed(needed[-1], stride, kernel_size))
    heard = needed[-1]
    for stride, skipped in zip(reversed(strides), reversed(needed[:-1])):
        heard = _union(_asked_by_convolution(heard, stride, kernel_size), skipped)
    return heard


def spectrogram_chunk_plan(chunk_samples: int, *, grid_samples: int, context_samples: int) -> ChunkPlan:
    """Chunk plan with hops of at least `chunk_samples` on a grid, and the same context on both sides."""
    hop = on_grid(chunk_samples, grid_samples)
    return ChunkPlan(hop + 2 * context_samples, hop, context_samples)


def _padding_before(stride: int, kernel_size: int) -> int:
    # Zeros before the first step where "same" padding is not even; lengths are multiples of the stride here.
    return (kernel_size - stride) // 2 if kernel_size > stride else 0


def _asked_by_convolution(outputs: Interval, stride: int, kernel_size: int) -> Interval:
    before = _padding_before(stride, kernel_size)
    return outputs[0] * stride - before, outputs[1] * stride - before + kernel_size - 1


def _asked_by_transposed(outputs: Interval, stride: int, kernel_size: int) -> Interval:
    before = _padding_before(stride, kernel_size)
    return -((kernel_size - 1 - before - outputs[0]) // stride), (outputs[1] + before) // stride


def _union(first: Interval, second: Interval) -> Interval:
    return min(first[0], second[0]), max(first[1], second[1])
