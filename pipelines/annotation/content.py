"""What there is to say about one video once it was looked at, before it is written in any format."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from av_sep.instruments import Taxonomy
from av_sep.types import Detection, MediaInfo, SeenPlayer
from pipelines.look import Sighting
from vision.players import box_overlaps
from vision.tracking import PlayerTrack, track_players

# Sum of the overlap of places and the likeness of looks, each in [0, 1], from which a track is taken for a player's.
MIN_BELONGING = 0.5


@dataclass(frozen=True, eq=False)
class Annotation:
    """One video's labels.

    Attributes:
        info: what the video's headers say.
        location: path or URL that the files name as their input.
        sighting: what was seen.
        taxonomy: the instruments that confidences are ordered by.
        detector: name of the detector.
        made: how the files came about, as `pipelines.annotation.provenance.describe_making` says it.
        detections: those that are sure enough to be written, by time.
        player_numbers: for each of them the number of the player whose box it is, or None.
        frames_per_second: of the frames taken.
    """

    info: MediaInfo
    location: str
    sighting: Sighting
    taxonomy: Taxonomy
    detector: str
    made: Mapping[str, Any]
    detections: tuple[Detection, ...]
    player_numbers: tuple[int | None, ...]
    frames_per_second: float

    @property
    def labelled_detections(self) -> Iterator[tuple[Detection, int | None]]:
        """Each detection with its player's number."""
        return zip(self.detections, self.player_numbers)


def find_player_numbers(detections: Sequence[Detection], players: Sequence[SeenPlayer]) -> tuple[int | None, ...]:
    """Whose box each detection is.

    Tracks (`vision.tracking.track_players`), long ones first, go to the player who is seen nowhere else in their frames
    and whose place and look are most like theirs. A passer-by's boxes, and whole frames, are nobody's.

    Args:
        detections: of one film, by time.
        players: of that film.

    Returns:
        A player's number or None for each detection.
    """
    frames: dict[float, list[Detection]] = {}
    for detection in detections:
        frames.setdefault(detection.time_seconds, []).append(detection)
    tracks = track_players(list(frames.values()))
    placed = [player for player in players if not player.whole_frame]
    taken: dict[int, set[int]] = {player.number: set() for player in placed}
    owner: dict[int, int] = {}
    for track in sorted(tracks, key=lambda track: -len(track.frame_indices)):
        free = [player for player in placed if taken[player.number].isdisjoint(track.frame_indices)]
        belonging, number = max(((_belonging(track, player), player.number) for player in free), default=(0.0, 0))
        if belonging >= MIN_BELONGING:
            taken[number].update(track.frame_indices)
            owner.update({id(detection): number for detection in track.detections})
    return tuple(owner.get(id(detection)) for detection in detections)


def _belonging(track: PlayerTrack, player: SeenPlayer) -> float:
    """Overlap of the places plus cosine between the looks of a track and a player, in [0, 2]."""
    overlap = box_overlaps(track.median_box()[None], np.array([player.box_xyxy]))[0, 0]
    look, other_look = track.label_confidences(), np.array(player.label_confidences)
    lengths = np.linalg.norm(look) * np.linalg.norm(other_look)
    return float(overlap + (look @ other_look / lengths if lengths > 0 else 0.0))
