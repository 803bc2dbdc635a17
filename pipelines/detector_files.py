"""Which files a detector is made of, by its name: where one changes, what was seen with it must be looked at anew."""

from pathlib import Path

from vision.detector import HUB_PREFIX, LABELS_PREFIX, split_names


def detector_files(name: str) -> tuple[Path, ...]:
    """Files that a detector reads and that may change while their names stay, as far as they are known.

    Args:
        name: as `pipelines.joint.files.open_detector` takes it.

    Returns:
        Files of labels, whether they exist or not, joint models, and packed SavedModels; what a handle leads to is not
        known here, and what comes with the program changes with its version only.
    """
    if name.endswith(".keras"):
        return (Path(name),)
    parts = split_names(name)
    labels = [Path(part.removeprefix(LABELS_PREFIX).strip()) for part in parts if part.startswith(LABELS_PREFIX)]
    packed = [Path(part.removeprefix(HUB_PREFIX).strip()) for part in parts if part.startswith(HUB_PREFIX)]
    return (*labels, *(path for path in packed if path.is_file()))
