"""Every Keras class of the audio stage: its config is its constructor, and a `.keras` file brings it back.

A class that is registered but missing from `CASES` fails `test_every_registered_class_is_listed`.
"""

import importlib
import inspect
import pkgutil

import keras
import numpy as np
import pytest

import audio
from audio.activity_detector.layers import MomentContext
from audio.activity_detector.network import ActivityDetector
from audio.conditioning import Conditioning
from audio.consistency import LabelGate, MixtureConsistency
from audio.layers import AppendDifference, CenterCropLike, Decimate, StackSources, Upsample
from audio.listening.layers import LogMelSpectrogram
from audio.log_frequency_layers import (
    BandBias,
    BandMaskedWaveforms,
    HarmonicStack,
    LogFrequencySpectrogram,
    SlotMasks,
)
from audio.log_frequency_network import LogFrequencyNetwork
from audio.losses import MultiResolutionSTFT, NegativeSISDR, NegativeSNR, WaveformL1, WaveformMSE, WaveformSSE
from audio.slots import ActiveSlots, FromSlots, ToSlots
from audio.spectrogram_layers import MagnitudeSpectrogram, MaskedWaveforms, SigmoidMasks, SoftmaxMasks, Spectrum
from audio.spectrogram_unet import SpectrogramUNet
from audio.tagger.layers import AttentionPooling
from audio.tagger.network import InstrumentTagger
from audio.wave_unet import WaveUNet
from audio.wiener_filter import WienerFilter

