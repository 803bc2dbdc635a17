"""Recipes of small Wave-U-Nets at 22,050 Hz: conditioned, expanded and plain, of one size and on the same mixtures.

None of them was trained to an end: the conditioned one for 100 steps from the weights of `conditioned_small`, the
others not at all.
"""

from dataclasses import replace

from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig
from pipelines.configs.log_frequency import MIXING


def wave_unet_conditioned() -> TrainConfig:
    """The conditioned Wave-U-Net at 22,050 Hz, from the weights of the one at 16 kHz.

    Command: av-sep train wave_unet_conditioned --data BANK -o runs/conditioned
    Cost: 2,400 steps of 6 examples of 1.1 s; 100 were run.
    Score: validation loss -0.41 after 100 steps.
    """
    return TrainConfig(
        recipe="wave_unet_conditioned",
        model={
            "source_names": URMP_13.names,
            "sample_rate_hz": 22050,
            "num_levels": 10,
            "num_filters": 16,
            "context": False,
            "conditioning": "multiplicative",
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
        mixing=MIXING,
    )


def wave_unet_expanded() -> TrainConfig:
    """The expanded Wave-U-Net: no labels, a stem for every instrument, absent ones learn to be silent.

    Command: av-sep train wave_unet_expanded --data BANK -o runs/expanded
    Cost: 2,400 steps of 6 examples of 1.1 s; not run.
    Score: not run.
    """
    conditioned = wave_unet_conditioned()
    labelled = ("conditioning", "gate", "mixture_consistency")
    model = {name: value for name, value in conditioned.model.items() if name not in labelled}
    return replace(conditioned, recipe="wave_unet_expanded", model=model, learning_rate=1e-3, start_from=None)


def wave_unet_duet() -> TrainConfig:
    """The plain Wave-U-Net for two instruments, violin and cello: the second is what the first leaves of the mixture.

    Command: av-sep train wave_unet_duet --data BANK -o runs/duet
    Cost: 2,400 steps of 6 examples of 1.1 s; not run.
    Score: not run.
    """
    expanded = wave_unet_expanded()
    model = {**expanded.model, "source_names": ("violin", "cello"), "output": "difference"}
    return replace(expanded, recipe="wave_unet_duet", model=model, mixing={**MIXING, "num_instruments_weights": (0, 1)})
