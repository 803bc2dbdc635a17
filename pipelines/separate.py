"""From a performance to its stems: probe, see who plays, separate, write.

Everything appears under `<output_dir>/<input's stem>/` at once, when complete: `<instrument>.<format>`,
`residual.<format>` if asked for, `manifest.json` and `report.html`.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from audio.activity import Activity
from audio.models import make_separator, require_model, resolve_name, source_names
from audio.resampling import StreamResampler
from audio.separator import StreamSeparator
from av_sep.errors import ParameterError, shown
from av_sep.instruments import URMP_13, Taxonomy, find_taxonomy
from av_sep.media import AUDIO_FORMATS, BIT_DEPTHS, AudioReader, AudioWriter, open_audio, probe
from av_sep.types import InstrumentLabels, MediaInfo, SeparationResult
from pipelines import manifest, report
from pipelines.config import SeparateConfig
from pipelines.given_labels import detector_for, remarks_on_origin, sighting_without_pictures
from pipelines.joint.files import is_joint, load_separation_model
from pipelines.look import Looker, Sighting
from pipelines.plain_settings import plain_settings
from pipelines.progress import Progress, silent
from pipelines.rests import activity_from_sound, known_to_play, should_gate_rests
from pipelines.staging import require_own, require_writable, staged_folder
from pipelines.stem_picture import StemPicture
from pipelines.witnesses import WITNESSES, asks_sound, fuse, labels_from_sound, recording_gain
from vision.detector import has_given_labels
from vision.labels import labels_for_all, labels_from_instruments

_log = logging.getLogger(__name__)

RESIDUAL = "residual"
WORTH_NAMING = 0.1  # a guess below this confidence would only confuse


@dataclass(frozen=True, eq=False)
class WrittenStem:
    """One finished sound file: its path, its picture and how many values had to be limited to full scale."""

    path: Path
    picture: StemPicture
    num_clipped: int


@dataclass(frozen=True, eq=False)
class SeparationPlan:
    """What a run is going to do with one input, before anything is written.

    Attributes:
        info: what the input is; its length becomes that of the stems once they are written.
        labels: who gets a stem.
        sighting: what was seen; None where nobody looked.
        directory: where the output goes.
        seconds: what each stage took, by name; stages to come are added.
        gain: by which the sound is heard louder, see `audio.level`; None where nobody has listened yet.
        activity: who of the labelled plays when; None where nobody listens for it, or has not yet.
        remarks: what is odd about pictures and sound, one line each; that of the sound is found while the stems are
            written.
    """

    info: MediaInfo
    labels: InstrumentLabels
    sighting: Sighting | None
    directory: Path
    seconds: dict[str, float]
    gain: float | None = None
    activity: Activity | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def witnesses(self) -> str | None:
        """Who said what plays: "video", "audio" or "both", "file" for labels of sound; None where nobody had to."""
        if self.labels.origin != "detected":
            return None
        if self.sighting is None:
            return "audio"
        if self.labels is not self.sighting.labels:
            return "both"
        return "video" if self.info.has_video else "file"


class SeparationRunner:
    """Separates performances one after the other with the same settings; models are loaded once, on first use.

    Args:
        config: the settings.

    Raises:
        ParameterError: for settings that are unknown or do not fit together.
    """

    def __init__(self, config: SeparateConfig):
        config = plain_settings(config)
        _tell_what_is_passed_over(config)
        if config.detector is None:
            config = replace(config, detector=config.model if is_joint(config.model) else "embedded")
        _validate(config)
        self.taxonomy = find_taxonomy(source_names(config.model))
        # A misspelt name is told before anything slow begins.
        if config.instruments is not None:
            config = replace(config, instruments=_read_instruments(config.instruments, self.taxonomy))
        self.config = config
        self.looker = self._looker(str(config.detector))

    def _looker(self, detector: str) -> Looker:
        return Looker(detector, frames_per_second=self.config.frames_per_second, threshold=self.config.threshold)

    @cached_property
    def separator(self) -> StreamSeparator:
        """The separator that the settings ask for."""
        return make_separator(load_separation_model(self.config.model), mixture_consistency=not self.config.residual)

    @cached_property
    def tagger(self):
        """What listens for instruments."""
        from audio.tagger import load_tagger

        return load_tagger()

    @cached_property
    def activity_detector(self):
        """What listens for rests."""
        from audio.activity_detector import load_activity_detector

        return load_activity_detector()

    def plan(self, input_path: Path, output_dir: Path, progress: Progress = silent) -> SeparationPlan:
        """Looks at one input without writing anything; see `run` for arguments and errors."""
        started = time.perf_counter()
        directory = _output_of(input_path, output_dir)
        require_own(directory, overwrite=self.config.overwrite)
        info = probe(input_path)
        # Told first, it spares a long look at a film that cannot be separated, or whose stems cannot be written.
        require_writable(directory.parent)
        with open_audio(input_path) as reader:
            self._writer(directory, RESIDUAL, self.config.sample_rate_hz or reader.sample_rate_hz, reader)
        labels, sighting, gain = self._labels(input_path, info, progress)
        remarks = self._remarks(info, sighting)
        seconds = {"looking": time.perf_counter() - started}
        return SeparationPlan(info, labels, sighting, directory, seconds, gain, remarks=remarks)

    def run(self, input_path: str | Path, output_dir: str | Path, progress: Progress = silent) -> SeparationResult:
        """Separates one performance and writes its folder.

        Args:
            input_path: any video or sound file that ffmpeg reads.
            output_dir: where the input's own folder goes.
            progress: told how far the run is.

        Returns:
            Where everything is; with `dry_run` where it would be.

        Raises:
            MediaError: for an input that cannot be read or an output that cannot be written.
            ParameterError: if the output exists, if nobody can tell what plays, or if the model lacks an instrument.
        """
        plan = self.plan(Path(input_path), Path(output_dir), progress)
        label_vector = self._label_vector(plan.labels)
        if self.config.dry_run:
            return self._result(
                plan, {name: self._stem_path(plan.directory, name) for name in self._stem_names(label_vector)}
            )
        gain = recording_gain(plan.info.path) if plan.gain is None else plan.gain
        plan = replace(plan, activity=self._activity(plan, gain, progress))
        progress("separating", 0.0, plan.info.duration_seconds)
        started = time.perf_counter()
        with staged_folder(plan.directory, overwrite=self.config.overwrite) as staging:
            stems = self._write_stems(plan, label_vector, gain, staging, progress)
            plan.seconds["separating"] = time.perf_counter() - started
            # Headers speak of the longest stream, or not at all.
            written_seconds = next(iter(stems.values())).picture.duration_seconds
            plan = replace(plan, info=replace(plan.info, duration_seconds=written_seconds))
            manifest.write(staging / "manifest.json", plan, stems, self.config, self.separator.model)
            rate_hz = getattr(self.separator.model, "sample_rate_hz", None)
            report.write(staging / "report.html", plan, stems, self.config, rate_hz)
        return self._result(plan, {name: plan.directory / stem.path.name for name, stem in stems.items()})

    def _remarks(self, info: MediaInfo, sighting: Sighting | None) -> list[str]:
        """What is odd about the pictures, and about labels that somebody gave; the latter is said at once, too."""
        if sighting is None:
            return []
        foreign = remarks_on_origin(self.looker.detector_name, info)
        for remark in foreign:
            _log.warning("%s: %s", shown(info.path), remark)
        return [*([f"the pictures are {sighting.damage}"] if sighting.damage else []), *foreign]

    def _labels(
        self, path: Path, info: MediaInfo, progress: Progress
    ) -> tuple[InstrumentLabels, Sighting | None, float | None]:
        """Who gets a stem, what was seen, and the gain by which it was listened to, as the plan holds them."""
        if self.config.all_instruments:
            return labels_for_all(self.taxonomy), None, None
        if self.config.instruments is not None:
            return labels_from_instruments(self.config.instruments, self.taxonomy), None, None
        is_given = has_given_labels(str(self.config.detector))
        if not info.has_video and self.config.labels in (None, "video") and not is_given:
            raise ParameterError(
                "This file has sound but no pictures, so nobody can see what plays. Expected --instruments, e.g."
                f" --instruments vn,vc, or --all, or --labels audio (or both) to have it guessed by ear, or --detector"
                f" labels:<file>. Received: {path}"
            )
        sighting = self._look(path, info, progress) if self.config.labels != "audio" else None
        labels, gain = sighting.labels if sighting else None, None
        if asks_sound(self.config.labels, str(self.config.detector), labels):
            gain = recording_gain(path)
            labels = self._with_sound(labels, path, gain, progress)
        assert labels is not None, "there is a witness in every case"
        if not labels.instruments:
            by_list = sighting is not None and labels is sighting.labels and is_given
            raise ParameterError(_nothing_found(labels, path, looked=sighting is not None, by_list=by_list))
        return labels, sighting, gain

    def _look(self, path: Path, info: MediaInfo, progress: Progress) -> Sighting | None:
        """What is seen, or said by files of labels; None where there is neither."""
        config = self.config
        detector = detector_for(str(config.detector), path)
        if detector != self.looker.detector_name:
            self.looker = self._looker(detector)
        if info.has_video:
            return self.looker.look(path, info, progress)
        if not has_given_labels(detector):
            return None
        return sighting_without_pictures(detector, info, config.frames_per_second, config.threshold)

    def _with_sound(
        self, seen: InstrumentLabels | None, path: Path, gain: float, progress: Progress
    ) -> InstrumentLabels:
        taxonomy = URMP_13 if seen is None else self.looker.detector.taxonomy
        heard = labels_from_sound(path, self.tagger, taxonomy=taxonomy, progress=progress, gain=gain)
        return heard if seen is None else fuse(seen, heard)

    def _label_vector(self, labels: InstrumentLabels) -> np.ndarray:
        """1 for every instrument that gets a stem, in the model's order: models are trained on such labels."""
        names = self.separator.source_names
        _require_known(labels.instruments, names)
        return np.array([name in labels.instruments for name in names], np.float32)

    def _write_stems(
        self, plan: SeparationPlan, label_vector: np.ndarray, gain: float, folder: Path, progress: Progress
    ) -> dict[str, WrittenStem]:
        names = self._stem_names(label_vector)
        with ExitStack() as stack:
            reader = stack.enter_context(open_audio(plan.info.path))
            rate = self.config.sample_rate_hz or reader.sample_rate_hz
            writers = {name: stack.enter_context(self._writer(folder, name, rate, reader)) for name in names}
            pictures = {name: StemPicture(rate) for name in names}
            num_samples = 0
            blocks = _at_rate(reader, rate)
            for separated in self.separator.stream(blocks, label_vector, rate, gain=gain, activity=plan.activity):
                for name, block in zip(names, [*separated.estimates, separated.residual]):
                    writers[name].write(block)
                    pictures[name].add(block)
                num_samples += len(separated.mixture)
                progress("separating", num_samples / rate, plan.info.duration_seconds)
            progress("separating", num_samples / rate, num_samples / rate)
            if reader.damage is not None:
                plan.remarks.append(f"the sound is {reader.damage}")
        return {
            name: WrittenStem(writer.path, pictures[name], writer.num_clipped) for name, writer in writers.items()
        }

    def _activity(self, plan: SeparationPlan, gain: float, progress: Progress) -> Activity | None:
        """Who plays when; None where the labels are taken as they are."""
        instruments = plan.labels.instruments
        if not self.config.gate_rests or not should_gate_rests(self.separator.model, instruments):
            return None
        started = time.perf_counter()
        known = known_to_play(plan.labels, plan.sighting.labels if plan.sighting else None)
        activity = activity_from_sound(plan.info.path, instruments, known, self.activity_detector, gain, progress)
        plan.seconds["listening"] = time.perf_counter() - started
        return activity

    def _stem_names(self, label_vector: np.ndarray) -> list[str]:
        """Instruments that get a stem, then the residual if it is asked for."""
        names = [self.separator.source_names[i] for i in self.separator.active(label_vector)]
        return [*names, RESIDUAL] if self.config.residual else names

    def _writer(self, folder: Path, name: str, rate: int, reader: AudioReader) -> AudioWriter:
        return AudioWriter(
            self._stem_path(folder, name),
            rate,
            reader.num_channels,
            file_format=self.config.file_format,
            bit_depth=self.config.bit_depth,
        )

    def _stem_path(self, folder: Path, name: str) -> Path:
        return folder / f"{name}.{self.config.file_format}"

    def _result(self, plan: SeparationPlan, files: dict[str, Path]) -> SeparationResult:
        return SeparationResult(
            input_path=plan.info.path,
            output_dir=plan.directory,
            stems={name: path for name, path in files.items() if name != RESIDUAL},
            labels=plan.labels,
            residual=files.get(RESIDUAL),
            manifest=plan.directory / "manifest.json",
            report=plan.directory / "report.html",
            duration_seconds=plan.info.duration_seconds,
            model=resolve_name(self.config.model),
        )


