"""Where players sit: a note is likelier the player's who has the same levels in the channels as it has.

With E_ctk what is heard of note c at the instant t in channel k, and P_jct how likely source j plays it, levels and the
place of j are

    l_ctk = log E_ctk - mean_k log E_ctk,    p_jk = mean of l_ctk, weighed by w_jct = P_jct**2 sum_k E_ctk

and the odds that j plays the note are multiplied by

    exp(-TRUST sum_k (l_ctk - p_jk)**2 / (2 v)),    v being the weighted mean of these sums + SAME_LEVEL**2.

Rooms give every pitch a level of its own, so few notes can put two players apart who sit together. Places are drawn to
their mean by what of their differences is chance (empirical Bayes): with s**2 the scatter of the notes' own mean levels
around their players' places, n_j how many notes j has, and t**2 = max(0, variance of the places - mean of s**2 / n_j)

    p_jk <- mean_i p_ik + t**2 / (t**2 + s**2 / n_j) (p_jk - mean_i p_ik)

References:
    A. Ozerov, C. Fevotte, "Multichannel nonnegative matrix factorization in convolutive mixtures for audio source
    separation", IEEE TASLP 18(3), 2010 (levels in the channels beside the spectra of notes).
    W. James, C. Stein, "Estimation with quadratic loss", 4th Berkeley Symposium, 1961; B. Efron, C. Morris, "Data
    analysis using Stein's estimator and its generalizations", JASA 70(350), 1975 (the shrinking).
"""

import numpy as np

TRUST = 1.5
# Levels nearer to each other than this, in nepers (one is 8.7 dB), are the same.
SAME_LEVEL = 0.1
# Neighbouring templates hear the same note.
TEMPLATES_PER_NOTE = 4
# What of a note is fainter in a channel than this part of its mean over channels is not heard there.
FAINTEST = 1e-2
_TINY = np.finfo(np.float32).tiny


def levels_in_channels(heard: np.ndarray) -> np.ndarray:
    """Levels in nepers, around their mean over channels.

    Args:
        heard: what is heard of every note, `[num_channels, num_notes, num_frames]`, not negative.
    """
    levels = np.log(heard + np.float32(FAINTEST) * heard.mean(axis=0) + _TINY)
    return levels - levels.mean(axis=0)


def places(weights: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Level of every player in every channel, `[num_sources, num_channels]`, drawn to their mean; see the module.

    Args:
        weights: how much each moment of a note says of each source, `[num_sources, num_notes, num_frames]`.
        levels: as `levels_in_channels` gives them, `[num_channels, num_notes, num_frames]`.
    """
    of_notes = weights.sum(axis=2)
    total = of_notes.sum(axis=1) + _TINY
    sums = np.einsum("jct,kct->jkc", weights, levels)
    raw = sums.sum(axis=2) / total[:, None]
    own = sums / (of_notes[:, None] + _TINY)
    scatter = np.sum(of_notes[:, None] * (own - raw[..., None]) ** 2) / total.sum()
    # As many notes of equal weight would say as much (L. Kish, "Survey sampling", 1965).
    num_notes = total**2 / (np.sum(of_notes**2, axis=1) + _TINY) / TEMPLATES_PER_NOTE
    chance = scatter / np.maximum(num_notes, 1)
    middle = raw.mean(axis=0)
    apart = max(np.sum((raw - middle) ** 2) / (len(raw) - 1) - chance.mean(), 0.0)
    return middle + (apart / (apart + chance + _TINY))[:, None] * (raw - middle)


def place_odds(weights: np.ndarray, levels: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """By what places multiply the odds of every source, at most 1, `[num_sources, num_notes, num_frames]`.

    Args:
        weights: see `places`.
        levels: likewise.
        placed: what `places` says.
    """
    misfit = np.stack([np.sum((levels - own[:, None, None]) ** 2, axis=0) for own in placed])
    variance = np.sum(weights * misfit) / (weights.sum() + _TINY) + SAME_LEVEL**2
    return np.exp(np.float32(-TRUST / (2 * variance)) * (misfit - misfit.min(axis=0)))
