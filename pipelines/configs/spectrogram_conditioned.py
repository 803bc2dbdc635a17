"""Recipe of the conditioned spectrogram network, the usual way that every waveform result is held against."""

from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig
from pipelines.configs.log_frequency import MIXING


def spectrogram_conditioned() -> TrainConfig:
    """The spectrogram U-Net with a recurrent bottleneck and masks shared among the labelled instruments.

    Command: av-sep train spectrogram_conditioned --data BANK -o runs/spectrogram (BANK as for log_frequency)
    Cost: not run to the end yet.
    Score: not run.
    """
    return TrainConfig(
        recipe="spectrogram_conditioned",
        network="SpectrogramUNet",
        model={
            "source_names": URMP_13.names,
            "sample_rate_hz": 22050,
            "frame_length": 2048,
            "hop_length": 512,
            "num_levels": 5,
            "num_time_levels": 2,
            "num_filters": 12,
            "bottleneck": "gru",
            "recurrent_units": 192,
            "recurrent_filters": 24,
            "masks": "softmax",
            "conditioning": "film",
            "conditioning_site": "bottleneck",
            "gate": True,
        },
        segment_samples=98_304,
        batch_size=6,
        steps_per_epoch=250,
        num_epochs=20,
        learning_rate=1e-3,
        warmup_steps=300,
        precision="bfloat16",
        validation_steps=16,
        mixing=MIXING,
    )
