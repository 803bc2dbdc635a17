"""Several networks as one: their mean, shared out anew by what all but the first say.

Networks that are built otherwise err otherwise. Two ways of joining them add up: the weighted mean of their estimates
S_k (S. Uhlich et al., "Improving music source separation based on deep neural networks through data augmentation and
network blending", ICASSP 2017, section 4) brings back what one of them has lost, and the logarithmic pool of opinions
(C. Genest, J. Zidek, "Combining probability distributions: a critique and an annotated bibliography", Statistical
Science 1(1), 1986) listens most to who is sure. In a bin of the short-time spectrum, j being a source:

    S_j = sum_k weight_k S_kj,    m_j = |S_j| / sum_i |S_i|,    m_kj = |S_kj| / sum_i |S_ki|
    m'_j is proportional to m_j * product over k > 1 of max(m_kj, FLOOR) ** exponent_k
"""

import math
from collections.abc import Sequence

import numpy as np

from audio.framing import ChunkPlan, on_grid
from audio.reweighting import share_by_weight
from audio.root_hann_stft import RootHannStft
from audio.separation_model import NetworkModel
from av_sep.errors import ParameterError

# Nobody is believed who says that an instrument has nothing at all of a bin.
FLOOR = 0.02
# Whose estimates in a bin are fainter than this part of the mean has no say there: no share hangs on rounding.
FAINT = 1e-3


class PooledModel:
    """Networks of one rate and the same sources, pooled; itself a `SeparationModel`.

    Where the estimates of each add up to the mixture, or are silent, so do and are those of the pool.

    Args:
        models: two or more.
        weights: of each in the mean, above 0; only their ratios count.
        exponents: of all but the first, not below 0; with 1 one shares out as much as the mean does.
        shares_notes: whether separators share the estimates out anew by notes (`audio.note_sharing`).

    Raises:
        ParameterError: for a single model, models of different rates or sources, and weights or exponents that are
            none.
    """

    def __init__(
        self,
        models: Sequence[NetworkModel],
        weights: Sequence[float],
        exponents: Sequence[float],
        *,
        shares_notes: bool = False,
    ):
        if len(models) < 2 or len({(model.sample_rate_hz, model.source_names) for model in models}) > 1:
            kinds = "; ".join(f"{model.sample_rate_hz} Hz {', '.join(model.source_names)}" for model in models)
            raise ParameterError(f"Expected two models or more of one rate and the same sources. Received: {kinds}")
        if len(weights) != len(models) or not all(0 < weight < math.inf for weight in weights):
            raise ParameterError(f"Expected a weight above 0 for each of {len(models)} models. Received: {weights}")
        if len(exponents) != len(models) - 1 or not all(0 <= exponent < math.inf for exponent in exponents):
            raise ParameterError(f"Expected exponents from 0 for all models but the first. Received: {exponents}")
        self.models = tuple(models)
        self.weights = tuple(weight / sum(weights) for weight in weights)
        self.exponents = tuple(exponents)
        self.shares_notes = shares_notes
        self._stft = RootHannStft(self.sample_rate_hz)
        self.frame_length, self.hop_length = self._stft.frame_length, self._stft.hop_length
        # What overlaps the first and the last STFT frame that counts, on the grid of chunks.
        self._margin = self._on_grid(self.frame_length - self.hop_length)
        # By the length of a chunk: how it is cut, and what each model wants of it.
        self._plans: dict[int, tuple[ChunkPlan, list[ChunkPlan]]] = {}

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
        """Hops on the grids of all models and of the STFT, with room for STFT frames that overlap their ends."""
        hop = self._on_grid(chunk_samples)
        parts = [model.chunk_plan(hop + 2 * self._margin) for model in self.models]
        before = max(part.context_samples for part in parts)
        num_input_samples = max(before - part.context_samples + part.num_input_samples for part in parts)
        plan = ChunkPlan(num_input_samples, hop, before + self._margin)
        self._plans[num_input_samples] = plan, parts
        return plan

    def separate_chunk(self, chunk: np.ndarray, label_vector: np.ndarray) -> np.ndarray:
        """See `SeparationModel`; the chunk is as long as `chunk_plan` said."""
        plan, parts = self._plans[len(chunk)]
        active = np.flatnonzero(label_vector > 0)
        opinions = []
        for model, part in zip(self.models, parts, strict=True):
            start = plan.context_samples - self._margin - part.context_samples
            estimates = model.separate_chunk(chunk[start : start + part.num_input_samples], label_vector)
            opinions.append(estimates[active, : plan.hop_samples + 2 * self._margin])
        pooled = np.zeros((len(self.source_names), plan.hop_samples), np.float32)
        pooled[active] = self._pooled(opinions)[:, self._margin : self._margin + plan.hop_samples]
        return pooled

    def _pooled(self, opinions: Sequence[np.ndarray]) -> np.ndarray:
        """The models' estimates, each `[num_active, time]`, as one, some STFT frames at a time: spectra are large."""
        pooled = np.zeros_like(opinions[0])
        for stretch in self._stft.stretches(pooled.shape[1]):
            spectra = self._pool([self._stft.spectra(opinion[:, stretch]) for opinion in opinions])
            pooled[:, stretch] += self._stft.waveforms(spectra)
        return pooled

    def _on_grid(self, num_samples: int) -> int:
        """The next length that all models and the STFT can hop by."""
        grid = math.lcm(self.hop_length, *(model.chunk_plan(1).hop_samples for model in self.models))
        return on_grid(num_samples, grid)

    def _pool(self, opinions: Sequence[np.ndarray]) -> np.ndarray:
        """The models' spectra, each `[num_active, stft_frames, bins]`, as one."""
        mean = sum(np.float32(weight) * spectra for weight, spectra in zip(self.weights, opinions, strict=True))
        least = np.float32(FAINT) * np.abs(mean).mean(axis=0) + np.finfo(np.float32).tiny
        odds = np.ones((1, 1, 1), np.float32)
        for spectra, exponent in zip(opinions[1:], self.exponents, strict=True):
            magnitudes = np.abs(spectra) + least
            odds = odds * np.maximum(magnitudes / magnitudes.sum(axis=0), np.float32(FLOOR)) ** np.float32(exponent)
        return share_by_weight(mean, odds)