def separate(
    input_path: str | Path, output_dir: str | Path = "out", *, progress: Callable = silent, **settings
) -> SeparationResult:
    """Separates one performance into a stem per instrument.

    Args:
        input_path: any video or sound file that ffmpeg reads.
        output_dir: the stems go to `<output_dir>/<input's stem>/`.
        progress: called as `progress(stage, done_seconds, total_seconds)`.
        **settings: fields of `pipelines.config.SeparateConfig`, e.g. `instruments=("violin", "cello")`.

    Raises:
        MediaError: for an input that cannot be read or an output that cannot be written.
        ParameterError: for settings that cannot be used; see `SeparationRunner.run`.
    """
    return SeparationRunner(SeparateConfig(**settings)).run(input_path, output_dir, progress)


def _output_of(input_path: Path, output_dir: Path) -> Path:
    """The folder that one input's stems go to."""
    if input_path.stem in ("", ".", ".."):
        raise ParameterError(f"Expected a file whose name can name a folder of stems. Received: {input_path}")
    directory = output_dir / input_path.stem
    # Not `Path.resolve`, which has an error of its own for a link that leads to itself.
    source, target = (Path(os.path.realpath(path)) for path in (input_path, directory))
    if target in (source, *source.parents):
        raise ParameterError(
            "Expected an output beside the input, not in its place; choose another folder with -o."
            f" Received: {directory}"
        )
    return directory


