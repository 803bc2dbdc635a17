"""Recipe of the small joint model."""

from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig

PICTURE_SIZE = (192, 352)


def joint_small() -> TrainConfig:
    """The joint model, small enough to train on a CPU in minutes: it looks at a stage and separates who plays there.

    Command: av-sep prepare synthetic -o MADE --pieces 80 --seconds 20 --seed 3
        && av-sep prepare urmp MADE -o RECORDS --fps 1 --sample-rate 16000
        && av-sep train joint_small --data RECORDS -o runs/joint && av-sep separate FILM --model runs/joint/best.keras
    Cost: 1,200 steps of 8 examples of 1.02 s and a picture; 13 minutes of processor time on a 2-core machine (AVX-512,
        bfloat16). Making the 80 drawn pieces took 15 minutes, the records one.
    Score: on the 14 pieces of the test side (57 trained on), labels seen in the films: F1 0.83 (33 of 43 instruments
        found, 4 too many). SI-SDR over the mixture (0 dB): 4.3 dB by true labels, 4.9 dB for the 33 found; static
        Wiener filters 5.3 dB and `conditioned_small` 4.9 dB by true labels. It shows that the path works; it is no
        better separator than either. Validation loss, separation and labels: 20.5 and 0.19 after 100 steps, 0.13 and
        0.03 after 1,200, still falling.
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