# Keras saves TensorFlow's variables by an `np.array` that NumPy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
FEATURES, LABELS, ESTIMATES, MIXTURE = (None, 6), (3,), (3, None, 2), (None, 2)
WAVEFORM = (None,)
LOG_MEL = {"sample_rate_hz": 2000, "frame_length": 8, "hop_length": 2, "num_mels": 2, "low_hz": 10.0}
SPECTRUM, LOGITS, MASKS = (None, 5, 2, 2), (None, 4, 6), (None, 4, 3, 2)
BANDS = {"sample_rate_hz": 2000, "num_bands": 4, "bands_per_octave": 2, "lowest_hz": 200.0}
PICTURE, BAND_LOGITS, BAND_MASKS, SLOTS, OF_SLOTS = (None, 4, 1), (None, 4, 3), (None, 4, 2), (2, 3), (2, None, 2)
TINY = {
    "source_names": ("violin", "flute", "tuba"),
    "sample_rate_hz": 8000,
    "num_channels": 2,
    "num_levels": 2,
    "num_filters": 3,
    "down_kernel_size": 5,
    "up_kernel_size": 3,
    "output_kernel_size": 3,
    "context": False,
    "upsampling": "learned",
    "output": "direct",
    "output_activation": "linear",
    "conditioning": "film",
    "conditioning_site": "output",
    "gate": True,
    "mixture_consistency": True,
    "wiener_frame_length": 16,
    "num_slots": 2,
}
TINY_SPECTROGRAM = {
    "source_names": ("violin", "flute", "tuba"),
    "sample_rate_hz": 8000,
    "num_channels": 2,
    "frame_length": 32,
    "hop_length": 8,
    "compression": "power",
    "num_levels": 3,
    "num_time_levels": 2,
    "num_filters": 3,
    "kernel_size": 3,
    "normalization": "batch",
    "dropout": 0.25,
    "bottleneck": "gru",
    "recurrent_units": 4,
    "recurrent_filters": 5,
    "masks": "softmax",
    "conditioning": "film",
    "conditioning_site": "output",
    "gate": True,
    "mixture_consistency": True,
}
TINY_LOG_FREQUENCY = {
    "source_names": ("violin", "flute", "tuba"),
    "sample_rate_hz": 8000,
    "num_channels": 2,
    "frame_length": 32,
    "hop_length": 8,
    "bands_per_octave": 5,
    "num_bands": 12,
    "lowest_hz": 500.0,
    "num_fine_filters": 2,
    "num_filters": 3,
    "num_blocks": 2,
    "memory_units": 4,
    "conditioning": "additive",
    "num_slots": 2,
}
TINY_LISTENER = {
    "instruments": ("violin", "flute", "tuba"),
    "sample_rate_hz": 8000,
    "window_samples": 2048,
    "frame_length": 256,
    "hop_length": 128,
    "num_mels": 24,
    "filters": (3, 5),
    "dense_units": 7,
    "dropout": 0.1,
}
# Class, arguments that all differ from the defaults, shapes of the inputs without the batch axis.
LAYERS = [
    (Decimate, {}, (FEATURES,)),
    (Upsample, {"method": "learned", "context": False}, (FEATURES,)),
    (CenterCropLike, {}, (FEATURES, MIXTURE)),
    (Conditioning, {"mechanism": "film"}, (FEATURES, LABELS)),
    (LabelGate, {}, (ESTIMATES, LABELS)),
    (MixtureConsistency, {}, (ESTIMATES, MIXTURE, LABELS)),
    (StackSources, {"num_sources": 3}, (FEATURES,)),
    (AppendDifference, {}, (ESTIMATES, MIXTURE)),
    (WienerFilter, {"frame_length": 8}, (ESTIMATES, MIXTURE)),
    (Spectrum, {"frame_length": 8, "hop_length": 2}, (MIXTURE,)),
    (MagnitudeSpectrogram, {"compression": "power", "frame_multiple": 4}, (SPECTRUM,)),
    (SigmoidMasks, {"num_sources": 3}, (LOGITS,)),
    (SoftmaxMasks, {"num_sources": 3}, (LOGITS, LABELS)),
    (MaskedWaveforms, {"frame_length": 8, "hop_length": 2}, (MASKS, SPECTRUM, MIXTURE)),
    (LogFrequencySpectrogram, BANDS, (SPECTRUM,)),
    (BandMaskedWaveforms, {"frame_length": 8, "hop_length": 2, **BANDS}, (BAND_MASKS, SPECTRUM, MIXTURE)),
    (HarmonicStack, {"offsets": (-1, 0, 2)}, (PICTURE,)),
    (BandBias, {}, (BAND_LOGITS,)),
    (ActiveSlots, {"num_slots": 2}, (LABELS,)),
    (SlotMasks, {}, (BAND_LOGITS, SLOTS)),
    (ToSlots, {}, (ESTIMATES, SLOTS)),
    (FromSlots, {}, (OF_SLOTS, SLOTS)),
    (AttentionPooling, {"units": 3}, (FEATURES,)),
    (LogMelSpectrogram, LOG_MEL, (WAVEFORM,)),
    (MomentContext, {"dilation": 3}, (FEATURES, LABELS)),
]
NAMED = {"name": "loss", "reduction": "sum"}
LOSSES = [
    (WaveformMSE, NAMED),
    (WaveformSSE, NAMED),
    (WaveformL1, NAMED),
    (NegativeSNR, {"floor_db": -17.5, **NAMED}),
    (NegativeSISDR, {"floor_db": -17.5, **NAMED}),
    (MultiResolutionSTFT, {"floor_db": -17.5, "resolutions": [[64, 40, 8]], **NAMED}),
]
NETWORKS = [(WaveUNet, TINY), (SpectrogramUNet, TINY_SPECTROGRAM), (LogFrequencyNetwork, TINY_LOG_FREQUENCY)]
OTHERS = [*NETWORKS, *LOSSES, (InstrumentTagger, TINY_LISTENER), (ActivityDetector, TINY_LISTENER)]
CASES = [(cls, arguments) for cls, arguments, _ in LAYERS] + OTHERS
LISTED = pytest.mark.parametrize(("cls", "arguments"), CASES, ids=[cls.__name__ for cls, _ in CASES])


def registered_classes():
    for module in pkgutil.walk_packages(audio.__path__, "audio."):
        importlib.import_module(module.name)
    registered = keras.saving.get_custom_objects().values()
    return {cls for cls in registered if cls.__module__.split(".")[0] == "audio"}


