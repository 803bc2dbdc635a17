"""Recipes: small functions that return a `TrainConfig`; each docstring states command, cost and expected score."""

from pipelines.configs.conditioned_small import conditioned_small

RECIPES = {recipe.__name__: recipe for recipe in (conditioned_small,)}
