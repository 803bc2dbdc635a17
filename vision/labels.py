"""From detections to the label vector: which instruments play, how sure we are, and how many players each has.

The rule, and why it is so:

1. Players are followed from frame to frame, and a player's confidences are averaged over his track: a violinist who
   looks like a violist in every third frame is still one violinist.
2. An instrument's confidence in a frame is the highest among the tracks seen in that frame; an instrument found without
   a player makes a track like a player. The whole-frame confidence counts fully where no player was found, and
   `WHOLE_FRAME_WEIGHT` times where some were, since a whole picture full of players says little about each of them.
3. Over the film an instrument gets the mean of its best quarter of frames (three at least): a camera that shows each
   player only now and then must not dilute him, one wrong frame must not create him. This is the soft label vector.
4. A stem is written only for an instrument that reaches the threshold and is backed by a player who, over the whole
   film, looks more like it than like any other, or by whole-frame evidence that reaches the threshold by itself.
5. Instruments that look alike (`LOOKALIKES`) get no more stems than players of that pair were seen at once, the better
   backed first: one player at violin 0.55 and viola 0.4 is one stem, two players may be two. Both stay in the soft
   vector, which manifest and report show, so that a person can see how close it was and name the right one.
6. The players of the film (`seen_players`) are tracks put together over gaps and cuts, as many of an instrument and of
   those that look like it as the best quarter of the frames shows at once (their median), one at least. So a close-up
   adds nobody, and nor does one frame with a box too many. `num_players` counts them.
7. Where detections repeat a file of labels (`Detection.given_players`), the file decides: rules 3 to 5 are not asked.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13, Taxonomy
from av_sep.types import Detection, InstrumentLabels, SeenPlayer
from vision.roster import Roster, best_frames, describe_players, find_players
from vision.tracking import PlayerTrack, track_players

LOOKALIKES = (("violin", "viola"), ("cello", "double_bass"), ("oboe", "clarinet"))
DEFAULT_THRESHOLD = 0.4
WHOLE_FRAME_WEIGHT = 0.5  # of whole-frame evidence in a frame that has players


@dataclass(frozen=True, eq=False)
class _Film:
    """What a film was found to show: its detections frame by frame, who plays, and the pooled labels."""

    frames: Sequence[Sequence[Detection]]
    roster: Roster
    labels: InstrumentLabels


def pool_detections(
    detections: Iterable[Detection],
    taxonomy: Taxonomy = URMP_13,
    threshold: float = DEFAULT_THRESHOLD,
    lookalikes: Sequence[tuple[str, str]] = LOOKALIKES,
) -> InstrumentLabels:
    """Labels of a film from the detections of its frames.

    Args:
        detections: of all sampled frames, in any order; those with equal times belong to one frame.
        taxonomy: the instruments that `label_confidences` are ordered by.
        threshold: confidence in [0, 1] from which an instrument may get a stem.
        lookalikes: pairs of instruments that the detector takes for one another; see rule 5.

    Returns:
        Labels with origin "detected"; a vector of zeros and no instruments where nothing was seen. `num_players` names
        exactly the instruments that get a stem, with at least one player each.

    Raises:
        ParameterError: for a threshold outside [0, 1] or detections made for another taxonomy.
    """
    return _judge(detections, taxonomy, threshold, lookalikes).labels


def seen_players(
    detections: Iterable[Detection],
    taxonomy: Taxonomy = URMP_13,
    threshold: float = DEFAULT_THRESHOLD,
    lookalikes: Sequence[tuple[str, str]] = LOOKALIKES,
) -> tuple[SeenPlayer, ...]:
    """The players of a film from the detections of its frames: rule 6.

    Args:
        detections: as for `pool_detections`, and so the other arguments.
        taxonomy: the instruments that `label_confidences` are ordered by.
        threshold: confidence in [0, 1] from which an instrument may get a stem.
        lookalikes: pairs of instruments that the detector takes for one another.

    Returns:
        Players from left to right; of each instrument exactly as many as `pool_detections` counts in `num_players`, and
        besides persons who play something else ("other"). An instrument that gets its stem from whole frames alone is
        a player without a place, after all others.

    Raises:
        ParameterError: as `pool_detections`.
    """
    return players_and_labels(detections, taxonomy, threshold, lookalikes)[0]


def players_and_labels(
    detections: Iterable[Detection],
    taxonomy: Taxonomy = URMP_13,
    threshold: float = DEFAULT_THRESHOLD,
    lookalikes: Sequence[tuple[str, str]] = LOOKALIKES,
) -> tuple[tuple[SeenPlayer, ...], InstrumentLabels]:
    """What `seen_players` and `pool_detections` give, for the price of one."""
    film = _judge(detections, taxonomy, threshold, lookalikes)
    return describe_players(film.frames, film.roster, film.labels, taxonomy), film.labels


def labels_from_instruments(names: Iterable[str], taxonomy: Taxonomy = URMP_13) -> InstrumentLabels:
    """Labels of a film whose instruments the user names: 1 for each, 0 for the others.

    Args:
        names: long names, abbreviations or aliases; repeats count once.
        taxonomy: the instruments that the vector is ordered by.

    Raises:
        ParameterError: for an unknown instrument, or none.
    """
    wanted = {taxonomy.parse(name) for name in names}
    if not wanted:
        raise ParameterError("Expected at least one instrument, e.g. 'violin'. Received: none")
    return _make_given(tuple(name for name in taxonomy.names if name in wanted), taxonomy, "given")


def labels_for_all(taxonomy: Taxonomy = URMP_13) -> InstrumentLabels:
    """Labels that say that any instrument may play, for sound without pictures."""
    return _make_given(taxonomy.names, taxonomy, "all")


def _make_given(names: tuple[str, ...], taxonomy: Taxonomy, origin: str) -> InstrumentLabels:
    vector = np.array([name in names for name in taxonomy.names], np.float32)
    return InstrumentLabels(taxonomy.names, vector, names, origin=origin)


def _group_by_time(detections: Iterable[Detection], num_instruments: int) -> list[list[Detection]]:
    frames: dict[float, list[Detection]] = {}
    for detection in detections:
        if len(detection.label_confidences) != num_instruments:
            raise ParameterError(
                f"Expected detections with one confidence for each of the {num_instruments} instruments."
                f" Received: {len(detection.label_confidences)}"
            )
        frames.setdefault(detection.time_seconds, []).append(detection)
    return [frames[time] for time in sorted(frames)]


def _judge(
    detections: Iterable[Detection], taxonomy: Taxonomy, threshold: float, lookalikes: Sequence[tuple[str, str]]
) -> _Film:
    if not 0.0 <= threshold <= 1.0:
        raise ParameterError(f"Expected a threshold in [0, 1]. Received: {threshold}")
    frames = _group_by_time(detections, len(taxonomy))
    if not frames:
        nothing = np.zeros(len(taxonomy), np.float32)
        return _Film((), Roster(), InstrumentLabels(taxonomy.names, nothing, (), {}, threshold, "detected"))
    tracks, kins = track_players(frames), _kins(taxonomy, lookalikes)
    given = next((d for frame in frames for d in frame if d.given_players is not None), None)
    if given is not None:
        limits = Counter(taxonomy.index(name) for name in given.given_players or ())
        roster = find_players(tracks, len(frames), kins, min(threshold, DEFAULT_THRESHOLD), limits)
        return _Film(frames, roster, _repeat_given(given, limits, taxonomy, threshold))
    roster = find_players(tracks, len(frames), kins, threshold)
    labels = _pool(_best_of_players(tracks, frames, taxonomy), _whole_frames(frames, taxonomy), roster, taxonomy,
                   threshold, lookalikes)  # fmt: skip
    return _Film(frames, roster, labels)


def _pool(
    of_players: np.ndarray,
    whole: np.ndarray,
    roster: Roster,
    taxonomy: Taxonomy,
    threshold: float,
    lookalikes: Sequence[tuple[str, str]],
) -> InstrumentLabels:
    """Labels from confidences `[num_frames, num_instruments]` of players and of whole frames: rules 3 and 4."""
    soft = np.clip(best_frames(np.maximum(of_players, whole)).mean(axis=0), 0.0, 1.0).astype(np.float32)
    num_players = np.bincount([player.instrument for player in roster.players], minlength=len(taxonomy))
    backed = (num_players > 0) | (best_frames(whole).mean(axis=0) >= max(threshold, np.finfo(float).tiny))
    accepted = _accept(backed & (soft >= threshold), soft, num_players, taxonomy, lookalikes)
    return InstrumentLabels(
        taxonomy=taxonomy.names,
        label_vector=soft,
        instruments=accepted,
        num_players={name: max(1, int(num_players[taxonomy.index(name)])) for name in accepted},
        threshold=threshold,
        origin="detected",
    )


def _repeat_given(given: Detection, limits: Counter, taxonomy: Taxonomy, threshold: float) -> InstrumentLabels:
    """Labels as a file has them: rule 7."""
    return InstrumentLabels(
        taxonomy=taxonomy.names,
        label_vector=np.array(given.label_confidences, np.float32),
        instruments=tuple(name for i, name in enumerate(taxonomy.names) if limits[i]),
        num_players={name: limits[i] for i, name in enumerate(taxonomy.names) if limits[i]},
        threshold=threshold,
        origin="detected",
    )


def _kins(taxonomy: Taxonomy, lookalikes: Sequence[tuple[str, str]]) -> list[tuple[int, ...]]:
    """All positions of the taxonomy, those that are taken for one another together, by pairs or chains of pairs."""
    kin_of = {i: {i} for i in range(len(taxonomy))}
    for pair in lookalikes:
        merged = set().union(*(kin_of[taxonomy.index(name)] for name in pair if name in taxonomy.names))
        kin_of.update(dict.fromkeys(merged, merged))
    return sorted({tuple(sorted(kin)) for kin in kin_of.values()})


def _best_of_players(
    tracks: Sequence[PlayerTrack], frames: Sequence[Sequence[Detection]], taxonomy: Taxonomy
) -> np.ndarray:
    """Highest confidence among the players of each frame, `[num_frames, num_instruments]`."""
    best = np.zeros((len(frames), len(taxonomy)))
    for track in tracks:
        best[track.frame_indices] = np.maximum(best[track.frame_indices], track.label_confidences())
    return best


def _whole_frames(frames: Sequence[Sequence[Detection]], taxonomy: Taxonomy) -> np.ndarray:
    """Confidences of the whole frames with their weight, `[num_frames, num_instruments]`: rule 2."""
    whole = np.zeros((len(frames), len(taxonomy)))
    for index, frame in enumerate(frames):
        has_players = any(detection.player_confidence > 0 and not detection.whole_frame for detection in frame)
        weight = WHOLE_FRAME_WEIGHT if has_players else 1.0
        for detection in frame:
            if detection.whole_frame:
                whole[index] = np.maximum(whole[index], weight * np.array(detection.label_confidences))
    return whole


def _accept(
    candidates: np.ndarray,
    soft: np.ndarray,
    num_players: np.ndarray,
    taxonomy: Taxonomy,
    lookalikes: Sequence[tuple[str, str]],
) -> tuple[str, ...]:
    """Names that get a stem, in taxonomy order, among candidates bool `[num_instruments]`: rule 5."""
    accepted = {name for name, is_candidate in zip(taxonomy.names, candidates) if is_candidate}
    for pair in lookalikes:
        rivals = [taxonomy.index(name) for name in pair if name in accepted]
        rivals.sort(key=lambda i: (not num_players[i], -soft[i]))
        allowed = max(1, int(sum(num_players[i] for i in rivals)))
        accepted -= {taxonomy.names[i] for i in rivals[allowed:]}
    return tuple(name for name in taxonomy.names if name in accepted)