def own_parameters(cls):
    """Names that the class's own constructor takes, and those of ours that its `**kwargs` go to."""
    names = set()
    for base in cls.__mro__:
        if base.__module__.split(".")[0] != "audio" or "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base).parameters.values()
        names |= {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return names


def input_array(rng, shape, time):
    if shape == SLOTS:
        return np.eye(3, dtype=np.float32)[np.array([[2, 0], [1, 2]])]
    drawn = rng.normal(size=(2, *(time if n is None else n for n in shape)))
    return np.clip(np.round(drawn, 2), 0, 1).astype(np.float32) if shape == LABELS else drawn.astype(np.float32)


def test_every_registered_class_is_listed():
    assert registered_classes() == {cls for cls, _ in CASES}


@LISTED
def test_class_is_registered_under_the_project(cls, arguments):
    assert keras.saving.get_registered_name(cls) == f"av_sep>{cls.__name__}"


@LISTED
def test_sample_arguments_name_every_parameter_with_a_value_of_its_own(cls, arguments):
    assert own_parameters(cls) - {"name"} == set(arguments) - {"name", "reduction"}
    defaults = {name: p.default for name, p in inspect.signature(cls.__init__).parameters.items()}
    assert all(value != defaults.get(name) for name, value in arguments.items() if name != "output")


@LISTED
def test_config_keys_are_the_constructor_s(cls, arguments):
    base = {"name"}
    if issubclass(cls, keras.layers.Layer) and not issubclass(cls, keras.Model):
        base = set(keras.layers.Layer().get_config())
    if issubclass(cls, keras.losses.Loss):
        base = set(keras.losses.Loss().get_config())
    assert set(cls(**arguments).get_config()) - base == own_parameters(cls) - base


@LISTED
def test_config_round_trip_keeps_every_argument(cls, arguments):
    first = cls(**arguments)
    second = cls.from_config(first.get_config())
    assert second.get_config() == first.get_config()
    for name, value in arguments.items():
        stored = second.get_config()[name]
        assert stored == (list(value) if isinstance(value, tuple) else value), name


@pytest.mark.parametrize(("cls", "arguments", "shapes"), LAYERS, ids=[cls.__name__ for cls, *_ in LAYERS])
def test_layer_survives_a_keras_file(cls, arguments, shapes, rng, tmp_path):
    inputs = [keras.Input(shape) for shape in shapes]
    model = keras.Model(inputs, cls(**arguments)(*inputs))
    model.set_weights([rng.normal(size=w.shape).astype(np.float32) for w in model.get_weights()])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    times = (9, 5) if cls is CenterCropLike else (9, 9, 9)
    arrays = [input_array(rng, shape, time) for shape, time in zip(shapes, times)]
    expected = model.predict_on_batch(arrays)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_array_equal(loaded.predict_on_batch(arrays), expected)
    assert any(type(layer) is cls for layer in loaded.layers)


@pytest.mark.parametrize(("cls", "arguments"), NETWORKS, ids=[cls.__name__ for cls, _ in NETWORKS])
def test_network_and_loss_survive_a_keras_file(cls, arguments, rng, tmp_path):
    model = cls(**arguments)
    # Stored variances are positive; the rest may be as well.
    model.set_weights([np.abs(0.3 * rng.normal(size=w.shape)).astype(np.float32) for w in model.get_weights()])
    model.compile(optimizer="sgd", loss=NegativeSNR(floor_db=-17.5))
    inputs = {"mixture": rng.normal(size=(2, 64, 2)), "label_vector": np.array([[1, 0, 0.5], [0, 1, 1]])}
    sources = rng.normal(size=(2, 3, 64, 2)).astype(np.float32)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is cls and loaded.options == model.options
    assert isinstance(loaded.loss, NegativeSNR) and loaded.loss.floor_db == -17.5
    expected = model.predict_on_batch(inputs)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_array_equal(loaded.predict_on_batch(inputs), expected)
    assert loaded.test_on_batch(inputs, sources) == pytest.approx(model.test_on_batch(inputs, sources))
