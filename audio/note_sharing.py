"""Shares estimates out anew note by note: a note's partials all go where most of it went, for as long as it sounds.

A network decides bin by bin, and where it errs, one partial of a note is in another stem than the next, or one moment
of it. Which partials are together can be told without knowing the instruments: the mixture's magnitudes V are
factorized into notes, templates W that start as harmonic spectra at every pitch (`audio.harmonic_templates`) times
activations H. With m_jft an estimate's share of a bin, source j has of note c at the instant t

    s_jct = H_ct sum_f W_fc (V / WH)_ft m_jft

added up over some time. How likely the note is the source's is the square of its share, weighed by how much of all that
the source plays at the time the note is: who is busy with other notes is less likely to play this one, too.

    P(j | c, t) is proportional to (s_jct / sum_i s_ict)**2 / (sum_d s_jdt)**BUSY_EXPONENT
    q_jft = sum_c W_fc H_ct P(j | c, t) / (WH)_ft
    m'_jft is proportional to m_jft**SHARE_EXPONENT * q_jft**NOTE_EXPONENT

and again with what came out, `NUM_ROUNDS` times. Sums of the estimates stay what they are.

Notes are the same in all channels, and so is who plays them: the factorized magnitudes are the channels' sum, V / WH is
each channel's own, and what s_jct adds up to over the channels is the evidence. Who plays a note is then told by the
channels' levels, too (`audio.note_places`); a channel's q_jft is weighed by exp(LEVEL_EXPONENT p_jk) of the player's
place.

Conventions: estimates are float32 `[num_active, time, channels]`.

References:
    D. D. Lee, H. S. Seung, "Algorithms for non-negative matrix factorization", NIPS 2000 (the updates).
    E. Vincent, N. Bertin, R. Badeau, "Adaptive harmonic spectral decomposition for multiple pitch estimation", IEEE
    TASLP 18(3), 2010 (templates that adapt to what plays, and stay notes).
    Sharing notes out by what estimates of their sources say is this project's own; figures are on the model cards.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter1d

from audio.harmonic_templates import harmonic_templates
from audio.nmf import factorize
from audio.note_places import levels_in_channels, place_odds, places
from audio.reweighting import share_by_weight
from audio.root_hann_stft import RootHannStft

BLOCK_SECONDS, OVERLAP_SECONDS = 24.0, 3.0
# Activations find their place before the templates move.
NUM_ITERATIONS_FIXED, NUM_ITERATIONS = 10, 10
NOTE_SECONDS, LEVEL_SECONDS, MOMENT_SECONDS = 2.0, 1.0, 0.4
SHARE_EXPONENT, NOTE_EXPONENT = 0.3, 0.8
BUSY_EXPONENT = 0.75
# Between magnitudes, 1, and powers, 2.
LEVEL_EXPONENT = 1.5
NUM_ROUNDS = 3
# From here on bins are taken together, by two and by four: partials there are far from each other.
PAIRS_FROM_HZ, FOURS_FROM_HZ = 2756.25, 5512.5
# With nine players, the most that were tried, it still helped; of 13 labels most are wrong, and then it does harm.
MOST_STEMS = 9
# Shares below this are no opinion; magnitudes below this part of the loudest are nothing.
SMALLEST_SHARE, SMALLEST_MAGNITUDE = 1e-6, 1e-6
_TINY = np.finfo(np.float32).tiny


class NoteSharing:
    """Shares out a stream of estimates, in memory that does not grow with it.

    The stream is cut into blocks that overlap and are faded into each other, always at the same places.

    Args:
        sample_rate_hz: of the estimates.
    """

    def __init__(self, sample_rate_hz: float):
        self._sharer = _block_sharer(sample_rate_hz)
        self._block_samples = round(BLOCK_SECONDS * sample_rate_hz)
        self._overlap_samples = round(OVERLAP_SECONDS * sample_rate_hz)
        self._waiting: np.ndarray | None = None
        self._fading: np.ndarray | None = None

    def push(self, estimates: np.ndarray) -> np.ndarray:
        """Takes a block of any length and returns the stretch that is ready, `[num_active, time, channels]`."""
        waiting = estimates if self._waiting is None else np.concatenate([self._waiting, estimates], axis=1)
        ready = [estimates[:, :0].astype(np.float32)]
        while waiting.shape[1] >= self._block_samples:
            shared = self._faded_in(self._sharer.share(waiting[:, : self._block_samples]))
            ends = self._block_samples - self._overlap_samples
            ready.append(shared[:, :ends])
            self._fading = shared[:, ends:]
            waiting = waiting[:, ends:]
        self._waiting = waiting.copy()
        return np.concatenate(ready, axis=1)

    def finish(self) -> np.ndarray:
        """What is still to come after the last block; no estimates where there was none."""
        if self._waiting is None:
            return np.zeros((0, 0, 0), np.float32)
        return self._faded_in(self._sharer.share(self._waiting))

    def _faded_in(self, shared: np.ndarray) -> np.ndarray:
        """A block that begins as the one before it ends."""
        if self._fading is None:
            return shared
        # Not at the very ends: STFT frames there reach over the block's edge.
        edge = self._sharer.stft.frame_length
        faded = np.zeros(self._overlap_samples, np.float32)
        faded[edge:-edge] = np.linspace(0, 1, len(faded) - 2 * edge)
        faded[-edge:] = 1
        beginning = self._fading + faded[:, None] * (shared[:, : len(faded)] - self._fading)
        return np.concatenate([beginning, shared[:, len(faded) :]], axis=1)


class _BlockSharer:
    """Shares out a block that is held as a whole; it keeps nothing of it."""

    def __init__(self, sample_rate_hz: float):
        self.stft = RootHannStft(sample_rate_hz)
        bin_hz = sample_rate_hz / self.stft.frame_length
        num_bins = self.stft.frame_length // 2 + 1
        pairs, fours = (min(math.ceil(hz / bin_hz), num_bins) for hz in (PAIRS_FROM_HZ, FOURS_FROM_HZ))
        # First bins of the bands.
        self._starts = np.r_[:pairs, pairs:fours:2, fours:num_bins:4]
        self._band_bins = np.diff(self._starts, append=num_bins)
        middles_hz = (self._starts + (self._band_bins - 1) / 2) * bin_hz
        self._templates = harmonic_templates(middles_hz, bin_hz)
        frames_per_second = sample_rate_hz / self.stft.hop_length
        self._note_frames, self._level_frames, self._moment_frames = (
            max(round(seconds * frames_per_second), 1) for seconds in (NOTE_SECONDS, LEVEL_SECONDS, MOMENT_SECONDS)
        )

    def share(self, estimates: np.ndarray) -> np.ndarray:
        """`[num_active, time, channels]` to the same."""
        length, margin = estimates.shape[1], self.stft.frame_length
        if not length or len(estimates) < 2 or not np.any(estimates):
            return np.asarray(estimates, np.float32)
        # As many STFT frames overlap the first and the last sample as any other.
        padded = np.pad(estimates, ((0, 0), (margin, margin + -length % self.stft.hop_length), (0, 0)))
        channels = np.ascontiguousarray(padded.transpose(2, 0, 1))
        stretches = list(self.stft.stretches(channels.shape[2]))
        heard = [self._heard(channel, stretches) for channel in channels]
        before, magnitudes = (np.stack(parts) for parts in zip(*heard, strict=True))
        after = self._of_notes(before, magnitudes)
        shared = [self._reshared(*channel, stretches) for channel in zip(channels, before, after, strict=True)]
        return np.stack(shared, axis=-1)[:, margin : margin + length]

    def _reshared(
        self, estimates: np.ndarray, before: np.ndarray, after: np.ndarray, stretches: Sequence[slice]
    ) -> np.ndarray:
        """A channel, `[num_active, time]` in whole hops, whose shares become others."""
        weights = (after / before).swapaxes(1, 2)
        shared = np.zeros_like(estimates)
        first = 0
        for stretch in stretches:
            spectra = self.stft.spectra(estimates[:, stretch])
            last = first + spectra.shape[1]
            own = np.repeat(weights[:, first:last], self._band_bins, axis=2)
            shared[:, stretch] += self.stft.waveforms(share_by_weight(spectra, own))
            first = last
        return shared

    def _heard(self, estimates: np.ndarray, stretches: Sequence[slice]) -> tuple[np.ndarray, np.ndarray]:
        """Shares of the bands, `[num_active, bands, stft_frames]`, equal ones of silence, and magnitudes of the sum."""
        parts = []
        for stretch in stretches:
            spectra = self.stft.spectra(estimates[:, stretch])
            parts.append(self._banded(np.abs(np.concatenate([spectra, spectra.sum(axis=0, keepdims=True)]))))
        *own, total = np.concatenate(parts, axis=2)
        shares = _adding_up(np.stack(own) + _TINY)
        return _adding_up(np.maximum(shares, np.float32(SMALLEST_SHARE))), total

    def _banded(self, magnitudes: np.ndarray) -> np.ndarray:
        """`[..., stft_frames, bins]` to `[..., bands, stft_frames]`."""
        return np.add.reduceat(magnitudes, self._starts, axis=-1).swapaxes(-1, -2)

    def _of_notes(self, shares: np.ndarray, magnitudes: np.ndarray) -> np.ndarray:
        """Shares after all rounds; see the module.

        Args:
            shares: `[num_channels, num_active, bands, stft_frames]`.
            magnitudes: of the mixture, `[num_channels, bands, stft_frames]`.
        """
        templates, activations = _notes(magnitudes.sum(axis=0), self._templates)
        surplus = magnitudes / (templates @ activations + _TINY)
        levels = self._levels(templates, activations, surplus)
        for _ in range(NUM_ROUNDS):
            # Of one source in all channels at a time.
            heard = (np.sum(surplus * own, axis=0) for own in shares.swapaxes(0, 1))
            players, placed = self._players(np.stack([activations * (templates.T @ own) for own in heard]), levels)
            by_note = np.stack([templates @ (activations * own) for own in players]) + _TINY
            by_channel = [by_note * own[:, None, None] for own in _loudness(placed)]
            shares = np.stack([_resolved(*channel) for channel in zip(shares, by_channel, strict=True)])
        return shares

    def _levels(self, templates: np.ndarray, activations: np.ndarray, surplus: np.ndarray) -> np.ndarray:
        """The notes' levels in the channels, `[num_channels, num_notes, stft_frames]`."""
        heard = np.stack([activations * (templates.T @ more) for more in surplus])
        # The filter's running sums may end below 0.
        return levels_in_channels(np.maximum(uniform_filter1d(heard, self._level_frames, axis=2), 0))

    def _players(self, evidence: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Who plays every note, `[num_active, num_notes, stft_frames]`, and where they sit."""
        at_the_time = uniform_filter1d(evidence, self._moment_frames, axis=2).sum(axis=1, keepdims=True)
        evidence = uniform_filter1d(evidence, self._note_frames, axis=2)
        tiny = np.float32(SMALLEST_SHARE) * evidence.max() + _TINY
        busy = (at_the_time + tiny) ** np.float32(BUSY_EXPONENT)
        players = _adding_up(_adding_up(evidence + tiny) ** 2 / busy)
        weights = players**2 * evidence.sum(axis=0)
        placed = places(weights, levels)
        return _adding_up(players * place_odds(weights, levels, placed)), placed.astype(np.float32)


# Templates take a while to make, and streams mostly have one rate.
_block_sharer = functools.lru_cache(maxsize=2)(_BlockSharer)


def _loudness(placed: np.ndarray) -> np.ndarray:
    """By what places `[num_active, num_channels]` weigh the players in the channels, `[num_channels, num_active]`."""
    return np.exp(np.float32(LEVEL_EXPONENT) * placed.T)


def _resolved(shares: np.ndarray, by_note: np.ndarray) -> np.ndarray:
    """A channel's shares and what its notes say, both `[num_active, bands, stft_frames]`, as its new shares."""
    resolved = shares ** np.float32(SHARE_EXPONENT) * _adding_up(by_note) ** np.float32(NOTE_EXPONENT)
    return _adding_up(np.maximum(_adding_up(resolved), np.float32(SMALLEST_SHARE)))


def _notes(magnitudes: np.ndarray, templates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Templates that have adapted to `[bands, stft_frames]`, and their activations."""
    magnitudes = magnitudes + np.float32(SMALLEST_MAGNITUDE) * magnitudes.max()
    found = factorize(magnitudes, templates=templates, fixed_templates=True, num_iterations=NUM_ITERATIONS_FIXED)
    found = factorize(
        magnitudes, templates=found.templates, activations=found.activations, num_iterations=NUM_ITERATIONS
    )
    return found.templates, found.activations


def _adding_up(values: np.ndarray) -> np.ndarray:
    return values / values.sum(axis=0)