def _at_rate(reader: AudioReader, rate: int) -> Iterator[np.ndarray]:
    resampler = StreamResampler(reader.sample_rate_hz, rate, reader.num_channels)
    for block in reader.blocks():
        yield resampler.process(block)
    yield resampler.process(np.zeros((0, reader.num_channels), np.float32), last=True)


def _validate(config: SeparateConfig) -> None:
    if config.labels not in (None, *WITNESSES):
        raise ParameterError(f"Expected labels by {', '.join(WITNESSES)}. Received: {config.labels!r}")
    if config.instruments is not None and config.all_instruments:
        raise ParameterError("Expected either --instruments or --all. Received: both")
    if config.labels is not None and (config.instruments is not None or config.all_instruments):
        named = "--all" if config.all_instruments else "--instruments"
        raise ParameterError(f"Expected either {named} or --labels. Received: both")
    if not is_joint(config.model):
        require_model(config.model)
    if config.file_format not in AUDIO_FORMATS:
        raise ParameterError(f"Expected a format among {', '.join(AUDIO_FORMATS)}. Received: {config.file_format!r}")
    if config.bit_depth not in BIT_DEPTHS:
        raise ParameterError(f"Expected a bit depth among {BIT_DEPTHS}. Received: {config.bit_depth}")
    if config.sample_rate_hz is not None and not 1000 <= config.sample_rate_hz <= 768_000:
        raise ParameterError(f"Expected a sample rate of 1,000 to 768,000 Hz. Received: {config.sample_rate_hz}")


