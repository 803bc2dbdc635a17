"""Two witnesses of who plays: the picture and the sound, and what to believe where they differ.

Each witness says of each instrument how likely it is. Their log odds, counted from the confidence at which each of
them alone would be believed, are added up, as independent witnesses' are (naive Bayes), but neither may shout the
other down: what each can say for and against an instrument is limited, for each fails in a way of its own. The rule:

1. For an instrument that the picture shows (it is among `seen.instruments`) speak the log odds of its confidence above
   the picture's threshold, and at least `seen_at_least`: only a sound that is quite sure of its absence outweighs a
   faintly seen player, and nothing outweighs a clear one.
2. Against an instrument that the picture does not show speak at most `unseen_against`: cameras miss players, so a sound
   that is surer than by itself is believed, and a less sure one where the picture half shows the instrument. Where the
   picture shows one player alone it is at most `unseen_beside_one`: most such films are of a solo. A film that shows
   no player of any instrument says nothing against anybody: there the sound decides alone.
3. The sound's log odds are counted from its own threshold, limited to `heard_for` and `heard_against`. Where nothing
   sounds, a muted film, it says nothing either.
4. Violin and viola, cello and double bass look alike. Where the picture shows players of one of a pair only and finds
   the other likely too, the player is taken for the one that both witnesses together find likelier; against the
   other the picture says as much as it may. Oboe and clarinet look alike, too, but do not sound so: whoever is heard
   beside the one that is seen is taken for another player. (As a third pair they cost one wrong label more in 24 made
   films of all 13 instruments, and no fewer were missed.)
5. At most `max_heard_alone` instruments are believed that were heard and not seen, the surest first.

The fused confidence of an instrument is the logistic function of the sum, and 0.5 the limit of belief.

The numbers (`FusionRule`) were chosen on made films played by sounds that the tagger of that moment had not been
trained on; `benchmarks/score_tagger.py` scores them on others. `unseen_against` leans to naming too many: a missed
instrument costs its whole stem, one too many a little of the others'. `unseen_beside_one` spares a recorded double
bass solo two stems of brass.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit, logit

from audio.level import working_gain
from audio.tagger import StreamTagger, load_tagger
from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13, Taxonomy
from av_sep.media import AudioReader, open_audio
from av_sep.types import InstrumentLabels
from pipelines.joint.files import is_joint
from pipelines.progress import Progress, silent
from vision.detector import has_given_labels

WITNESSES = ("video", "audio", "both")
DEFAULT_HEARD_THRESHOLD = 0.35
FUSED_THRESHOLD = 0.5
MAX_HEARD_WITHOUT_PICTURE = 5
SHARE_OF_SUREST = 0.5  # of the surest instrument's confidence; by sound alone
SOUND_PAIRS = (("violin", "viola"), ("cello", "double_bass"))
_CERTAIN = 1e-4  # confidences nearer to 0 and 1 count as this near


@dataclass(frozen=True)
class FusionRule:
    """The numbers of the rule; evidence is in units of log odds (natural logarithm).

    Attributes:
        seen_at_least: least evidence for an instrument that the picture shows.
        unseen_against: most evidence against one that the picture does not show.
        unseen_beside_one: the same where the picture shows one player alone.
        heard_for: most evidence of the sound for an instrument.
        heard_against: most evidence of the sound against one.
        max_heard_alone: most instruments that are believed without being seen, beside those that are.
        likely_too: confidence of the picture that makes an instrument a rival of its lookalike.
    """

    seen_at_least: float = 0.5
    unseen_against: float = 0.5
    heard_for: float = 4.0
    heard_against: float = 1.5
    max_heard_alone: int = 2
    likely_too: float = 0.1
    unseen_beside_one: float = 2.0


DEFAULT_RULE = FusionRule()


def default_witnesses(detector: str) -> str:
    """Who is asked what plays in a film: eyes and ears, but nobody besides labels that somebody gave or a joint model.

    Args:
        detector: as `pipelines.joint.files.open_detector` takes it.
    """
    return "video" if has_given_labels(detector) or is_joint(detector) else "both"


def asks_sound(wanted: str | None, detector: str, seen: InstrumentLabels | None) -> bool:
    """Whether the sound is judged, too: where somebody wants it, and unasked where it adds to what is seen.

    By ear alone a harp is taken for a cello.

    Args:
        wanted: one of `WITNESSES`, or None where nobody was asked.
        detector: as `default_witnesses` takes it.
        seen: what the picture says; None where there is none.
    """
    if wanted is not None:
        return wanted != "video"
    return default_witnesses(detector) == "both" and seen is not None and bool(seen.instruments)


def recording_gain(path: Path | str) -> float:
    """`working_gain` of a file's sound; reads it once through."""
    with open_audio(path) as reader:
        return working_gain(reader.blocks())


