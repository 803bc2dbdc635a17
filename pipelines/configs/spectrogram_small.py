"""Recipe of the small spectrogram network, the usual way that every waveform result is held against."""

from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig


def spectrogram_small() -> TrainConfig:
    """The spectrogram U-Net with a recurrent bottleneck and masks shared among the labelled instruments.

    Command: av-sep train spectrogram_small --data BANK -o runs/spectrogram (BANK from benchmarks/make_solo_bank.py)
    Cost: 5,600 steps of 8 examples of 1.28 s; not run to the end.
    Score: not run.
    """
    return TrainConfig(
        recipe="spectrogram_small",
        network="SpectrogramUNet",
        model={
            "source_names": URMP_13.names,
            "sample_rate_hz": 16000,
            "num_levels": 5,
            "num_time_levels": 2,
            "num_filters": 16,
            "bottleneck": "gru",
            "masks": "softmax",
            "conditioning": "film",
            "conditioning_site": "bottleneck",
            "gate": True,
        },
        segment_samples=20480,
    )
