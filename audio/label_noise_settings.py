"""How wrong labels are in training; `audio.label_noise` and `audio.device_label_noise` make them so."""

from dataclasses import dataclass

from av_sep.errors import ParameterError


@dataclass(frozen=True)
class LabelNoise:
    """How wrong labels are.

    Attributes:
        drop_probability: chance of each label above 0 to be set to 0; one always stays.
        add_probability: chance that one label of any instrument, playing or not, is set to 1.
        lowest_confidence: every label is multiplied by a number of its own between this and 1; 1 keeps them.

    Raises:
        ParameterError: for values outside [0, 1], and for a lowest confidence of 0, which is no label.
    """

    drop_probability: float = 0.1
    add_probability: float = 0.1
    lowest_confidence: float = 0.5

    def __post_init__(self) -> None:
        for name in ("drop_probability", "add_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ParameterError(f"Expected {name} from 0 to 1. Received: {getattr(self, name)}")
        if not 0 < self.lowest_confidence <= 1:
            raise ParameterError(
                f"Expected lowest_confidence above 0 and up to 1. Received: {self.lowest_confidence}"
            )
