"""The players of a film: one instrument for each, decided over all of it, and their order from left to right.

Conventions:
    instruments are positions in a taxonomy; a kin is a tuple of those that look alike, often of a single one;
    confidences are in the taxonomy's order, `[num_instruments]` in [0, 1].
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from av_sep.instruments import Taxonomy
from av_sep.types import Detection, InstrumentLabels, SeenPlayer
from vision.instrument_classifier import OTHER
from vision.tracking import MIN_OVERLAP, PlayerTrack, Seat, find_seat, seat_tracks

TOP_FRACTION = 0.25  # of the frames; a camera that shows each player only now and then must not dilute him
MIN_TOP_FRAMES = 3  # one wrong frame must not create a player
RIVAL_SHARE = 0.5  # of the likeliest instrument's confidence; a relative that has as much leaves the instrument unsure


@dataclass(frozen=True)
class NamedSeat:
    """A player of the film and his instrument."""

    seat: Seat
    instrument: int


@dataclass(frozen=True)
class Roster:
    """Everybody in a film.

    Attributes:
        players: those whose instrument can be told.
        strangers: persons who play nothing of the taxonomy, or nothing that can be told.
    """

    players: Sequence[NamedSeat] = ()
    strangers: Sequence[Seat] = ()


def find_players(
    tracks: Sequence[PlayerTrack],
    num_frames: int,
    kins: Sequence[tuple[int, ...]],
    threshold: float,
    limits: Mapping[int, int] | None = None,
) -> Roster:
    """Put tracks together to players.

    Of each kin there are as many players as are seen at once in the best quarter of the frames (their median), one at
    least if any is seen: a close-up adds nobody.

    Args:
        tracks: of all players.
        num_frames: of the film.
        kins: all instruments, each in one kin.
        threshold: confidence in [0, 1] that a track must reach to tell what is played.
        limits: instrument -> how many players it has, where that is known; others then have none.
    """
    num_instruments = sum(map(len, kins))
    possible = np.array([limits is None or limits.get(i, 0) > 0 for i in range(num_instruments)])
    likeliest = [_likeliest(track.label_confidences() * possible, threshold) for track in tracks]
    players: list[NamedSeat] = []
    for kin in kins:
        members = [track for track, instrument in zip(tracks, likeliest) if instrument in kin]
        if members and limits is None:
            seats = seat_tracks(members, max(1, _num_at_once(members, num_frames)), num_frames)
            players += [NamedSeat(seat, _best_of(kin, seat.label_confidences())) for seat in seats]
        elif members and limits is not None:
            places = [i for i in kin for _ in range(limits.get(i, 0))]
            players += _share_out(places, seat_tracks(members, len(places), num_frames))
    unclear = [track for track, instrument in zip(tracks, likeliest) if instrument is None and _is_person(track)]
    return Roster(players, _find_strangers(unclear, [player.seat for player in players], num_frames))


def describe_players(
    frames: Sequence[Sequence[Detection]], roster: Roster, labels: InstrumentLabels, taxonomy: Taxonomy
) -> tuple[SeenPlayer, ...]:
    """The players whose instruments get stems, and strangers, from left to right.

    Args:
        frames: the film's detections, frame by frame in order of time.
        roster: everybody in it.
        labels: `num_players` says how many players to describe; those that no box shows come last.
        taxonomy: names and families.
    """
    named = [(player.seat, taxonomy.names[player.instrument]) for player in roster.players]
    named = [(seat, name) for seat, name in named if name in labels.instruments]
    named += [(seat, OTHER) for seat in roster.strangers]
    company = np.zeros(len(frames), np.int64)
    for seat, _ in named:
        company += seat.taken
    placed = [_describe_seat(seat, name, frames, company, labels.threshold, taxonomy) for seat, name in named]
    placed.sort(key=lambda player: (player.box_xyxy[0] + player.box_xyxy[2], player.box_xyxy, player.label_confidences))
    for name, num_players in labels.num_players.items():
        num_missing = num_players - sum(player.instrument == name for player in placed)
        if num_missing:
            placed += [_describe_unplaced(name, frames, labels, taxonomy)] * num_missing
    return tuple(replace(player, number=number) for number, player in enumerate(placed, start=1))


def best_frames(values: np.ndarray) -> np.ndarray:
    """The highest quarter of each column of `[num_frames, n]`, three at least: `[num_best_frames, n]`."""
    num_frames = values.shape[0]
    num_top = max(min(MIN_TOP_FRAMES, num_frames), math.ceil(TOP_FRACTION * num_frames))
    return np.sort(values, axis=0)[num_frames - num_top :]


def _likeliest(confidences: np.ndarray, threshold: float) -> int | None:
    best = int(confidences.argmax())
    # Where nothing at all speaks for an instrument, not even a threshold of 0 makes it one.
    return best if confidences[best] >= max(threshold, np.finfo(float).tiny) else None


def _best_of(kin: Sequence[int], confidences: np.ndarray) -> int:
    return max(kin, key=lambda i: confidences[i])


def _share_out(places: Sequence[int], seats: Sequence[Seat]) -> list[NamedSeat]:
    """Give each seat one of the places (instruments, repeated for each player), so that most confidence is met."""
    confidences = np.array([seat.label_confidences()[list(places)] for seat in seats])
    rows, columns = linear_sum_assignment(confidences, maximize=True)
    return [NamedSeat(seats[row], places[column]) for row, column in zip(rows, columns)]


def _find_strangers(tracks: Sequence[PlayerTrack], seats: Sequence[Seat], num_frames: int) -> list[Seat]:
    """Persons whose instrument cannot be told; where a player is known to be, it is the player."""
    left = []
    for track in tracks:
        seat = find_seat(track, seats, MIN_OVERLAP)
        if seat is None:
            left.append(track)
        else:
            seat.take_unclear(track)
    return seat_tracks(left, _num_at_once(left, num_frames), num_frames)


def _is_person(track: PlayerTrack) -> bool:
    return any(detection.player_confidence > 0 for detection in track.detections)


def _num_at_once(tracks: Sequence[PlayerTrack], num_frames: int) -> int:
    counts = np.zeros((num_frames, 1), np.int64)
    for track in tracks:
        counts[track.frame_indices] += 1
    return math.floor(np.median(best_frames(counts)))


def _describe_seat(
    seat: Seat,
    name: str,
    frames: Sequence[Sequence[Detection]],
    company: np.ndarray,
    threshold: float,
    taxonomy: Taxonomy,
) -> SeenPlayer:
    """A player seen in boxes, not numbered yet; `company` is how many are seen at once, `[num_frames]`."""
    seen = np.flatnonzero(seat.taken)
    # A close-up says nothing about who stands left of whom.
    widest = company[seen].max()
    boxes = [detection.box_xyxy for index, detection in seat.sightings() if company[index] == widest]
    x1, y1, x2, y2 = map(float, np.median(boxes, axis=0))
    confidences = np.clip(seat.label_confidences(), 0.0, 1.0)
    confidence = max(0.0, 1.0 - confidences.sum()) if name == OTHER else confidences[taxonomy.index(name)]
    alternatives = _alternatives(name, confidences, threshold, taxonomy)
    joint = min(1.0, sum(confidences[taxonomy.index(other)] for other in alternatives)) if alternatives else confidence
    return SeenPlayer(
        number=0,
        instrument=name,
        confidence=float(confidence),
        label_confidences=tuple(map(float, confidences)),
        box_xyxy=(x1, y1, x2, y2),
        first_time_seconds=frames[seen[0]][0].time_seconds,
        last_time_seconds=frames[seen[-1]][0].time_seconds,
        num_video_frames=len(seen),
        alternatives=alternatives,
        joint_confidence=float(joint),
    )


def _alternatives(name: str, confidences: np.ndarray, threshold: float, taxonomy: Taxonomy) -> tuple[str, ...]:
    """The instrument and its rivals of the same family; for a stranger only where together they reach the threshold."""
    best = int(confidences.argmax()) if name == OTHER else taxonomy.index(name)
    family = taxonomy.instruments[best].family
    rivals = [
        i
        for i, instrument in enumerate(taxonomy.instruments)
        if i == best or (instrument.family == family and confidences[i] >= max(RIVAL_SHARE * confidences[best], 1e-6))
    ]
    if len(rivals) < 2 or (name == OTHER and confidences[rivals].sum() < threshold):
        return ()
    return tuple(taxonomy.names[i] for i in rivals)


def _describe_unplaced(
    name: str, frames: Sequence[Sequence[Detection]], labels: InstrumentLabels, taxonomy: Taxonomy
) -> SeenPlayer:
    """A player of an instrument that whole frames showed and no box did, not numbered yet."""
    index = taxonomy.index(name)
    whole = [detection for frame in frames for detection in frame if detection.whole_frame]
    telling = [detection for detection in whole if detection.label_confidences[index] >= labels.threshold] or whole
    times = [detection.time_seconds for detection in telling]
    confidences = np.clip(np.mean([detection.label_confidences for detection in telling], axis=0), 0.0, 1.0)
    return SeenPlayer(
        number=0,
        instrument=name,
        confidence=float(confidences[index]),
        label_confidences=tuple(map(float, confidences)),
        box_xyxy=telling[0].box_xyxy,
        first_time_seconds=min(times),
        last_time_seconds=max(times),
        num_video_frames=len(set(times)),
        alternatives=(),
        joint_confidence=float(confidences[index]),
        whole_frame=True,
    )
