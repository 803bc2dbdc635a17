"""Recipes of the default model, the network on a logarithmic frequency axis: two runs, one after the other."""

from dataclasses import replace

from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig

# Five players at most, in tune with each other and in a third of the examples playing one piece; often a label for one
# who does not play; every player through another microphone.
MIXING = {
    "num_instruments_weights": (0.03, 0.33, 0.3, 0.24, 0.1),
    "level_spread_db": 5.0,
    "max_shift_semitones": 2.0,
    "detuning_semitones": 0.08,
    "related_probability": 0.35,
    "extra_label_probability": 0.35,
    "colour_db": 4.0,
    "doubling_probability": 0.06,
}


def log_frequency() -> TrainConfig:
    """The network on a logarithmic frequency axis, first run: a constant learning rate, for as long as there is time.

    Command: python benchmarks/make_solo_bank.py … --sample-rate 22050 --output BANK
        && av-sep train log_frequency --data BANK -o runs/first
    Cost: 3,250 steps of 4 examples of 3 s, 46 minutes on two cores (AMD EPYC, AVX2, float32) that other work shared.
    Score: validation loss -3.73 then; `log_frequency_end` goes on.
    """
    return TrainConfig(
        recipe="log_frequency",
        network="LogFrequencyNetwork",
        model={
            "source_names": URMP_13.names,
            "sample_rate_hz": 22050,
            "num_blocks": 12,
            "conditioning": "film",
            # Five players and a label for one who does not play.
            "num_slots": 6,
        },
        segment_samples=65_536,
        batch_size=4,
        steps_per_epoch=250,
        num_epochs=60,
        schedule="constant",
        mixing=MIXING,
    )


def log_frequency_end() -> TrainConfig:
    """The network on a logarithmic frequency axis, second run: longer examples, a learning rate that falls to its end.

    Command: av-sep train log_frequency_end --data BANK -o runs/second --set start_from=runs/first/best.keras
    Cost: 2,200 steps of 3 examples of 4.5 s, 34 minutes on the same machine; those of step 1,400 were kept.
    Score: validation loss -4.55; SI-SDR +4.8, +3.4, +2.7 dB on mixtures of 2, 3, 4 real solos, where static Wiener
        filters have +1.8, +1.1, +1.2.
    """
    return replace(
        log_frequency(),
        recipe="log_frequency_end",
        segment_samples=98_304,
        batch_size=3,
        steps_per_epoch=200,
        num_epochs=12,
        schedule="cosine",
        warmup_steps=50,
        seed=1,
    )
