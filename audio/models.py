"""The models that can be asked for by name or file, and the one-file form in which they are kept.

Packaged models live in `audio/weights/<name>/`: `config.json` (class, constructor arguments, what it was trained on),
`weights.npz` (float16 arrays in the order of `get_weights()`, the NMF templates or, in float32, the Wiener spectra)
and `README.md` (model card). A pool of models names other packaged ones and has no arrays of its own. Where the config
has `shares_notes`, separators share the model's estimates out anew by notes. A `.keras` file of a registered network is
taken as it is.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from audio.baselines.built_in import BUILT_IN
from audio.baselines.oracle import ORACLES
from audio.baselines.supervised_nmf import SupervisedNMF
from audio.baselines.wiener import StaticWiener
from audio.keras_file import load_keras
from audio.packaged import CONFIG, WEIGHTS, read_arrays, read_config, write_packaged
from audio.pooled_model import PooledModel
from audio.separation_model import NetworkModel, SeparationModel, WholeMixtureModel
from audio.separator import DEFAULT_CHUNK_SAMPLES, Separator, StreamSeparator
from audio.whole_mixture_separator import WholeMixtureSeparator
from av_sep.errors import MediaError, ParameterError

WEIGHTS_DIR = Path(__file__).parent / "weights"
DEFAULT_MODEL = "log_frequency_wave_unet"
ALIASES = {"default": DEFAULT_MODEL}


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be asked for by name: its name and one line about it."""

    name: str
    description: str


def packaged_models() -> tuple[ModelEntry, ...]:
    """The models that come with weights in the package, sorted by name."""
    configs = {name: read_config(WEIGHTS_DIR / name) for name in _packaged_names()}
    return tuple(ModelEntry(name, config["description"]) for name, config in configs.items())


def _packaged_names() -> list[str]:
    return sorted(path.parent.name for path in WEIGHTS_DIR.glob(f"*/{CONFIG}"))


def available_models() -> tuple[ModelEntry, ...]:
    """All models that can be asked for by name: the packaged ones, then the classics that need no weights."""
    built_in = (ModelEntry(name, method.description) for name, method in BUILT_IN.items())
    return (*packaged_models(), *built_in)


def resolve_name(name_or_path: str | Path) -> str:
    """What a name stands for today: "default" becomes the packaged model's own name, the rest stays."""
    return ALIASES.get(str(name_or_path), str(name_or_path))


def weights_files(name: str) -> tuple[Path, ...]:
    """The files that a model's numbers come from, options and weights; of a built-in one, those that it names by."""
    if name in BUILT_IN:
        return weights_files("wiener")
    if name not in _packaged_names():
        return ()
    directory = WEIGHTS_DIR / name
    config = read_config(directory)
    parts = config["options"]["models"] if config["class"] == "PooledModel" else ()
    own = [directory / CONFIG] if parts else [directory / CONFIG, directory / WEIGHTS]
    return (*own, *(path for part in parts for path in weights_files(part)))


def load_model(name_or_path: str | Path = DEFAULT_MODEL) -> SeparationModel | WholeMixtureModel:
    """Loads a separation model.

    Args:
        name_or_path: one of `available_models` or `ALIASES`, or path of a `.keras` file.

    Raises:
        ParameterError: if it is neither, an oracle, or the file is not a model of this project.
        MediaError: if the file does not exist.
    """
    require_model(name_or_path)
    name = resolve_name(name_or_path)
    if name in BUILT_IN:
        return BUILT_IN[name].make(cast(StaticWiener, _load_packaged(WEIGHTS_DIR / "wiener")))
    if name in _packaged_names():
        return _load_packaged(WEIGHTS_DIR / name)
    return _load_file(Path(name_or_path))


def require_model(name_or_path: str | Path) -> None:
    """Raises what `load_model` would, as far as that can be told without loading a network."""
    name = resolve_name(name_or_path)
    if name in ORACLES:
        raise ParameterError(f"The oracle {name} must be told the stems, which only an evaluation can")
    names = {*_packaged_names(), *BUILT_IN}
    if name in names:
        return
    path = Path(name_or_path)
    if path.suffix != ".keras" and not path.exists():
        known = ", ".join(sorted({*ALIASES, *names}))
        raise ParameterError(f"Expected a model's name ({known}) or a .keras file. Received: {str(name_or_path)!r}")
    if not path.is_file():
        raise MediaError(f"Expected a .keras file. Received: {path}, which does not exist")
    if not zipfile.is_zipfile(path):
        raise ParameterError(f"Expected a .keras model saved by this program. Received: {path}, which is none")


