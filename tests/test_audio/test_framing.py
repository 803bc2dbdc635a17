"""Lengths of the Wave-U-Net, against the published numbers, a step-by-step recount and a real network."""

import numpy as np
import pytest

from audio.framing import output_length, valid_chunk_plan, valid_lengths
from av_sep.errors import ParameterError

SMALL = {"num_levels": 4, "down_kernel_size": 15, "up_kernel_size": 5}
SIZES = [
    {"num_levels": num_levels, "down_kernel_size": down, "up_kernel_size": up, "output_kernel_size": output}
    for num_levels in (1, 2, 5, 8, 12)
    for down, up, output in ((15, 5, 1), (3, 3, 1), (1, 1, 3), (5, 9, 7))
]


def forward_length(num_samples, num_levels, down_kernel_size, up_kernel_size, output_kernel_size=1):
    """Length after every layer in turn; None where something is cut unevenly or nothing is left."""
    length = num_samples
    skips = []
    for _ in range(num_levels):
        length -= down_kernel_size - 1
        skips.append(length)
        if length < 1 or length % 2 == 0:
            return None
        length = (length + 1) // 2
    length -= down_kernel_size - 1
    for skip in reversed(skips):
        length = 2 * length - 1
        if length < 1 or (skip - length) % 2:
            return None
        length -= up_kernel_size - 1
    length -= output_kernel_size - 1
    return length if length >= 1 else None


def test_published_lengths():
    lengths = valid_lengths(16384)
    assert (lengths.num_input_samples, lengths.num_bottleneck_steps, lengths.num_output_samples) == (147443, 9, 16389)
    assert lengths.context_samples == (147443 - 16389) / 2
    assert output_length(147443) == 16389


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_lengths_agree_with_a_walk_through_the_layers(sizes):
    for wanted in (1, 2, 3, 7, 100, 1023, 1024, 1025, 5000):
        lengths = valid_lengths(wanted, **sizes)
        assert lengths.num_output_samples >= wanted
        assert forward_length(lengths.num_input_samples, **sizes) == lengths.num_output_samples
        assert lengths.num_input_samples - lengths.num_output_samples == 2 * lengths.context_samples


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_output_length_inverts_valid_lengths(sizes):
    for wanted in range(1, 400, 3):
        lengths = valid_lengths(wanted, **sizes)
        assert output_length(lengths.num_input_samples, **sizes) == lengths.num_output_samples


@pytest.mark.parametrize("sizes", [sizes for sizes in SIZES if sizes["num_levels"] <= 5], ids=str)
def test_output_length_accepts_exactly_what_the_layers_can_tile(sizes):
    for num_samples in range(1, 1500):
        expected = forward_length(num_samples, **sizes)
        if expected is None:
            with pytest.raises(ParameterError):
                output_length(num_samples, **sizes)
        else:
            assert output_length(num_samples, **sizes) == expected


@pytest.mark.parametrize("wanted", range(1, 40))
def test_lengths_are_the_smallest_that_tile(wanted):
    sizes = {"num_levels": 3, "down_kernel_size": 5, "up_kernel_size": 3}
    reachable = {n: forward_length(n, **sizes) for n in range(1, 400)}
    smallest = min(n for n, output in reachable.items() if output is not None and output >= wanted)
    assert valid_lengths(wanted, **sizes).num_input_samples == smallest


@pytest.mark.parametrize("wanted", (1, 50, 77))
def test_real_network_yields_these_lengths(make_network, wanted):
    lengths = valid_lengths(wanted, num_levels=3)
    network = make_network()
    output = network({"mixture": np.zeros((1, lengths.num_input_samples, 1), np.float32)})
    assert output.shape == (1, 3, lengths.num_output_samples, 1)


@pytest.mark.parametrize("output", ("direct", "difference"))
def test_real_network_with_a_wider_output_kernel_yields_these_lengths(make_network, output):
    lengths = valid_lengths(50, num_levels=3, output_kernel_size=7)
    network = make_network(output_kernel_size=7, output=output, mixture_consistency=True)
    inputs = {"mixture": np.ones((1, lengths.num_input_samples, 1)), "label_vector": np.ones((1, 3))}
    assert network(inputs).shape == (1, 3, lengths.num_output_samples, 1)
    plan = network.chunk_plan(50)
    assert plan.num_input_samples == valid_lengths(56, num_levels=3, output_kernel_size=7).num_input_samples


@pytest.mark.parametrize("chunk_samples", (1, 16, 17, 4096, 131072, 131073))
def test_chunk_hops_lie_on_the_grid_and_cover_the_wish(chunk_samples):
    plan = valid_chunk_plan(chunk_samples, **SMALL)
    assert plan.hop_samples % 2**4 == 0
    assert chunk_samples <= plan.hop_samples < chunk_samples + 2**4
    produced = output_length(plan.num_input_samples, **SMALL)
    assert produced >= plan.hop_samples
    assert plan.num_input_samples == produced + 2 * plan.context_samples


def test_published_network_hops_by_multiples_of_4096():
    plan = valid_chunk_plan(10000)
    assert plan.hop_samples == 12288
    assert plan.context_samples == 65527


@pytest.mark.parametrize("wanted", (0, -3))
def test_output_shorter_than_one_sample_is_refused(wanted):
    with pytest.raises(ParameterError, match=rf"num_output_samples >= 1.*Received: num_output_samples={wanted}"):
        valid_lengths(wanted)


def test_network_without_levels_is_refused():
    with pytest.raises(ParameterError, match=r"num_levels >= 1.*num_levels=0"):
        valid_lengths(10, num_levels=0)


@pytest.mark.parametrize("name", ("down_kernel_size", "up_kernel_size", "output_kernel_size"))
@pytest.mark.parametrize("size", (0, 4, -1))
def test_unusable_kernels_are_refused(name, size):
    with pytest.raises(ParameterError, match=rf"odd kernel sizes.*{name}={size}"):
        valid_lengths(10, **{name: size})


@pytest.mark.parametrize("num_samples", (147442, 147444, 100000, 1, 0, -5))
def test_input_that_cannot_be_tiled_is_refused_with_one_that_can(num_samples):
    with pytest.raises(ParameterError, match=rf"can tile, such as (\d+)\. Received: {num_samples}$") as caught:
        output_length(num_samples)
    offered = int(str(caught.value).split("such as ")[1].split(".")[0])
    assert output_length(offered) >= 1


def test_chunk_of_no_samples_is_refused():
    with pytest.raises(ParameterError, match="num_output_samples=0"):
        valid_chunk_plan(0)
