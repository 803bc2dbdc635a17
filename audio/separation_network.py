"""What the networks have in common: sources, options, and the two inputs.

Conventions: mixtures `[batch, time, channels]`, label vectors `[batch, num_sources]`, outputs `[batch, num_sources,
output_time, channels]` in the order of `source_names`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import keras

from av_sep.errors import ParameterError

# Options that make a network ask for labels.
LABEL_OPTIONS = ("conditioning", "gate", "mixture_consistency")


class SeparationNetwork(keras.Model):
    """A functional network from a mixture, and labels where its options ask for any, to sources.

    Inputs are `{"mixture": [batch, time, num_channels], "label_vector": [batch, num_sources]}`, the second only with a
    conditioning, a gate or mixture consistency. A subclass's constructor takes nothing but its options and `name`.

    Args:
        separate: `(mixture, label_vector or None, options)` to sources: the subclass's graph.
        options: all arguments of the subclass's constructor by name, checked.
        name: of the Keras model.

    Attributes:
        OPTIONS_IN_USE: options that serve training alone, as they are when a network separates.
    """

    OPTIONS_IN_USE: dict[str, Any] = {}

    def __init__(self, separate: Callable[..., Any], options: dict[str, Any], name: str | None):
        inputs = {"mixture": keras.Input((None, options["num_channels"]), name="mixture")}
        if _asks_for_labels(options):
            inputs["label_vector"] = keras.Input((len(options["source_names"]),), name="label_vector")
        estimates = separate(inputs["mixture"], inputs.get("label_vector"), options)
        super().__init__(inputs=inputs, outputs=estimates, name=name)
        # Not before Keras's own constructor, which makes ready for attributes.
        self.options = options

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of the sources in output order."""
        return self.options["source_names"]

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the sound that the model was made for."""
        return self.options["sample_rate_hz"]

    @property
    def takes_labels(self) -> bool:
        """Whether the model has a `label_vector` input."""
        return _asks_for_labels(self.options)

    def output_samples(self, num_samples: int) -> int:
        """Length of the sources for a mixture of `num_samples`: the same.

        Raises:
            ParameterError: for no samples at all.
        """
        if num_samples < 1:
            raise ParameterError(f"Expected a mixture of at least one sample. Received: {num_samples}")
        return num_samples

    def for_inference(self) -> "SeparationNetwork":
        """The network that separates chunks with these weights: itself, or its twin with `OPTIONS_IN_USE`."""
        if self.OPTIONS_IN_USE.items() <= self.options.items():
            return self
        return self.twin(**self.OPTIONS_IN_USE)

    def twin(self, **changes) -> "SeparationNetwork":
        """The same network with other options that change no weights, and a copy of the weights."""
        twin = type(self)(**{**self.options, **changes})
        twin.set_weights(self.get_weights())
        return twin

    def get_config(self):
        return {"name": self.name, **self.options, "source_names": list(self.source_names)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


def names_in_order(source_names: Iterable[str]) -> tuple[str, ...]:
    """Names of sources as a network keeps them.

    Raises:
        ParameterError: for one text, whose letters would be taken for sources.
    """
    if isinstance(source_names, str):
        raise ParameterError(f"Expected source names, in a list or tuple. Received: {source_names!r}")
    return tuple(source_names)


def require_source_names(options: dict[str, Any]) -> None:
    """Checks that there are sources and that no two have one name.

    Raises:
        ParameterError: where that is not so.
    """
    names = options["source_names"]
    if len(names) != len(set(names)) or not names:
        raise ParameterError(f"Expected distinct source names. Received: source_names={names}")


def _asks_for_labels(options):
    return any(options.get(name) for name in LABEL_OPTIONS)
