"""Following one player through the frames of a film.

Players of chamber music sit or stand still, so a box in the next sampled frame that overlaps the last one is the same
player; after a camera cut nothing overlaps and new tracks begin. Greedy matching is enough for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from av_sep.types import Detection
from vision.players import box_overlaps

MIN_OVERLAP = 0.3  # intersection over union of one player's boxes in neighbouring frames
MAX_GAP = 2  # frames in which a player may be missed before the track ends


@dataclass
class PlayerTrack:
    """One player's detections, ordered by time, and the positions of their frames."""

    detections: list[Detection] = field(default_factory=list)
    frame_indices: list[int] = field(default_factory=list)

    def label_confidences(self) -> np.ndarray:
        """Mean confidences over the track `[num_instruments]`, sure boxes counting more; in [0, 1]."""
        weights = np.array([max(detection.player_confidence, 1e-6) for detection in self.detections])
        return np.average([detection.label_confidences for detection in self.detections], axis=0, weights=weights)


def track_players(frames: Sequence[Sequence[Detection]]) -> list[PlayerTrack]:
    """Join the detections of one player in successive frames.

    Args:
        frames: for each sampled frame in order of time, the detections of its players; whole-frame ones are skipped.

    Returns:
        Tracks in order of their first frame; each player's detection is in exactly one.
    """
    tracks: list[PlayerTrack] = []
    for index, frame in enumerate(frames):
        players = [detection for detection in frame if not detection.whole_frame]
        alive = [track for track in tracks if index - track.frame_indices[-1] <= MAX_GAP + 1]
        matches = _match(alive, players)
        for position, player in enumerate(players):
            track = matches.get(position)
            if track is None:
                track = PlayerTrack()
                tracks.append(track)
            track.detections.append(player)
            track.frame_indices.append(index)
    return tracks


def _match(tracks: Sequence[PlayerTrack], players: Sequence[Detection]) -> dict[int, PlayerTrack]:
    """Position of a player -> its track: the pairs that overlap most first, each track and player once."""
    if not tracks or not players:
        return {}
    last_boxes = np.array([track.detections[-1].box_xyxy for track in tracks])
    overlaps = box_overlaps(last_boxes, np.array([player.box_xyxy for player in players]))
    matches: dict[int, PlayerTrack] = {}
    while overlaps.max() >= MIN_OVERLAP:
        track, player = np.unravel_index(int(overlaps.argmax()), overlaps.shape)
        matches[int(player)] = tracks[int(track)]
        overlaps[track, :] = -1.0
        overlaps[:, player] = -1.0
    return matches
