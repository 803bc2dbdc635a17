from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig


def conditioned_small() -> TrainConfig:
    """TODO"""
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
        precision="mixed_bfloat16",
    )
