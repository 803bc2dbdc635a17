"""The best, the median and the worst stem of an evaluation, to be heard."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from audio.resampling import resample
from av_sep.media import MP3_SAMPLE_RATES_HZ, AudioWriter
from pipelines.evaluate.page import AudioExample
from pipelines.evaluate.systems import SystemSpec
from pipelines.evaluate.tables import main_labels
from pipelines.evaluate.track_work import estimate_again
from pipelines.evaluate.units import TrackTask, Unit

EXCERPT_SECONDS = 6.0
# All sounds of an example share one gain, so that they compare; this leaves room for a stem louder than the mixture.
_MIXTURE_PEAK = 0.5


def heard_system(tracks: pd.DataFrame, systems: Sequence[SystemSpec]) -> SystemSpec | None:
    """The system whose stems are played: the first model, else the first classic, else the filters."""
    scored = set(tracks["system"])
    for kind in ("model", "classic", "floor"):
        for spec in systems:
            if spec.info.kind == kind and spec.info.name in scored - {"mixture"}:
                return spec
    return None


def make_examples(
    tracks: pd.DataFrame, tasks: Sequence[TrackTask], systems: Sequence[SystemSpec]
) -> tuple[AudioExample, ...]:
    """Best, median and worst stem by SI-SDR improvement, each separated once more; none where nothing was scored."""
    spec = heard_system(tracks, systems)
    if spec is None:
        return ()
    labels = main_labels(tracks)[spec.info.name]
    own = tracks[(tracks["system"] == spec.info.name) & (tracks["labels"] == labels) & (tracks["status"] == "present")]
    own = own[np.isfinite(own["si_sdr_improvement"])].sort_values(["si_sdr_improvement", "track", "instrument"])
    places = {"best": len(own) - 1, "median": len(own) // 2, "worst": 0}
    by_name = {task.track.name: task for task in tasks}
    examples, used = [], set()
    for title, place in places.items():
        if 0 <= place < len(own) and place not in used:
            used.add(place)
            row = own.iloc[place]
            examples.append(_example(title, row, by_name[str(row["track"])], Unit(spec, labels)))
    return tuple(examples)


def _example(title: str, row: pd.Series, task: TrackTask, unit: Unit) -> AudioExample:
    sound, estimates = estimate_again(task, unit)
    name, rate = str(row["instrument"]), sound.sample_rate_hz
    reference = sound.references[name]
    excerpt = _loudest(reference, round(EXCERPT_SECONDS * rate))
    gain = _MIXTURE_PEAK / max(float(np.abs(sound.mixture[excerpt]).max()), 1e-9)
    sounds = {"mixture": sound.mixture, "reference": reference, f"estimate ({unit.spec.info.title})": estimates[name]}
    instrument = name.replace("_", " ")
    caption = (
        f"{task.track.name}, from {excerpt.start / rate:.1f} s: SI-SDR {row['si_sdr']:.1f} dB,"
        f" {row['si_sdr_improvement']:+.1f} dB over the mixture ({unit.labels} labels)"
    )
    players = [(label, "audio/mpeg", _mp3(gain * waveform[excerpt], rate)) for label, waveform in sounds.items()]
    return AudioExample(title=f"{title}: {instrument}", caption=caption, sounds=players)


def _loudest(waveform: np.ndarray, num_samples: int) -> slice:
    """The stretch in which a waveform `[time, channels]` has most energy."""
    energy = np.concatenate([[0.0], np.cumsum(np.sum(np.square(waveform, dtype=np.float64), axis=1))])
    if len(waveform) <= num_samples:
        return slice(0, len(waveform))
    start = int(np.argmax(energy[num_samples:] - energy[:-num_samples]))
    return slice(start, start + num_samples)


def _mp3(waveform: np.ndarray, sample_rate_hz: int) -> bytes:
    if sample_rate_hz not in MP3_SAMPLE_RATES_HZ:
        nearest = min(MP3_SAMPLE_RATES_HZ, key=lambda rate: abs(rate - sample_rate_hz))
        waveform, sample_rate_hz = resample(waveform, sample_rate_hz, nearest), nearest
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "excerpt.mp3"
        with AudioWriter(path, sample_rate_hz, waveform.shape[1], file_format="mp3", bit_depth=16) as writer:
            writer.write(waveform.astype(np.float32))
        return path.read_bytes()
