"""Recipes of small Wave-U-Nets at 22,050 Hz, for a CPU."""

from dataclasses import replace

from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig

_MIXING = {
    "num_instruments_weights": (0.04, 0.44, 0.32, 0.2),
    "level_spread_db": 5.0,
    "max_shift_semitones": 2.0,
    "extra_label_probability": 0.15,
    "colour_db": 4.0,
    "doubling_probability": 0.05,
}


def wave_unet_conditioned() -> TrainConfig:
    """The conditioned Wave-U-Net."""
    return TrainConfig(
        recipe="wave_unet_conditioned",
        model={
            "source_names": URMP_13.names,
            "sample_rate_hz": 22050,
            "num_levels": 10,
            "num_filters": 16,
            "context": False,
            "conditioning": "multiplicative",
            "conditioning_site": "bottleneck",
            "gate": True,
            "mixture_consistency": True,
        },
        segment_samples=24_576,
        batch_size=6,
        steps_per_epoch=100,
        num_epochs=24,
        learning_rate=6e-4,
        warmup_steps=100,
        start_from="conditioned_small",
        mixing=_MIXING,
    )
