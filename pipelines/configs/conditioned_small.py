"""Recipe of the small conditioned model."""

from dataclasses import replace

from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig


def conditioned_small() -> TrainConfig:
    """The conditioned Wave-U-Net that ships with the program, small enough to train on a CPU.

    Command: av-sep train conditioned_small --data BANK -o runs/small (BANK from benchmarks/make_solo_bank.py)
    Cost: 5,600 steps of 8 examples of 1.28 s; about 80 minutes on one core of a 2-core machine with bfloat16.
    Score: see audio/weights/conditioned_small/README.md; it must reach the static Wiener filters.
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
        precision="mixed_bfloat16",
    )


def conditioned_small_tuned() -> TrainConfig:
    """The second stage of `conditioned_small`: the same model, true labels only, at a low rate.

    Command: av-sep train conditioned_small_tuned --data BANK -o runs/tuned --init runs/small/best.weights.h5
    Cost: TODO
    Score: see audio/weights/conditioned_small/README.md.
    """
    return replace(
        conditioned_small(),
        recipe="conditioned_small_tuned",
        num_epochs=12,
        learning_rate=3e-4,
        warmup_steps=100,
        # One instrument alone teaches only against false labels, which the first stage has seen.
        mixing={"extra_label_probability": 0.0, "num_instruments_weights": (0.0, 0.5, 0.3, 0.2)},
    )
