"""One file from a trained run: architecture and weights, nothing of the optimizer, for either backend."""

import tempfile
import zipfile
from pathlib import Path

import numpy as np

from av_sep.errors import MediaError, ParameterError
from av_sep.media import replace_when_complete
from pipelines.staging import require_free

_WEIGHTS_MEMBER = "model.weights.h5"


def export(model: Path | str, output: Path | str, *, float16: bool = True, overwrite: bool = False) -> Path:
    """Writes a model as one `.keras` file.

    Args:
        model: folder of a run, whose best model is taken, or a `.keras` file.
        output: the file to write.
        float16: store weights as float16, half the size; they are float32 again when loaded. It costs at most 0.05 % of
            each weight.
        overwrite: replace an existing file.

    Returns:
        The file.

    Raises:
        ParameterError: for a name that does not end in .keras, an existing file, or a file that is no model.
        MediaError: where the model is missing or the file cannot be written.
    """
    source, target = Path(model), Path(output)
    source = source / "best.keras" if source.is_dir() else source
    if target.suffix != ".keras":
        raise ParameterError(f"Expected an output that ends in .keras. Received: {target}")
    if not source.is_file():
        raise MediaError(f"Expected a run's folder with best.keras, or a .keras file. Received: {model}")
    require_free(target, overwrite=overwrite)
    from audio.models import load_model

    # Whatever is written must be what `separate` can load.
    load_model(source)
    with replace_when_complete(target) as temporary, zipfile.ZipFile(source) as old:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as new:
            for member in old.namelist():
                content = old.read(member)
                new.writestr(member, _slimmed(content, float16) if member == _WEIGHTS_MEMBER else content)
    return target


def _slimmed(weights: bytes, float16: bool) -> bytes:
    """Weights of a `.keras` file without the optimizer's, as float16 if wanted."""
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        old_path, new_path = Path(folder) / "old.h5", Path(folder) / "new.h5"
        old_path.write_bytes(weights)
        with h5py.File(old_path) as old, h5py.File(new_path, "w") as new:
            for name in old:
                if name != "optimizer":
                    old.copy(name, new)
            for name, value in old.attrs.items():
                new.attrs[name] = value
            if float16:
                _halve(new)
        return new_path.read_bytes()


def _halve(file) -> None:
    """Replaces every float32 dataset by float16."""
    import h5py

    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    for name in names:
        values = file[name][()]
        if values.dtype == np.float32:
            attributes = dict(file[name].attrs)
            del file[name]
            file[name] = values.astype(np.float16)
            file[name].attrs.update(attributes)
