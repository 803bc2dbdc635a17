"""Stems that are silent while their player rests: whom to listen for, and who is known to play at all."""

from collections.abc import Collection, Sequence
from pathlib import Path

from audio.activity import Activity
from audio.activity_detector import StreamActivityDetector
from audio.pooled_model import PooledModel
from audio.separation_model import NetworkModel, SeparationModel, WholeMixtureModel
from av_sep.instruments import URMP_13
from av_sep.media import open_audio
from av_sep.types import InstrumentLabels
from pipelines.progress import Progress, silent
from pipelines.witnesses import heard_blocks


def should_gate_rests(model: SeparationModel | WholeMixtureModel, instruments: Collection[str]) -> bool:
    """Whether to hear who of these instruments rests when.

    One player has nobody to give his rests to, the detector must know them all, and the classics, which others are
    compared with, are left as they are.
    """
    return is_network(model) and len(instruments) > 1 and set(instruments) <= set(URMP_13.names)


def is_network(model: SeparationModel | WholeMixtureModel) -> bool:
    """Whether a model was trained as a network, or is a pool of such."""
    return isinstance(model, (NetworkModel, PooledModel))


def known_to_play(labels: InstrumentLabels, seen: InstrumentLabels | None) -> tuple[str, ...]:
    """Which of the labelled instruments play for certain, though perhaps not all the time.

    Those that a person named or the picture shows; who was only heard, or is but possible, may as well not play.

    Args:
        labels: who gets a stem.
        seen: what the picture says; None where nobody looked.
    """
    if labels.origin == "given":
        return labels.instruments
    return seen_among(labels.instruments, seen)


def seen_among(instruments: Sequence[str], seen: InstrumentLabels | None) -> tuple[str, ...]:
    """Which of some instruments the picture shows; none where nobody looked."""
    return tuple(name for name in instruments if seen is not None and name in seen.instruments)


def activity_from_sound(
    path: str | Path,
    instruments: Sequence[str],
    known: Sequence[str],
    detector: StreamActivityDetector,
    gain: float,
    progress: Progress = silent,
) -> Activity:
    """Which of the instruments that are labelled in a file play when.

    Args:
        path: any file with sound that ffmpeg reads.
        instruments: the labelled ones, by names that the detector knows.
        known: those that play for certain.
        detector: what listens.
        gain: by which it hears the file louder, see `audio.level`.
        progress: told the time reached after every block.

    Raises:
        MediaError: for a file that cannot be read.
        ParameterError: for an instrument that the detector does not know.
    """
    with open_audio(path) as reader:
        heard = detector.track(heard_blocks(reader, gain, progress), reader.sample_rate_hz, instruments)
    return heard.believing(known)
