"""Recipe of the network on a logarithmic frequency axis."""

from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig


def log_frequency() -> TrainConfig:
    """The conditioned network on a logarithmic frequency axis, small enough to train on a CPU."""
    return TrainConfig(
        recipe="log_frequency",
        network="LogFrequencyNetwork",
        model={
            "source_names": URMP_13.names,
            "sample_rate_hz": 22050,
            "num_fine_filters": 12,
            "num_filters": 48,
            "memory_units": 192,
            "conditioning": "film",
            # Four players and a label for one who does not play.
            "num_slots": 5,
        },
        segment_samples=65_536,
        batch_size=4,
        steps_per_epoch=250,
        num_epochs=60,
        schedule="constant",
        ema_momentum=0.998,
        mixing={
            "num_instruments_weights": (0.04, 0.44, 0.32, 0.2),
            "level_spread_db": 5.0,
            "max_shift_semitones": 2.0,
            "extra_label_probability": 0.15,
            "colour_db": 4.0,
            "doubling_probability": 0.05,
        },
    )
