"""Recipe of the small joint model."""

from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig

PICTURE_SIZE = (192, 352)


def joint_small() -> TrainConfig:
    """The joint model, small enough to train on a CPU in minutes: it looks at a stage and separates who plays there.

    Command: av-sep prepare synthetic -o MADE --pieces 80 --seconds 20
        && av-sep prepare urmp MADE -o RECORDS --fps 1 --sample-rate 16000
        && av-sep train joint_small --data RECORDS -o runs/joint && av-sep separate FILM --model runs/joint/best.keras
    Cost: not run.
    Score: not run.
    """
    return TrainConfig(
        recipe="joint_small",
        network="JointModel",
        model={
            "source_names": URMP_13.names,
            "sample_rate_hz": 16000,
            "separator": {
                "num_levels": 9,
                "num_filters": 12,
                "context": False,
                "conditioning": "multiplicative",
                "gate": True,
                "mixture_consistency": True,
            },
            # The films' 16:9, in multiples of 32.
            "picture_size": PICTURE_SIZE,
        },
        picture_size=PICTURE_SIZE,
        segment_samples=16384,
        precision="bfloat16",
        steps_per_epoch=100,
        num_epochs=12,
        warmup_steps=100,
        ema_momentum=0.99,
        # Remixed examples have no picture. What is left out or added must not contradict the pictures.
        augmentation={"remix_probability": 0.25, "dropout_probability": 0.0, "extra_label_probability": 0.0},
    )
