"""Following players through a film: from frame to frame, and over gaps and camera cuts.

Conventions:
    frames are the sampled ones, numbered from 0; boxes are x1, y1, x2, y2 in pixels; a look is a player's confidences
    `[num_instruments]` in [0, 1].

Two steps. `track_players` joins boxes of neighbouring frames: chamber musicians sit or stand still, so a box that
overlaps the last one, or the place where a walking player is expected, is the same player; where several fit, the
assignment with the highest sum of overlap and likeness of look is taken. After a cut nothing overlaps and new tracks
begin. `seat_tracks` then hands the tracks to the players of the film, of whom there are no more than are seen at once:
a player can only be where he is not seen elsewhere at that instant, and goes to who is most alike in place and look.

Not attempted: knowing a face again. Of two players of one instrument, shown one after the other in close-ups, the
second is taken for the first unless both are seen at once somewhere; a camera on the other side of the stage may swap
them; and a cut from one player to another in exactly his place is not noticed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from av_sep.types import Detection
from vision.players import box_overlaps

MIN_OVERLAP = 0.3  # intersection over union of boxes of one player who looks the same
MAX_GAP = 2  # frames in which a player may be missed before the track ends
LOOK_WEIGHT = 0.3  # of the likeness of looks beside the overlap; who looks like another must overlap by that much more
FAINT = 0.05  # product of the lengths of two looks, below which they hardly tell two players apart


@dataclass
class PlayerTrack:
    """One player's detections, ordered by time, and the positions of their frames."""

    detections: list[Detection] = field(default_factory=list)
    frame_indices: list[int] = field(default_factory=list)
    weight: float = 0.0
    _weighted_look: np.ndarray | float = field(default=0.0, repr=False, compare=False)

    def add(self, index: int, detection: Detection) -> None:
        """Append what was seen of him in a frame."""
        weight = max(detection.player_confidence, 1e-6)
        self.detections.append(detection)
        self.frame_indices.append(index)
        self.weight += weight
        self._weighted_look = self._weighted_look + weight * np.array(detection.label_confidences)

    def label_confidences(self) -> np.ndarray:
        """Mean confidences over the track `[num_instruments]`, sure boxes counting more; in [0, 1]."""
        return np.asarray(self._weighted_look) / self.weight

    def median_box(self) -> np.ndarray:
        """`[4]`."""
        return np.median([detection.box_xyxy for detection in self.detections], axis=0)

    def expected_box(self, index: int) -> np.ndarray:
        """Where he is in a later frame, should he walk on as in his last two: `[4]`."""
        last = np.array(self.detections[-1].box_xyxy)
        if len(self.detections) < 2:
            return last
        moved = (last - self.detections[-2].box_xyxy).reshape(2, 2).mean(axis=0)
        steps = (index - self.frame_indices[-1]) / (self.frame_indices[-1] - self.frame_indices[-2])
        return last + np.tile(moved * steps, 2)


def track_players(frames: Sequence[Sequence[Detection]]) -> list[PlayerTrack]:
    """Join the detections of one player in successive frames; the time it takes grows with the number of frames.

    Args:
        frames: for each sampled frame in order of time, the detections of its players in any order; whole-frame ones
            are skipped.

    Returns:
        Tracks in order of their first frame, left to right within it; each player's detection is in exactly one.
    """
    tracks: list[PlayerTrack] = []
    alive: list[PlayerTrack] = []
    for index, frame in enumerate(frames):
        players = sorted((detection for detection in frame if not detection.whole_frame), key=_place_and_look)
        alive = [track for track in alive if index - track.frame_indices[-1] <= MAX_GAP + 1]
        matches = _match(alive, players, index)
        for position, player in enumerate(players):
            track = matches.get(position)
            if track is None:
                track = PlayerTrack()
                tracks.append(track)
                alive.append(track)
            track.add(index, player)
    return tracks


class Seat:
    """One player of the film: the tracks in which he is seen.

    Args:
        num_frames: of the film.
        box_xyxy: `[4]`, his place.

    Attributes:
        taken: bool `[num_frames]`, where he is seen.
        tracks: those that tell what he plays.
        unclear: tracks in which he is seen but not what he plays; they do not speak against him.
    """

    def __init__(self, num_frames: int, box_xyxy: np.ndarray):
        self.box_xyxy = box_xyxy
        self.tracks: list[PlayerTrack] = []
        self.unclear: list[PlayerTrack] = []
        self.taken = np.zeros(num_frames, bool)
        self._weight = 0.0
        self._weighted_look: np.ndarray | float = 0.0

    def is_free(self, track: PlayerTrack) -> bool:
        """Whether he is seen nowhere else in the track's frames."""
        return not self.taken[track.frame_indices].any()

    def overlap(self, box_xyxy: np.ndarray) -> float:
        """Intersection over union of his place and a box `[4]`."""
        return float(box_overlaps(self.box_xyxy[None], box_xyxy[None])[0, 0])

    def take(self, track: PlayerTrack) -> None:
        """Let the track be this player's."""
        self.tracks.append(track)
        self.taken[track.frame_indices] = True
        self._weight += track.weight
        self._weighted_look = self._weighted_look + track.weight * track.label_confidences()

    def take_unclear(self, track: PlayerTrack) -> None:
        """Let the track be this player's without a say in what he plays."""
        self.unclear.append(track)
        self.taken[track.frame_indices] = True

    def label_confidences(self) -> np.ndarray:
        """Mean confidences over the film `[num_instruments]`, sure boxes counting more; in [0, 1]."""
        return np.asarray(self._weighted_look) / self._weight

    def sightings(self) -> list[tuple[int, Detection]]:
        """Number of the frame and detection, in order of time."""
        pairs = [pair for track in (*self.tracks, *self.unclear) for pair in zip(track.frame_indices, track.detections)]
        return sorted(pairs, key=lambda pair: pair[0])


