"""Settings changed on the command line."""

import pytest

from av_sep.errors import ParameterError
from pipelines.configs import RECIPES
from pipelines.overrides import override

CONFIG = RECIPES["conditioned_small"]()


def test_values_take_the_setting_s_type():
    changes = ["learning_rate=1e-4", "batch_size=16", "model.num_levels=8", "patience=3", "loss=mse", "warmup_steps=0"]
    changed = override(CONFIG, changes)
    assert (changed.learning_rate, changed.batch_size, changed.patience, changed.loss) == (1e-4, 16, 3, "mse")
    assert changed.model == {**CONFIG.model, "num_levels": 8} and CONFIG.model["num_levels"] == 10


def test_whole_numbers_may_stand_for_others():
    assert override(CONFIG, ["learning_rate=1"]).learning_rate == 1.0


def test_parts_of_a_setting_that_was_none():
    from dataclasses import replace

    changed = override(replace(CONFIG, augmentation=None), ["augmentation.max_tilt=0.1"])
    assert changed.augmentation == {"max_tilt": 0.1}
    assert override(changed, ["augmentation=null"]).augmentation is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("lerning_rate=1", "learning_rate"),
        ("recipe=x", "no such setting"),
        ("batch_size=many", "of type int"),
        ("batch_size=true", "of type int"),
        ("batch_size.x=1", "parts before the dot"),
        ("batch_size", "--set name=value"),
    ],
)
def test_what_cannot_be_is_said(change, words):
    with pytest.raises(ParameterError, match=words):
        override(CONFIG, [change])
