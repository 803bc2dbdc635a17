"""Recipe of the network on a logarithmic frequency axis, the larger part of the default model."""

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
    """The network on a logarithmic frequency axis: examples of 4.5 s, a learning rate that falls to its end.

    Command: python benchmarks/make_solo_bank.py … --sample-rate 22050 --output BANK
        && python benchmarks/add_ensembles.py BANK PIECES && python benchmarks/pack_bank.py BANK PACKED
        && BANK=PACKED OUT=runs STEPS=5590 SETTINGS=precision=bfloat16 examples/train_on_gpu.sh log_frequency
    Cost: 7.7 minutes on one H200, for 5.5 of which another training had half of it; alone 19 steps/s.
    Score: validation loss -3.1; SI-SDR +5.8, +4.5, +3.5 dB on mixtures of 2, 3, 4 real solos, where static Wiener
        filters have +1.8, +1.1, +1.2. The learning rate fell with time, not with steps, in the run that was kept.
    """
    return TrainConfig(
        recipe="log_frequency",
        network="LogFrequencyNetwork",
        model={
            "source_names": URMP_13.names,
            "sample_rate_hz": 22050,
            "num_filters": 96,
            "num_blocks": 12,
            "conditioning": "film",
            # Five players and a label for one who does not play.
            "num_slots": 6,
        },
        segment_samples=98_304,
        batch_size=32,
        steps_per_epoch=430,
        num_epochs=13,
        learning_rate=1.5e-3,
        warmup_steps=200,
        mixing=MIXING,
    )
