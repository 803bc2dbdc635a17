"""Recipes: small functions that return a `TrainConfig`; each docstring states command, cost and expected score."""

import difflib
from collections.abc import Callable

from av_sep.errors import ParameterError
from pipelines.config import TrainConfig
from pipelines.configs.ablation import (
    conditioned_sse,
    expanded_mse,
    expanded_mse_decay,
    expanded_mse_fast,
    expanded_sse_bfloat16,
)
from pipelines.configs.conditioned import conditioned
from pipelines.configs.conditioned_small import conditioned_small
from pipelines.configs.joint_small import joint_small
from pipelines.configs.log_frequency import log_frequency
from pipelines.configs.plain_musdb4 import plain_musdb4
from pipelines.configs.spectrogram_conditioned import spectrogram_conditioned
from pipelines.configs.wave_unet_small import wave_unet_conditioned, wave_unet_duet, wave_unet_expanded

RECIPES: dict[str, Callable[[], TrainConfig]] = {
    recipe.__name__: recipe
    for recipe in (
        log_frequency,
        conditioned_small,
        conditioned,
        wave_unet_conditioned,
        wave_unet_expanded,
        wave_unet_duet,
        spectrogram_conditioned,
        expanded_mse,
        expanded_mse_decay,
        expanded_mse_fast,
        expanded_sse_bfloat16,
        conditioned_sse,
        plain_musdb4,
        joint_small,
    )
}


def find_recipe(name: str) -> Callable[[], TrainConfig]:
    """A recipe by name.

    Raises:
        ParameterError: for an unknown name, with the nearest known one as a suggestion.
    """
    if name in RECIPES:
        return RECIPES[name]
    nearest = difflib.get_close_matches(name, RECIPES, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise ParameterError(f"Expected a recipe among {', '.join(RECIPES)}.{hint} Received: {name!r}")
