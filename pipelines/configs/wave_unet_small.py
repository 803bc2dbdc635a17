"""Recipes of small Wave-U-Nets at 22,050 Hz: conditioned, expanded and plain, of one size and on the same mixtures.

Only the plain one was trained to an end. With the published tanh two of them fell, sooner or later, into a state that
they did not leave, every output at full scale where the tanh has no slope; hence linear outputs and smaller gradients,
and patience, which ends such a run.
"""

from dataclasses import replace

from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig
from pipelines.configs.log_frequency import MIXING


def wave_unet_conditioned() -> TrainConfig:
    """The conditioned Wave-U-Net at 22,050 Hz, from the weights of the one at 16 kHz.

    Command: av-sep train wave_unet_conditioned --data BANK -o runs/conditioned
    Cost: 2,400 steps of 6 examples of 1.1 s; 450 were run, on a core and a half.
    Score: none; the validation loss stayed where it began. With a tanh, in the first 1,400 steps of another run, it
        fell from 0.90 to 0.43, then the network collapsed.
    """
    return TrainConfig(
        recipe="wave_unet_conditioned",
        model={
            "source_names": URMP_13.names,
            "sample_rate_hz": 22050,
            "num_levels": 10,
            "num_filters": 16,
            "context": False,
            "output_activation": "linear",
            "conditioning": "multiplicative",
            "gate": True,
            "mixture_consistency": True,
        },
        segment_samples=24_576,
        batch_size=6,
        steps_per_epoch=100,
        num_epochs=24,
        learning_rate=5e-4,
        warmup_steps=100,
        global_clipnorm=1.0,
        patience=8,
        start_from="conditioned_small",
        mixing=MIXING,
    )


def wave_unet_expanded() -> TrainConfig:
    """The expanded Wave-U-Net: no labels, a stem for every instrument, absent ones learn to be silent.

    Command: av-sep train wave_unet_expanded --data BANK -o runs/expanded
    Cost: 2,400 steps of 6 examples of 1.1 s; 600 were run, with a tanh.
    Score: none; validation loss 65 after 200 steps, 43 after 600: it had not yet learned to be silent.
    """
    conditioned = wave_unet_conditioned()
    labelled = ("conditioning", "gate", "mixture_consistency")
    model = {name: value for name, value in conditioned.model.items() if name not in labelled}
    return replace(conditioned, recipe="wave_unet_expanded", model=model, learning_rate=7e-4, start_from=None)


def wave_unet_duet() -> TrainConfig:
    """The plain Wave-U-Net for two instruments, violin and cello: the second is what the first leaves of the mixture.

    Command: av-sep train wave_unet_duet --data BANK -o runs/duet
    Cost: 600 steps of 6 examples of 1.1 s with a tanh, then 1,650 of these from their weights; 46 minutes on two cores
        that other work shared.
    Score: validation loss -3.8 dB; SI-SDR +6.7 dB on 30 mixtures of a real violin and a real cello, where static Wiener
        filters have +6.0.
    """
    expanded = wave_unet_expanded()
    model = {**expanded.model, "source_names": ("violin", "cello"), "output": "difference"}
    return replace(
        expanded,
        recipe="wave_unet_duet",
        model=model,
        steps_per_epoch=150,
        num_epochs=15,
        mixing={**MIXING, "num_instruments_weights": (0, 1)},
    )
