"""Several networks heard as one: the weighted mean of their estimates.

Networks that are built otherwise err otherwise: what they agree on stays when their estimates are added up, and what
only one of them made up gets weaker. Music separation does so since S. Uhlich et al., "Improving music source
separation based on deep neural networks through data augmentation and network blending", ICASSP 2017, section 4.
"""

import math
from collections.abc import Sequence

import numpy as np

from audio.framing import ChunkPlan
from audio.separation_model import NetworkModel
from av_sep.errors import ParameterError


class AverageModel:
    """The weighted mean of networks of one rate and the same sources; itself a `SeparationModel`.

    Where the estimates of each add up to the mixture, or are silent, so do and are those of their mean.

    Args:
        models: two or more.
        weights: one for each, above 0; only their ratios count.

    Raises:
        ParameterError: for a single model, models of different rates or sources, and weights that are none.
    """

    def __init__(self, models: Sequence[NetworkModel], weights: Sequence[float]):
        if len(models) < 2 or len({(model.sample_rate_hz, model.source_names) for model in models}) > 1:
            kinds = "; ".join(f"{model.sample_rate_hz} Hz {', '.join(model.source_names)}" for model in models)
            raise ParameterError(f"Expected two models or more of one rate and the same sources. Received: {kinds}")
        if len(weights) != len(models) or not all(0 < weight < math.inf for weight in weights):
            raise ParameterError(f"Expected a weight above 0 for each of {len(models)} models. Received: {weights}")
        self.models = tuple(models)
        self.weights = tuple(weight / sum(weights) for weight in weights)
        # By the length of a chunk: what each model wants of it.
        self._plans: dict[int, list[ChunkPlan]] = {}

    @property
    def source_names(self) -> tuple[str, ...]:
        return self.models[0].source_names

    @property
    def sample_rate_hz(self) -> int:
        return self.models[0].sample_rate_hz

    @property
    def takes_labels(self) -> bool:
        """Whether any of the networks is told what plays."""
        return any(model.takes_labels for model in self.models)

    def chunk_plan(self, chunk_samples: int) -> ChunkPlan:
        """Hops that all models can make, with the context of the one that asks for most on either side."""
        plans = self._plans_of_one_hop(chunk_samples)
        before = max(plan.context_samples for plan in plans)
        num_input_samples = max(before - plan.context_samples + plan.num_input_samples for plan in plans)
        self._plans[num_input_samples] = plans
        return ChunkPlan(num_input_samples, plans[0].hop_samples, before)

    def separate_chunk(self, chunk: np.ndarray, label_vector: np.ndarray) -> np.ndarray:
        """See `SeparationModel`; the chunk is as long as `chunk_plan` said."""
        plans = self._plans[len(chunk)]
        before = max(plan.context_samples for plan in plans)
        mean = np.zeros((len(self.source_names), plans[0].hop_samples), np.float32)
        for model, weight, plan in zip(self.models, self.weights, plans, strict=True):
            start = before - plan.context_samples
            estimates = model.separate_chunk(chunk[start : start + plan.num_input_samples], label_vector)
            mean += np.float32(weight) * estimates[:, : plan.hop_samples]
        return mean

    def _plans_of_one_hop(self, chunk_samples: int) -> list[ChunkPlan]:
        """The models' plans for the shortest hop of at least `chunk_samples` that all of them can make."""
        plans = [model.chunk_plan(chunk_samples) for model in self.models]
        longest = max(plan.hop_samples for plan in plans)
        if all(plan.hop_samples == longest for plan in plans):
            return plans
        return self._plans_of_one_hop(longest)
