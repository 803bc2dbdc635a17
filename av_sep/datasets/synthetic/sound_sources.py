"""Which sounds play which instrument: folders of recorded notes, and soundfonts.

Nothing is decoded before a player needs it; what has been decoded is kept for the life of the process, up to about
30 MB for each library and instrument.

Conventions:
    Waveforms are float32 `[time]`, mono, not leveled. All chance comes from the generators passed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from av_sep.datasets.note_samples import NoteSample, SampleSet, index_note_samples, load_sample_set
from av_sep.datasets.soundfonts import require_soundfont
from av_sep.datasets.synthetic.harmony import fold
from av_sep.datasets.synthetic.performance import PlayedPart
from av_sep.datasets.synthetic.sample_player import RenderedPart, play_samples
from av_sep.datasets.synthetic.soundfont_player import play_soundfont
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import URMP_13

# Where Debian's packages of General MIDI soundfonts put them, the better ones first.
USUAL_SOUNDFONTS = (
    Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    Path("/usr/share/sounds/sf3/MuseScore_General.sf3"),
    Path("/usr/share/sounds/sf3/MuseScore_General_Full.sf3"),
    Path("/usr/share/sounds/sf2/TimGM6mb.sf2"),
)
_SOUNDFONT_SUFFIXES = {".sf2", ".sf3"}
_SAMPLES_PER_PITCH = 6
_MOST_SAMPLES = 220
_SETS_IN_MEMORY = 24
_RECORDED_SHARE = 0.7
_ARTICULATION_SHARES = {"ordinary": 0.92, "pizzicato": 0.05, "muted": 0.03}
_MIN_NOTES = 6
# Recorded notes are shifted no further than this; whatever lies beyond is played an octave away.
_LARGEST_SHIFT = 3


@dataclass(frozen=True)
class SoundSources:
    """All the sounds there are to play with.

    Attributes:
        libraries: instrument -> names of the libraries that have recorded notes of it, sorted.
        samples: the libraries' files, (library, instrument) -> files.
        soundfonts: .sf2 and .sf3 files, which play every instrument.
    """

    libraries: dict[str, tuple[str, ...]]
    samples: dict[tuple[str, str], tuple[NoteSample, ...]]
    soundfonts: tuple[Path, ...]

    @property
    def instruments(self) -> tuple[str, ...]:
        """Instruments that can be played, in the taxonomy's order."""
        return tuple(name for name in URMP_13.names if self.soundfonts or name in self.libraries)


@lru_cache(maxsize=8)
def open_sources(notes_folder: Path | None, soundfonts: tuple[Path, ...]) -> SoundSources:
    """Finds out what there is to play with; reads names only.

    Args:
        notes_folder: `<library>/<instrument>/*` with .ogg, .wav or .flac files of single notes; None for none.
        soundfonts: .sf2 or .sf3 files. With neither notes nor soundfonts, those in Debian's places are taken.

    Raises:
        MediaError: for a missing folder or file, and where there is nothing to play with.
        ParameterError: for a soundfont of another kind.
    """
    for path in soundfonts:
        if path.suffix.lower() not in _SOUNDFONT_SUFFIXES:
            raise ParameterError(f"Expected a soundfont (.sf2 or .sf3). Received: {path}")
        if not path.is_file():
            raise MediaError(f"There is no such soundfont. Received: {path}")
        require_soundfont(path)
    if notes_folder is None and not soundfonts:
        present = (path for path in USUAL_SOUNDFONTS if path.is_file())
        soundfonts = tuple({path.resolve(): path for path in present}.values())
        if not soundfonts:
            raise MediaError(
                "There is nothing to play with: give a folder of recorded notes or a soundfont, or install one"
                " (apt: fluid-soundfont-gm)"
            )
    groups: dict[tuple[str, str], list[NoteSample]] = {}
    for sample in index_note_samples(notes_folder, URMP_13.names) if notes_folder is not None else ():
        if sample.articulation in _ARTICULATION_SHARES:
            groups.setdefault((sample.library, sample.instrument), []).append(sample)
    if notes_folder is not None and not groups and not soundfonts:
        raise MediaError(f"Expected recorded notes as <library>/<instrument>/*.wav. Received: {notes_folder}")
    libraries = {
        name: tuple(library for library, instrument in groups if instrument == name)
        for name in URMP_13.names
        if any(instrument == name for _, instrument in groups)
    }
    return SoundSources(libraries, {group: thinned(samples) for group, samples in groups.items()}, soundfonts)


def thinned(samples: Sequence[NoteSample]) -> tuple[NoteSample, ...]:
    """At most six files for each articulation and pitch and 220 in all, spread evenly: what a player needs.

    Large libraries hold every note in dozens of lengths and dynamics; to decode them all takes seconds and gigabytes.
    """
    groups: dict[tuple[str, int | None], list[NoteSample]] = {}
    for sample in samples:
        groups.setdefault((sample.articulation, sample.pitch), []).append(sample)
    kept = []
    for (_, pitch), group in groups.items():
        kept += group if pitch is None else _spread(group, _SAMPLES_PER_PITCH)
    return tuple(_spread(sorted(kept, key=lambda sample: sample.path), _MOST_SAMPLES))


