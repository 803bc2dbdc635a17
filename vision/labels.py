"""From detections to the label vector: which instruments play, how sure we are, and how many players each has.

The rule, and why it is so:

1. Players are followed from frame to frame, and a player's confidences are averaged over his track: a violinist who
   looks like a violist in every third frame is still one violinist.
2. An instrument's confidence in a frame is the highest among the tracks seen in that frame; an instrument found without
   a player makes a track like a player. The whole-frame confidence counts fully where no player was found, and
   `WHOLE_FRAME_WEIGHT` times where some were, since a whole picture full of players says little about each of them.
3. Over the film an instrument gets the mean of its best quarter of frames (three at least): a camera that shows each
   player only now and then must not dilute him, one wrong frame must not create him. This is the soft label vector.
4. A stem is written only for an instrument that reaches the threshold and is backed by a player who looks more like it
   than like any other instrument, or by whole-frame evidence that reaches the threshold by itself.
5. Instruments that look alike (`LOOKALIKES`) get no more stems than players of that pair were seen at once, the better
   backed first: one player at violin 0.55 and viola 0.4 is one stem, two players may be two. Both stay in the soft
   vector, which manifest and report show, so that a person can see how close it was and name the right one.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13, Taxonomy
from av_sep.types import Detection, InstrumentLabels
from vision.tracking import track_players

LOOKALIKES = (("violin", "viola"), ("cello", "double_bass"), ("oboe", "clarinet"))
DEFAULT_THRESHOLD = 0.4
WHOLE_FRAME_WEIGHT = 0.5  # of whole-frame evidence in a frame that has players
TOP_FRACTION = 0.25  # of the frames; see rule 3
MIN_TOP_FRAMES = 3


@dataclass(frozen=True)
class _Evidence:
    """What the frames say. All arrays are `[num_frames, num_instruments]`.

    Attributes:
        players: highest confidence among the players.
        whole: confidence of the whole frame, already weighted.
        counts: number of players whose likeliest instrument it is.
    """

    players: np.ndarray
    whole: np.ndarray
    counts: np.ndarray


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
    if not 0.0 <= threshold <= 1.0:
        raise ParameterError(f"Expected a threshold in [0, 1]. Received: {threshold}")
    frames = _group_by_time(detections, len(taxonomy))
    if not frames:
        return InstrumentLabels(
            taxonomy.names, np.zeros(len(taxonomy), np.float32), (), threshold=threshold, origin="detected"
        )
    evidence = _collect_evidence(frames, len(taxonomy), threshold)
    soft = np.clip(_top_mean(np.maximum(evidence.players, evidence.whole)), 0.0, 1.0).astype(np.float32)
    counts = _top_median(evidence.counts)
    accepted = _accept(evidence, soft, taxonomy, threshold, lookalikes)
    return InstrumentLabels(
        taxonomy=taxonomy.names,
        label_vector=soft,
        instruments=accepted,
        num_players={name: max(1, int(counts[taxonomy.index(name)])) for name in accepted},
        threshold=threshold,
        origin="detected",
    )


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


def _collect_evidence(frames: Sequence[Sequence[Detection]], num_instruments: int, threshold: float) -> _Evidence:
    shape = (len(frames), num_instruments)
    players, whole, counts = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int64)
    for track in track_players(frames):
        confidences = track.label_confidences()
        likeliest = int(confidences.argmax())
        for index in track.frame_indices:
            players[index] = np.maximum(players[index], confidences)
            counts[index, likeliest] += confidences[likeliest] >= threshold
    for index, frame in enumerate(frames):
        has_players = any(detection.player_confidence > 0 and not detection.whole_frame for detection in frame)
        weight = WHOLE_FRAME_WEIGHT if has_players else 1.0
        for detection in frame:
            if detection.whole_frame:
                whole[index] = np.maximum(whole[index], weight * np.array(detection.label_confidences))
    return _Evidence(players, whole, counts)


def _accept(
    evidence: _Evidence, soft: np.ndarray, taxonomy: Taxonomy, threshold: float, lookalikes: Sequence[tuple[str, str]]
) -> tuple[str, ...]:
    """Names that get a stem, in taxonomy order: rules 4 and 5."""
    backed_by_player = np.asarray(evidence.counts.any(axis=0))
    backed = backed_by_player | np.greater_equal(_top_mean(evidence.whole), max(threshold, np.finfo(float).tiny))
    accepted = {name for i, name in enumerate(taxonomy.names) if soft[i] >= threshold and backed[i]}
    for pair in lookalikes:
        rivals = [taxonomy.index(name) for name in pair if name in accepted]
        if not rivals:
            continue
        allowed = max(1, int(_top_median(evidence.counts[:, rivals].sum(axis=1, keepdims=True))[0]))
        rivals.sort(key=lambda i: (not backed_by_player[i], -soft[i]))
        accepted -= {taxonomy.names[i] for i in rivals[allowed:]}
    return tuple(name for name in taxonomy.names if name in accepted)


def _top_frames(values: np.ndarray) -> np.ndarray:
    """The highest quarter of each column of `[num_frames, n]`, three at least: `[num_top_frames, n]`."""
    num_frames = values.shape[0]
    num_top = max(min(MIN_TOP_FRAMES, num_frames), math.ceil(TOP_FRACTION * num_frames))
    return np.sort(values, axis=0)[num_frames - num_top :]


def _top_mean(values: np.ndarray) -> np.ndarray:
    return _top_frames(values).mean(axis=0)


def _top_median(values: np.ndarray) -> np.ndarray:
    return np.floor(np.median(_top_frames(values), axis=0)).astype(np.int64)
