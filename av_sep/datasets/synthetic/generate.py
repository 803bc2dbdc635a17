"""A dataset of made pieces on disk, URMP's layout, and `dataset.json` beside the pieces, which says how they were made.

A piece follows from the configuration and its number alone, so pieces can be made in any order and by any number of
processes, and a run that was stopped goes on where it ended. A folder bears a piece's name only when it is complete.
"""

import json
import re
from collections.abc import Callable, Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from av_sep.datasets.synthetic.config import SyntheticConfig
from av_sep.datasets.synthetic.cut_outs import cut_out
from av_sep.datasets.synthetic.ensembles import Player, draw_ensemble
from av_sep.datasets.synthetic.performance import perform
from av_sep.datasets.synthetic.piece import (
    PieceNames,
    microphone_sounds,
    write_annotations,
    write_sounds,
    write_video,
)
from av_sep.datasets.synthetic.score_files import read_score
from av_sep.datasets.synthetic.scores import Score, compose
from av_sep.datasets.synthetic.sound_sources import (
    SoundSources,
    choose_voicing,
    load_samples,
    open_sources,
    play_parts,
)
from av_sep.datasets.synthetic.soundfont_player import listen
from av_sep.datasets.synthetic.source_files import describe_sources
from av_sep.errors import MediaError, ParameterError, shown
from av_sep.media.files import cannot_write, replace_when_complete
from av_sep.part_folders import filled_folder, remove_left_parts
from av_sep.processes import run_in_processes

INDEX_NAME = "dataset.json"
# Raised when the same configuration would give other bytes than before, so that no dataset is half old and half new.
RECIPE_VERSION = 1
_PIECE_FOLDER = re.compile(r"(\d{4,})_.+")
_LEAD_IN_SECONDS = (0.3, 0.8)
_LEAD_OUT_SECONDS = 1.0
# Streams of chance; each has its own, so that leaving out the film, say, changes nothing else.
_ENSEMBLE, _SCORE, _PERFORMANCE, _SOUND, _ROOM, _FILM = range(6)

Progress = Callable[[str, float, float], None]


