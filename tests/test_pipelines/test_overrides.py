"""Settings changed on the command line."""

import pytest

from av_sep.datasets.mixing import MixingConfig
from av_sep.errors import ParameterError
from pipelines.configs import RECIPES
from pipelines.overrides import from_options, override

CONFIG = RECIPES["conditioned_small"]()


def test_values_take_the_setting_s_type():
    changes = ["learning_rate=1e-4", "batch_size=16", "model.num_levels=8", "patience=3", "loss=mse", "warmup_steps=0"]
    changed = override(CONFIG, changes)
    assert (changed.learning_rate, changed.batch_size, changed.patience, changed.loss) == (1e-4, 16, 3, "mse")
    assert changed.model == {**CONFIG.model, "num_levels": 8} and CONFIG.model["num_levels"] == 10


def test_whole_numbers_may_stand_for_others():
    changed = override(CONFIG, ["learning_rate=1", "ema_momentum=0", "picture_size=[192, 352]"])
    assert [repr(value) for value in (changed.learning_rate, changed.ema_momentum)] == ["1.0", "0.0"]
    assert changed.picture_size == (192, 352)


def test_none_where_it_is_declared():
    names = ["global_clipnorm", "ema_momentum", "patience", "augmentation", "picture_size"]
    changed = override(CONFIG, [f"{name}=null" for name in names])
    assert [getattr(changed, name) for name in names] == [None] * 5


def test_parts_of_a_setting_that_was_none():
    from dataclasses import replace

    changed = override(replace(CONFIG, augmentation=None), ["augmentation.max_tilt=0.1"])
    assert changed.augmentation == {"max_tilt": 0.1}
    assert override(changed, ["augmentation=null"]).augmentation is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("lerning_rate=1", "learning_rate"),
        ("recipe=x", "the command's argument: av-sep train RECIPE. Received: 'recipe'"),
        ("batch_size=many", "of type int"),
        ("batch_size=true", "of type int"),
        ("batch_size.x=1", "parts before the dot"),
        ("batch_size", "--set name=value"),
        ("patience=abc", "patience of type int or null. Received: 'abc'"),
        ("learning_rate=null", "learning_rate of type float. Received: None"),
        ("model=null", "model of type dict. Received: None"),
        ("picture_size=192", "picture_size of type tuple or null. Received: 192"),
        ("picture_size=[1, 2, 3]", "picture_size of 2 values"),
        ("picture_size=[1, 2.5]", "picture_size of type int. Received: 2.5"),
        ("picture_size.height=1", "parts before the dot"),
    ],
)
def test_what_cannot_be_is_said(change, words):
    with pytest.raises(ParameterError, match=words):
        override(CONFIG, [change])


def test_parts_become_the_dataclass_that_they_are_of():
    options = {"mixture_level_db": [-30, -20.5], "tilt": 0, "detuning_semitones": None}
    expected = MixingConfig(512, mixture_level_db=(-30.0, -20.5), tilt=0.0, detuning_semitones=None)
    assert from_options("mixing", MixingConfig, options, num_samples=512) == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"level_spread": 3}, "Did you mean 'level_spread_db'. Received: 'mixing.level_spread'"),
        ({"num_samples": 3}, "There is no such setting. Received: 'mixing.num_samples'"),
        ({"tilt": "steep"}, "mixing.tilt of type float. Received: 'steep'"),
        ({"mixture_level_db": [-30]}, "mixing.mixture_level_db of 2 values"),
    ],
)
def test_parts_that_cannot_be(options, words):
    with pytest.raises(ParameterError, match=words):
        from_options("mixing", MixingConfig, options, num_samples=512)