def labels_from_sound(
    path: str | Path,
    tagger: StreamTagger | None = None,
    threshold: float = DEFAULT_HEARD_THRESHOLD,
    taxonomy: Taxonomy = URMP_13,
    progress: Progress = silent,
    gain: float | None = None,
) -> InstrumentLabels:
    """Which instruments a file's sound holds, by ear alone, in memory that does not grow with the file.

    Args:
        path: any file with sound that ffmpeg reads.
        tagger: what listens; None for the packaged one.
        threshold: confidence in [0, 1] from which an instrument is believed; at most `MAX_HEARD_WITHOUT_PICTURE` are.
        taxonomy: the instruments to report.
        progress: told the time reached after every block.
        gain: what `recording_gain` says of the file, where the caller has asked already.

    Returns:
        Labels with origin "detected" and no players; no instruments where nothing sounds.

    Raises:
        MediaError: for a file that cannot be read.
        ParameterError: for a threshold outside [0, 1].
    """
    _require_confidence(threshold)
    tagger = tagger or load_tagger()
    # What is silence is measured on the recording's own scale: a quiet one is music from end to end.
    gain = recording_gain(path) if gain is None else gain
    with open_audio(path) as reader:
        hearing = tagger.listen(heard_blocks(reader, gain, progress), reader.sample_rate_hz)
    return labels_from_confidences(hearing.instruments, hearing.confidences, threshold, taxonomy)


def heard_blocks(reader: AudioReader, gain: float, progress: Progress) -> Iterator[np.ndarray]:
    """A file's sound as a tagger hears it, louder by `gain`, in blocks `[time, channels]`; tells how far it is."""
    num_samples = 0
    for block in reader.blocks():
        yield gain * block
        num_samples += len(block)
        progress("listening", num_samples / reader.sample_rate_hz, reader.duration_seconds)


def labels_from_confidences(
    instruments: Sequence[str], confidences: np.ndarray, threshold: float, taxonomy: Taxonomy = URMP_13
) -> InstrumentLabels:
    """Labels of what a tagger said, by sound alone: who reaches the threshold and half of the surest one's confidence.

    A loud instrument leaves traces in the bands of others, and a solo is commoner than thirteen at once; so at most
    `MAX_HEARD_WITHOUT_PICTURE` are believed, the surest.

    Args:
        instruments: names in the tagger's order; those that the taxonomy lacks are left out.
        confidences: `[num_instruments]` in [0, 1], in that order.
        threshold: confidence that an instrument must reach, and be above 0.
        taxonomy: the instruments to report; those that the tagger does not know get 0.
    """
    heard = dict(zip(instruments, confidences, strict=True))
    vector = np.array([heard.get(name, 0.0) for name in taxonomy.names], np.float32)
    limit = max(threshold, _CERTAIN, SHARE_OF_SUREST * float(vector.max()))
    believed = [i for i in np.argsort(-vector, kind="stable") if vector[i] >= limit]
    chosen = sorted(believed[:MAX_HEARD_WITHOUT_PICTURE])
    names = tuple(taxonomy.names[i] for i in chosen)
    return InstrumentLabels(taxonomy.names, vector, names, threshold=threshold, origin="detected")