def source_names(name_or_path: str | Path) -> tuple[str, ...]:
    """Names of a model's sources in order, from its config: no network is loaded.

    Args:
        name_or_path: as `load_model` takes it, or path of the `.keras` file of another model with sources.

    Raises:
        ParameterError: for a file that names no sources.
    """
    name = resolve_name(name_or_path)
    if name in BUILT_IN or name in _packaged_names():
        # The built-in ones name what they find by the Wiener filters' spectra.
        options = read_config(WEIGHTS_DIR / ("wiener" if name in BUILT_IN else name))["options"]
        return source_names(options["models"][0]) if "models" in options else tuple(options["source_names"])
    try:
        with zipfile.ZipFile(name_or_path) as archive:
            return tuple(json.loads(archive.read(CONFIG))["config"]["source_names"])
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise ParameterError(
            f"Expected a .keras model saved by this program. Received: {name_or_path}, which names no sources"
        ) from error


def make_separator(
    model: SeparationModel | WholeMixtureModel,
    *,
    mixture_consistency: bool = True,
    chunk_samples: int | None = None,
    share_notes: bool | None = None,
) -> StreamSeparator:
    """The separator that a model needs: chunk by chunk where it can, else of the whole mixture at once.

    Args:
        model: what separates.
        mixture_consistency: see `StreamSeparator`.
        chunk_samples: see `Separator`; None for the usual length, or twice the context that the model asks for around a
            chunk if that is more, so that context is a third of the work at most.
        share_notes: see `Separator`; models of whole mixtures never do.
    """
    if isinstance(model, SeparationModel):
        if chunk_samples is None:
            chunk_samples = _usual_chunk_samples(model)
        return Separator(
            model, mixture_consistency=mixture_consistency, chunk_samples=chunk_samples, share_notes=share_notes
        )
    return WholeMixtureSeparator(model, mixture_consistency=mixture_consistency)


def _usual_chunk_samples(model: SeparationModel) -> int:
    plan = model.chunk_plan(DEFAULT_CHUNK_SAMPLES)
    return max(DEFAULT_CHUNK_SAMPLES, 2 * (plan.num_input_samples - plan.hop_samples))


def save_packaged(network, directory: Path, *, description: str, training: dict, shares_notes: bool = False) -> None:
    """Writes a network in the packaged form, weights as float16.

    Args:
        network: one of `audio.networks.NETWORKS`.
        directory: folder to make.
        description: one line for listings.
        training: what it was trained on, for how long.
        shares_notes: whether separators share its estimates out anew by notes.
    """
    options = {**network.options, "source_names": list(network.source_names)}
    config = {
        "class": type(network).__name__,
        "description": description,
        "shares_notes": shares_notes,
        "options": options,
        "training": training,
    }
    write_packaged(directory, config, network.get_weights())


def _load_packaged(directory: Path) -> SeparationModel:
    config = read_config(directory)
    shares_notes = config.get("shares_notes", False)
    if config["class"] == "PooledModel":
        options = config["options"]
        models = [cast(NetworkModel, load_model(name)) for name in options["models"]]
        return PooledModel(models, options["weights"], options["exponents"], shares_notes=shares_notes)
    arrays = read_arrays(directory)
    if config["class"] == "StaticWiener":
        return StaticWiener(power_spectra=arrays[0], **config["options"])
    if config["class"] == "SupervisedNMF":
        return SupervisedNMF(templates=arrays[0], **config["options"])
    from audio.networks import build_network

    network = build_network(config["class"], config["options"])
    network.set_weights(arrays)
    return NetworkModel(network, shares_notes=shares_notes)


def _load_file(path: Path) -> SeparationModel:
    from audio.networks import NETWORKS

    network = load_keras(path)
    if not isinstance(network, tuple(NETWORKS.values())):
        raise ParameterError(f"Expected a separation network. Received: {path}, a {type(network).__name__}")
    return NetworkModel(network)