def _chance(config: SyntheticConfig, index: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([config.seed, index, stream])


def _players(config: SyntheticConfig, index: int, sources: SoundSources) -> tuple[Player, ...]:
    instruments = config.instruments or sources.instruments
    return draw_ensemble(instruments, config.min_players, config.max_players, _chance(config, index, _ENSEMBLE))


def _score(config: SyntheticConfig, players: Sequence[Player], index: int, seconds: float) -> Score:
    rng = _chance(config, index, _SCORE)
    if config.scores is None:
        return compose(players, seconds, rng)
    from av_sep.datasets.synthetic.score_files import excerpt

    return excerpt(config.scores, players, seconds, rng)


def generate_piece(config: SyntheticConfig, index: int, output_dir: Path | str) -> Path:
    """Makes one piece; its files depend on `config` (but for `num_pieces`) and `index` alone.

    Args:
        config: what to make.
        index: which piece, counted from 0.
        output_dir: where the piece's folder goes; it must exist. A finished piece of that number is made anew.

    Returns:
        The piece's folder.

    Raises:
        ParameterError: for an instrument without sounds, and settings that cannot be.
        MediaError: for sounds, scores or pictures that cannot be read, and files that cannot be written.
    """
    sources = open_sources(config.notes, config.soundfonts)
    start = float(_chance(config, index, _PERFORMANCE).uniform(*_LEAD_IN_SECONDS))
    end = config.seconds - _LEAD_OUT_SECONDS
    players = _players(config, index, sources)
    score = _score(config, players, index, end - start)
    performed = perform(score, start, end, _chance(config, index, _PERFORMANCE))
    rng = _chance(config, index, _SOUND)
    voicings = [choose_voicing(sources, part, config.sample_rate_hz, rng) for part in performed]
    fitted = [voicing.fitted(part) for voicing, part in zip(voicings, performed)]
    num_samples = round(config.seconds * config.sample_rate_hz)
    rendered = play_parts(fitted, voicings, num_samples, config.sample_rate_hz, rng)
    names = PieceNames(index + 1, score.title, tuple(part.instrument for part in score.parts))
    sounds = microphone_sounds(rendered, config, _chance(config, index, _ROOM))
    folder = Path(output_dir) / names.folder
    try:
        with filled_folder(folder) as part:
            mixture = write_sounds(part, names, sounds, config.sample_rate_hz)
            write_annotations(part, names, score, rendered, config.sample_rate_hz)
            if config.video:
                write_video(part, names, rendered, mixture, config, _chance(config, index, _FILM))
    except MediaError:
        raise
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder


def generate(
    config: SyntheticConfig, output_dir: Path | str, num_processes: int = 1, progress: Progress | None = None
) -> list[Path]:
    """Makes a dataset, or what is missing of it.

    Args:
        config: what to make. More pieces than before may be asked for; everything else must be as it was.
        output_dir: the dataset's folder.
        num_processes: how many pieces to make at once.
        progress: told ("pieces", number done, number wanted).

    Returns:
        The pieces' folders in order.

    Raises:
        ParameterError: for a folder that holds another dataset or anything else, and settings that cannot be.
        MediaError: as `generate_piece`.
    """
    root = Path(output_dir)
    # Sounds, scores and pictures that an earlier call read may be others by now.
    for cached in (open_sources, load_samples, listen, cut_out, read_score):
        cached.cache_clear()
    _claim(root, config)
    remove_left_parts(root)
    finished = _finished(root)
    waiting = [index for index in range(config.num_pieces) if index not in finished]
    done = config.num_pieces - len(waiting)
    report = progress or (lambda stage, done, total: None)
    report("pieces", done, config.num_pieces)
    with closing(_made(config, waiting, root, num_processes)) as made:
        for index, folder in made:
            finished[index] = folder
            done += 1
            report("pieces", done, config.num_pieces)
    return [finished[index] for index in range(config.num_pieces)]


def _made(
    config: SyntheticConfig, indices: Sequence[int], root: Path, num_processes: int
) -> Generator[tuple[int, Path], None, None]:
    """(index, folder) of each piece as it is finished."""
    make = partial(_make, config, root)
    if num_processes <= 1 or len(indices) <= 1:
        yield from zip(indices, map(make, indices))
        return
    try:
        with closing(run_in_processes(make, indices, num_processes)) as finished:
            for position, folder in finished:
                yield indices[position], folder
    except BrokenProcessPool as error:
        raise MediaError(
            "A process that made pieces was ended from outside, perhaps for want of memory (each takes about 1 GB);"
            " run it again with fewer processes to go on"
        ) from error


def _make(config: SyntheticConfig, root: Path, index: int) -> Path:
    return generate_piece(config, index, root)


def _finished(root: Path) -> dict[int, Path]:
    """Index -> folder of the pieces that are there."""
    named = ((_PIECE_FOLDER.fullmatch(path.name), path) for path in sorted(root.iterdir()) if path.is_dir())
    return {int(match[1]) - 1: path for match, path in named if match}


def _description(config: SyntheticConfig) -> dict[str, object]:
    sources = open_sources(config.notes, config.soundfonts)
    for name in config.instruments or ():
        if name not in sources.instruments:
            raise ParameterError(f"There are no sounds for this instrument. Received: {name!r}")
    return {
        "made_by": "av-sep",
        "recipe_version": RECIPE_VERSION,
        "config": config.as_json(),
        "sources": describe_sources(config, sources),
    }


def _claim(root: Path, config: SyntheticConfig) -> None:
    """Makes the folder ready for this configuration and writes its index."""
    wanted = _description(config)
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not any(root.iterdir()) or (root / INDEX_NAME).is_file():
            _check_same(root, wanted)
        else:
            raise ParameterError(f"The folder holds something else; choose another. Received: {shown(root)}")
    except (MediaError, ParameterError):
        raise
    except OSError as error:
        raise cannot_write(root, error) from error
    with replace_when_complete(root / INDEX_NAME) as temporary:
        temporary.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")


def _check_same(root: Path, wanted: dict[str, object]) -> None:
    """Raises ParameterError where the folder's index tells of another configuration."""
    path = root / INDEX_NAME
    if not path.is_file():
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MediaError(f"Expected JSON ({error}). Received: {shown(path)}") from error
    differences = _differences(found, wanted)
    if differences:
        raise ParameterError(
            f"The folder holds a dataset made otherwise ({', '.join(differences)}); choose another folder."
            f" Received: {shown(root)}"
        )


def _differences(found: object, wanted: dict[str, object]) -> list[str]:
    """Names of the settings that differ; the number of pieces may."""
    if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
        return [INDEX_NAME]
    names = _unequal(found["config"], wanted["config"], but=("num_pieces",))
    names += [name for name in ("made_by", "recipe_version") if found.get(name) != wanted[name]]
    # A dataset of before digests has a list of names here.
    sources = found.get("sources")
    return names + (_unequal(sources, wanted["sources"]) if isinstance(sources, dict) else ["sources"])


def _unequal(found: dict[str, Any], wanted: Any, but: Sequence[str] = ()) -> list[str]:
    """Keys whose values differ or that only one has."""
    keys = dict.fromkeys((*wanted, *found))
    return [key for key in keys if key not in but and (key not in found or found[key] != wanted.get(key))]