def _tell_what_is_passed_over(config: SeparateConfig) -> None:
    if config.all_instruments or config.instruments is not None:
        named = "--all" if config.all_instruments else "--instruments"
    elif config.labels == "audio":
        named = "--labels audio"
    else:
        return
    given = {
        "--detector": config.detector is not None,
        "--threshold": config.threshold is not None,
        "--fps": config.frames_per_second != SeparateConfig.frames_per_second,
    }
    if idle := [option for option, is_given in given.items() if is_given]:
        _log.warning("nobody looks where %s says what plays: %s passed over", named, ", ".join(idle))


def _read_instruments(given: str | Iterable[str], taxonomy: Taxonomy) -> tuple[str, ...]:
    """Long names of what the user says plays, in the order of the model's taxonomy.

    Raises:
        ParameterError: for a word that is no instrument, an instrument that the model does not know, or none at all.
    """
    # A model of a few of the orchestra is asked in the orchestra's words: what it lacks is no misspelling.
    spelled = URMP_13 if set(taxonomy.names) <= set(URMP_13.names) else taxonomy
    names = spelled.parse_list(given) if isinstance(given, str) else labels_from_instruments(given, spelled).instruments
    _require_known(names, taxonomy.names)
    return tuple(name for name in taxonomy.names if name in names)


def _require_known(instruments: Iterable[str], known: Sequence[str]) -> None:
    missing = [name for name in instruments if name not in known]
    if missing:
        raise ParameterError(
            f"Expected instruments that the model knows: {', '.join(known)}. Received: {', '.join(missing)}"
        )


def _nothing_found(labels: InstrumentLabels, path: Path, *, looked: bool, by_list: bool) -> str:
    likeliest = int(np.argmax(labels.label_vector))
    confidence = float(labels.label_vector[likeliest])
    # A list decides, however likely an instrument is that it leaves out.
    if by_list and confidence >= labels.threshold:
        return (
            "The file of labels lists no instrument; correct its list, or name them with --instruments, e.g."
            f" --instruments vn,vc. Received: {path}"
        )
    advice = ", or have them guessed by ear with --labels audio" if looked else ""
    if confidence < WORTH_NAMING:
        best = "nothing is like one of them"
    else:
        best = f"best guess: {labels.taxonomy[likeliest]}, {confidence:.2f}"
        if looked:
            # The threshold is the picture's alone.
            advice = f", lower --threshold{advice}"
    return (
        f"No instrument of the {len(labels.taxonomy)} was found with a confidence of {labels.threshold:.2f} or more"
        f" ({best}). Name them with --instruments, e.g. --instruments vn,vc{advice}. Received: {path}"
    )