def seat_tracks(tracks: Sequence[PlayerTrack], num_seats: int, num_frames: int) -> list[Seat]:
    """Hand the tracks of players who could be one another to at most `num_seats` of them.

    Tracks that show most of them at once come first, long ones before short ones. A track goes to a seat that is free
    in its frames and about the same place; failing that to a seat of its own; failing that to the free seat it is most
    alike. One that finds no free seat is a passer-by, or a box where nobody is, and is left out.

    Args:
        tracks: of players of one instrument, or of instruments that look alike.
        num_seats: how many players there are.
        num_frames: of the film.
    """
    together = np.zeros(num_frames, np.int64)
    for track in tracks:
        together[track.frame_indices] += 1
    seats: list[Seat] = []
    for track in sorted(tracks, key=lambda track: _rank(track, together, num_seats)):
        seat = find_seat(track, seats)
        if len(seats) < num_seats and (seat is None or seat.overlap(track.median_box()) < MIN_OVERLAP):
            seat = Seat(num_frames, track.median_box())
            seats.append(seat)
        if seat is not None:
            seat.take(track)
    return seats


def find_seat(track: PlayerTrack, seats: Iterable[Seat], min_overlap: float = 0.0) -> Seat | None:
    """The seat most like a track in place and look, among those that are free in its frames.

    Args:
        track: whose it could be.
        seats: to choose from.
        min_overlap: intersection over union with the track's median box that a seat must have.

    Returns:
        None where no seat is free and near enough.
    """
    box_xyxy, look = track.median_box(), track.label_confidences()
    overlaps = [(seat.overlap(box_xyxy), seat) for seat in seats if seat.is_free(track)]
    likenesses = [
        (overlap + float(_likeness(seat.label_confidences(), look)), seat)
        for overlap, seat in overlaps
        if overlap >= min_overlap
    ]
    return max(likenesses, key=lambda pair: pair[0], default=(0.0, None))[1]


def _rank(track: PlayerTrack, together: np.ndarray, num_seats: int) -> tuple:
    company = min(num_seats, int(together[track.frame_indices].max()))
    return -company, -len(track.frame_indices), track.frame_indices[0], _place_and_look(track.detections[0])


def _place_and_look(detection: Detection) -> tuple:
    """An order that does not depend on the order in which a detector names the players."""
    x1, _, x2, _ = detection.box_xyxy
    return x1 + x2, detection.box_xyxy, detection.label_confidences, detection.player_confidence


def _likeness(look: np.ndarray, other_look: np.ndarray) -> np.ndarray:
    """Cosine between looks over the last axis, in [0, 1]; near 1 where one of them says hardly anything."""
    lengths = np.linalg.norm(look, axis=-1) * np.linalg.norm(other_look, axis=-1)
    return ((look * other_look).sum(axis=-1) + FAINT) / (lengths + FAINT)


def _match(tracks: Sequence[PlayerTrack], players: Sequence[Detection], index: int) -> dict[int, PlayerTrack]:
    """Position of a player -> its track, each track and player once: the highest sum of overlaps and likenesses."""
    if not tracks or not players:
        return {}
    boxes = np.array([player.box_xyxy for player in players])
    looks = np.array([player.label_confidences for player in players])
    overlaps = np.maximum(
        box_overlaps(np.array([track.detections[-1].box_xyxy for track in tracks]), boxes),
        box_overlaps(np.array([track.expected_box(index) for track in tracks]), boxes),
    )
    likenesses = _likeness(np.array([track.label_confidences() for track in tracks])[:, None], looks[None])
    scores = overlaps + LOOK_WEIGHT * likenesses
    # Somebody who looks like nobody else here and has moved far is the next shot's player.
    fits = scores >= MIN_OVERLAP + LOOK_WEIGHT
    scores = np.where(fits, scores, 0.0)
    rows, columns = linear_sum_assignment(scores, maximize=True)
    return {int(column): tracks[row] for row, column in zip(rows, columns) if fits[row, column]}
