"""Recipe of the conditioned Wave-U-Net at 22,050 Hz, for an accelerator."""

from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig


def conditioned() -> TrainConfig:
    """The conditioned Wave-U-Net of the published size, with the losses and data changes that worked in small.

    Outer product at the bottleneck, label gate, mixture consistency, negative SNR, labels that are wrong now and then.

    Command: av-sep train conditioned --data RECORDS -o runs/conditioned --accelerator gpu --backend jax
    Cost: 400,000 steps of 16 examples of 3 s; not run (hours on a large GPU, weeks on a CPU).
    Score: not run.
    """
    return TrainConfig(
        recipe="conditioned",
        model={
            "source_names": URMP_13.names,
            "sample_rate_hz": 22050,
            "context": False,
            "conditioning": "multiplicative",
            "gate": True,
            "mixture_consistency": True,
        },
        segment_samples=65536,
        batch_size=16,
        steps_per_epoch=2000,
        num_epochs=200,
        warmup_steps=2000,
        ema_momentum=0.9995,
        precision="bfloat16",
        validation_steps=64,
        label_noise={"drop_probability": 0.0, "add_probability": 0.1, "lowest_confidence": 1.0},
        augmentation={"extra_label_probability": 0.0, "max_shift_semitones": 1.0},
    )
