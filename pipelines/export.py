"""One file from a trained run: architecture and weights, nothing of the optimizer, for either backend."""

import tempfile
import zipfile
from pathlib import Path
from typing import Any

from audio.packaged import halved
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
            each weight above 6e-5, and at most 3e-8 of those below.
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
    from pipelines.joint.files import load_separation_model

    # Whatever is written must be what `separate` can load.
    load_separation_model(source)
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
            new.attrs.update(old.attrs)
            # Copied one by one into a new file: replacing them in place would leave their old room in it.
            old.visititems(lambda name, item: _copy(name, item, new, float16))
        return new_path.read_bytes()


def _copy(name: str, item: Any, target: Any, float16: bool) -> None:
    import h5py

    if name.split("/")[0] == "optimizer":
        return
    if isinstance(item, h5py.Group):
        copied = target.require_group(name)
    else:
        values = item[()]
        copied = target.create_dataset(name, data=halved(values) if float16 else values)
    copied.attrs.update(item.attrs)
