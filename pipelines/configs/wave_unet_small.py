"""Recipes of small Wave-U-Nets at 22,050 Hz: conditioned, expanded and plain, of one size.

With the published tanh two of them fell, sooner or later, into a state that they did not leave, every output at full
scale where the tanh has no slope; hence linear outputs and smaller gradients.
"""

from typing import Any

from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig
from pipelines.configs.log_frequency import MIXING


def _wave_unet(recipe: str, model: dict[str, Any], **settings: Any) -> TrainConfig:
    size = {"sample_rate_hz": 22050, "num_levels": 10, "num_filters": 16}
    shape = {"context": False, "output_activation": "linear"}
    training = {"segment_samples": 24_576, "global_clipnorm": 1.0, **settings}
    return TrainConfig(recipe=recipe, model={**size, **shape, **model}, **training)


def wave_unet_conditioned() -> TrainConfig:
    """The conditioned Wave-U-Net at 22,050 Hz, sources through a Wiener filter, from 16 kHz weights.

    The filter takes the place of mixture consistency, as its sources add up to the mixture, and holds their power while
    they train, which nothing else would.

    Command: av-sep train wave_unet_conditioned --data BANK -o runs/conditioned
    Cost: 11 examples/s on two cores (AVX-512, bfloat16); the packaged weights took five runs, the last one at a rate of
        2e-4, see the model card.
    Score: validation loss -3.9; SI-SDR +7.9 and +6.4 dB on mixtures of 2 and 3 real solos, static Wiener +3.0 and +2.4.
    """
    return _wave_unet(
        "wave_unet_conditioned",
        {
            "source_names": URMP_13.names,
            "conditioning": "multiplicative",
            "gate": True,
            "wiener_frame_length": 4096,
            # Five players and a label for one who does not play.
            "num_slots": 6,
        },
        segment_samples=49_152,
        batch_size=6,
        steps_per_epoch=250,
        num_epochs=40,
        learning_rate=4e-4,
        precision="bfloat16",
        validation_steps=16,
        start_from="conditioned_small",
        mixing={**MIXING, "extra_label_probability": 0.2},
    )


def wave_unet_expanded() -> TrainConfig:
    """The expanded Wave-U-Net: no labels, a stem for every instrument, absent ones learn to be silent.

    By the squared error, as its authors trained it: by the ratio in decibels, silence everywhere costs nothing and
    ten absent stems of thirteen cost much, so within 3,000 steps it had learned to be silent altogether. The
    packaged weights were trained without the filter; with it, and from the conditioned network as it is now, the recipe
    was never run.

    Command: av-sep train wave_unet_expanded --data BANK -o runs/expanded
    Cost: 3,500 steps of 8 examples of 1.1 s; 41 minutes on one of two cores (AVX-512, bfloat16). It began with the
        conditioned one's weights of step 4,750.
    Score: validation loss (squared error) 4.8e-4; SI-SDR +2.5 and +2.3 dB on the same mixtures with the filter.
    """
    return _wave_unet(
        "wave_unet_expanded",
        {"source_names": URMP_13.names, "wiener_frame_length": 4096},
        loss="mse",
        steps_per_epoch=250,
        num_epochs=14,
        learning_rate=7e-4,
        warmup_steps=200,
        precision="bfloat16",
        validation_steps=16,
        start_from="wave_unet_conditioned",
        # Squares of quiet mixtures would weigh nothing.
        mixing={**MIXING, "mixture_level_db": (-26.0, -18.0)},
    )


def wave_unet_duet() -> TrainConfig:
    """The plain Wave-U-Net for two instruments, violin and cello: the second is what the first leaves of the mixture.

    Command: av-sep train wave_unet_duet --data BANK -o runs/duet
    Cost: 600 steps of 6 examples of 1.1 s with a tanh, then 1,650 of these from their weights; 46 minutes on two cores
        that other work shared.
    Score: validation loss -3.8 dB; SI-SDR +6.7 dB on 30 mixtures of a real violin and a real cello, where static Wiener
        filters have +6.0.
    """
    return _wave_unet(
        "wave_unet_duet",
        {"source_names": ("violin", "cello"), "output": "difference"},
        batch_size=6,
        steps_per_epoch=150,
        num_epochs=15,
        learning_rate=7e-4,
        warmup_steps=100,
        patience=8,
        mixing={**MIXING, "num_instruments_weights": (0, 1)},
    )
