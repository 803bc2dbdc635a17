"""Recipe of the plain Wave-U-Net on MUSDB18."""

from av_sep.instruments import MUSDB_4
from pipelines.config import TrainConfig


def plain_musdb4() -> TrainConfig:
    """The plain Wave-U-Net on vocals, drums, bass and other: Stoller's M4 with context and difference output.

    Command: av-sep prepare musdb18 MUSDB18 -o RECORDS && av-sep train plain_musdb4 --data RECORDS -o runs/musdb4
    Cost: 200,000 steps of 16 segments; not run (MUSDB18 was not at hand).
    Score: not run; see Stoller et al. (2018), table 2, for what such networks reach.
    """
    return TrainConfig(
        recipe="plain_musdb4",
        model={
            "source_names": MUSDB_4.names,
            "sample_rate_hz": 22050,
            "context": True,
            "output": "difference",
        },
        segment_samples=147_443,
        loss="mse",
        batch_size=16,
        steps_per_epoch=2000,
        num_epochs=100,
        learning_rate=1e-4,
        schedule="constant",
        warmup_steps=0,
        global_clipnorm=None,
        ema_momentum=None,
        patience=20,
        validation_steps=64,
        augmentation={"gain_db": (-3.1, 0.0), "max_tilt": 0.0, "remix_probability": 0.0, "dropout_probability": 0.0,
                      "extra_label_probability": 0.0},
    )  # fmt: skip