def fuse(seen: InstrumentLabels, heard: InstrumentLabels, rule: FusionRule = DEFAULT_RULE) -> InstrumentLabels:
    """What picture and sound say together; the module says by which rule.

    Args:
        seen: what the picture says, as `vision.labels.pool_detections` returns it.
        heard: what the sound says, as `labels_from_sound` returns it.
        rule: the numbers of the rule.

    Returns:
        Labels with origin "detected" and threshold 0.5. `num_players` counts players that were seen, so an instrument
        that was heard alone has none.

    Raises:
        ParameterError: where the two are about different instruments.
    """
    if seen.taxonomy != heard.taxonomy:
        raise ParameterError(
            "Expected picture and sound to speak of the same instruments."
            f" Received: {', '.join(seen.taxonomy)} and {', '.join(heard.taxonomy)}"
        )
    if not heard.label_vector.any():
        return seen
    if not seen.instruments:
        return _heard_alone(heard)
    by_sound = np.clip(_log_odds(heard.label_vector, heard.threshold), -rule.heard_against, rule.heard_for)
    by_picture = _log_odds(seen.label_vector, seen.threshold)
    players = _seat(seen, by_picture, by_sound, rule.likely_too)
    is_seen = np.array([name in players for name in seen.taxonomy])
    is_solo = sum(players.values()) == 1
    most_against = rule.unseen_beside_one if is_solo else rule.unseen_against
    unseen = np.clip(by_picture, -most_against, 0.0)
    # What makes a rival likely is the player who has just been taken for the other one.
    unseen[[seen.taxonomy.index(name) for name in _rivals(seen, players)]] = -most_against
    total = by_sound + np.where(is_seen, np.maximum(by_picture, rule.seen_at_least), unseen)
    believed = _believed(total, is_seen, rule.max_heard_alone)
    names = tuple(name for name, is_believed in zip(seen.taxonomy, believed) if is_believed)
    return InstrumentLabels(
        taxonomy=seen.taxonomy,
        label_vector=expit(total).astype(np.float32),
        instruments=names,
        num_players={name: players[name] for name in names if name in players},
        threshold=FUSED_THRESHOLD,
        origin="detected",
    )


def _heard_alone(heard: InstrumentLabels) -> InstrumentLabels:
    """Rule 2's end: the sound's labels on the fused scale."""
    vector = expit(_log_odds(heard.label_vector, heard.threshold)).astype(np.float32)
    return InstrumentLabels(
        heard.taxonomy, vector, heard.instruments, threshold=FUSED_THRESHOLD, origin="detected"
    )


def _seat(
    seen: InstrumentLabels, by_picture: np.ndarray, by_sound: np.ndarray, likely_too: float
) -> dict[str, int]:
    """Instrument -> number of players seen, lookalikes told apart by both witnesses: rule 4."""
    players = {name: seen.num_players.get(name, 1) for name in seen.instruments}
    for pair in SOUND_PAIRS:
        shown = [name for name in pair if name in players]
        if len(shown) != 1 or not set(pair) <= set(seen.taxonomy):
            continue
        index = {name: seen.taxonomy.index(name) for name in pair}
        (rival,) = set(pair) - set(shown)
        if seen.label_vector[index[rival]] < likely_too:
            continue
        likelier = max(shown + [rival], key=lambda name: by_picture[index[name]] + by_sound[index[name]])
        players[likelier] = players.pop(shown[0])
    return players


def _rivals(seen: InstrumentLabels, players: dict[str, int]) -> list[str]:
    """Lookalikes, not shown themselves, of instruments that are."""
    pairs = [pair for pair in SOUND_PAIRS if set(pair) <= set(seen.taxonomy)]
    return [name for pair in pairs for name in pair if name not in players and set(pair) & set(players)]


def _believed(total: np.ndarray, is_seen: np.ndarray, max_heard_alone: int) -> np.ndarray:
    """Which instruments are believed, bool `[num_instruments]`: rule 5."""
    believed = total >= 0
    heard_alone = np.flatnonzero(believed & ~is_seen)
    surest_first = heard_alone[np.argsort(-total[heard_alone], kind="stable")]
    believed[surest_first[max_heard_alone:]] = False
    return believed


def _log_odds(confidences: np.ndarray, threshold: float) -> np.ndarray:
    """Log odds of confidences above those of a threshold, all finite."""
    limits = (_CERTAIN, 1 - _CERTAIN)
    return logit(np.clip(np.asarray(confidences, np.float64), *limits)) - logit(np.clip(threshold, *limits))


def _require_confidence(threshold: float) -> None:
    if not 0.0 <= threshold <= 1.0:
        raise ParameterError(f"Expected a threshold in [0, 1]. Received: {threshold}")
