"""Recipe of the small conditioned model."""

from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig


def conditioned_small() -> TrainConfig:
    """The first conditioned Wave-U-Net, at 16 kHz, small enough to train on a CPU.

    Command: av-sep train conditioned_small --data BANK -o runs/small (BANK from benchmarks/make_solo_bank.py)
    Cost: 5,600 steps of 8 examples of 1.28 s; 82 minutes on one core of a busy 2-core machine (AVX-512, bfloat16).
    Score: validation loss -0.40; SI-SDR +2.1 to +3.1 dB, as the static Wiener filters (see the model card).
    """
    return TrainConfig(
        recipe="conditioned_small",
        model={
            "source_names": URMP_13.names,
            "sample_rate_hz": 16000,
            "num_levels": 10,
            "num_filters": 16,
            # Zero padding costs a third of the computation here; the same weights then run with valid convolutions.
            "context": False,
            "conditioning": "multiplicative",
            "conditioning_site": "bottleneck",
            "gate": True,
            "mixture_consistency": True,
        },
        segment_samples=20480,
        precision="bfloat16",
    )