def _spread(samples: Sequence[NoteSample], most: int) -> list[NoteSample]:
    if len(samples) <= most:
        return list(samples)
    return [samples[int(i)] for i in np.linspace(0, len(samples) - 1, most)]


@lru_cache(maxsize=_SETS_IN_MEMORY)
def load_samples(samples: tuple[NoteSample, ...], sample_rate_hz: int) -> SampleSet:
    return load_sample_set(samples, sample_rate_hz)


@dataclass(frozen=True, eq=False)
class Voicing:
    """A player's choice of sound: one articulation of a library, or a soundfont.

    Attributes:
        name: of the library or soundfont.
        sample_set: the library's notes; None for a soundfont.
        soundfont: the soundfont; None for a library.
    """

    name: str
    sample_set: SampleSet | None = None
    soundfont: Path | None = None

    def fitted(self, part: PlayedPart) -> PlayedPart:
        """The part as this sound can play it: notes far beyond a library's lowest and highest move by octaves."""
        if self.sample_set is None or not part.notes:
            return part
        low, high = self.sample_set.pitch_range()
        limits = (low - _LARGEST_SHIFT, high + _LARGEST_SHIFT)
        if limits[1] - limits[0] < 12:
            return part
        notes = tuple(
            replace(played, note=replace(played.note, pitch=fold(played.note.pitch, limits))) for played in part.notes
        )
        return replace(part, notes=notes)


def choose_voicing(
    sources: SoundSources, part: PlayedPart, sample_rate_hz: int, rng: np.random.Generator
) -> Voicing:
    """A sound for a part: recorded notes rather than a soundfont, and such as cover the part's range.

    Where nothing covers it, the first choice is taken, and the part has to be fitted to it (`Voicing.fitted`).

    Raises:
        ParameterError: where nothing plays this instrument.
        MediaError: where a recorded note cannot be decoded.
    """
    libraries = list(sources.libraries.get(part.instrument, ()))
    if not libraries and not sources.soundfonts:
        raise ParameterError(f"There are no sounds for this instrument. Received: {part.instrument!r}")
    order: list[Path | str] = [libraries[i] for i in rng.permutation(len(libraries))]
    fonts = [sources.soundfonts[i] for i in rng.permutation(len(sources.soundfonts))]
    recorded_first = rng.random() < _RECORDED_SHARE
    order = order + list(fonts) if recorded_first else list(fonts) + order
    voicings = (_voicing(sources, choice, part, sample_rate_hz, rng) for choice in order)
    fallback = None
    for voicing in voicings:
        if voicing is None:
            continue
        fallback = fallback or voicing
        if voicing.fitted(part) == part:
            return voicing
    if fallback is None:
        raise MediaError(f"None of the recorded notes of this instrument can be used. Received: {part.instrument!r}")
    return fallback


def _voicing(
    sources: SoundSources, choice: Path | str, part: PlayedPart, sample_rate_hz: int, rng: np.random.Generator
) -> Voicing | None:
    """A choice with its sounds loaded; None where a library holds no usable note."""
    if isinstance(choice, Path):
        return Voicing(choice.name, soundfont=choice)
    sample_set = load_samples(sources.samples[choice, part.instrument], sample_rate_hz)
    subsets = [sample_set.with_articulation(name) for name in _ARTICULATION_SHARES]
    sizes = np.array([len(subset.notes) for subset in subsets])
    if not sizes.any():
        return None
    shares = np.array(list(_ARTICULATION_SHARES.values())) * (sizes >= _MIN_NOTES)
    if not shares.any():
        shares = (sizes == sizes.max()).astype(float)
    chosen = int(rng.choice(len(subsets), p=shares / shares.sum()))
    return Voicing(choice, sample_set=subsets[chosen])


def play_parts(
    parts: Sequence[PlayedPart], voicings: Sequence[Voicing], num_samples: int, sample_rate_hz: int,
    rng: np.random.Generator,
) -> list[RenderedPart]:
    """All parts of a piece, each with its own sound; parts of one soundfont share a run of fluidsynth.

    Raises:
        MediaError: where fluidsynth is missing or fails.
    """
    rendered: dict[int, RenderedPart] = {}
    for i, (part, voicing) in enumerate(zip(parts, voicings)):
        if voicing.sample_set is not None:
            rendered[i] = play_samples(part.notes, voicing.sample_set, num_samples, rng)
    for font in dict.fromkeys(voicing.soundfont for voicing in voicings if voicing.soundfont is not None):
        players = [i for i, voicing in enumerate(voicings) if voicing.soundfont == font]
        lines = play_soundfont([parts[i] for i in players], font, num_samples, sample_rate_hz)
        rendered.update(zip(players, lines))
    return [rendered[i] for i in range(len(parts))]
