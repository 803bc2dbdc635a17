"""CSV, COCO and JAMS, made of what the JSON file says: where a person corrects it, they are made anew, and nobody looks
again.
"""

import filecmp
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from av_sep.instruments import find_taxonomy
from av_sep.media import replace_when_complete
from av_sep.types import MediaInfo
from pipelines.annotation.content import Annotation
from pipelines.annotation.formats import COMPANIONS, WRITERS
from pipelines.annotation.reading import labels_of_file, spelled_out
from pipelines.look import Sighting


def annotation_of_file(content: Mapping[str, Any], json_path: Path, video_path: Path) -> Annotation:
    """What a JSON file says, for the other files.

    Args:
        content: of the file.
        json_path: the file, for errors.
        video_path: the video, whose name the other files hold.

    Raises:
        ParameterError: as `pipelines.annotation.reading.spelled_out` and `labels_of_file`.
    """
    content = spelled_out(content, json_path)
    earlier, size = labels_of_file(content, json_path), content["picture_size"]
    # A person may have drawn a box where nobody had looked.
    times = {*content["judged_times_seconds"], *(found.time_seconds for found in earlier.detections)}
    sighting = Sighting(
        labels=earlier.labels,
        detections=earlier.detections,
        shown=(),
        num_video_frames=content["num_video_frames"],
        size=(size["width"], size["height"]),
        players=earlier.players,
        judged_times_seconds=tuple(sorted(times)),
    )
    return Annotation(
        info=MediaInfo(video_path, content["duration_seconds"]),
        location=content["input"],
        sighting=sighting,
        taxonomy=find_taxonomy(earlier.labels.taxonomy),
        detector=content["settings"]["detector"],
        made={},
        detections=earlier.detections,
        player_numbers=tuple(found.get("player") for found in content["detections"]),
        frames_per_second=content["settings"]["frames_per_second"],
    )


def bring_up_to_date(files: Mapping[str, Path], annotation: Annotation) -> tuple[str, ...]:
    """Writes those of the other files anew that are missing or do not say what the JSON file says.

    Args:
        files: kind -> place, of all files that are wanted.
        annotation: what the JSON file says.

    Returns:
        Kinds that were written.

    Raises:
        MediaError: for a file that cannot be written.
    """
    remade = []
    with tempfile.TemporaryDirectory() as temporary:
        for kind in (kind for kind in files if kind in COMPANIONS):
            wanted = Path(temporary) / kind
            WRITERS[kind](wanted, annotation)
            if not files[kind].exists() or not filecmp.cmp(wanted, files[kind], shallow=False):
                with replace_when_complete(files[kind]) as place:
                    shutil.copyfile(wanted, place)
                remade.append(kind)
    return tuple(remade)
