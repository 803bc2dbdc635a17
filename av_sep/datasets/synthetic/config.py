"""What a made dataset is to be like."""

from dataclasses import asdict, dataclass
from pathlib import Path

from av_sep.datasets.synthetic.scores import MIN_SECONDS
from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13

_MOST_PLAYERS = 8
_ROOM_TO_PLAY_SECONDS = 2.0


@dataclass(frozen=True)
class SyntheticConfig:
    """A made dataset. Every piece follows from this and its number alone.

    Attributes:
        num_pieces: how many pieces.
        seconds: length of each, sound and film alike.
        seed: another seed, other pieces.
        notes: folder of recorded notes, `<library>/<instrument>/*.wav` (.ogg, .flac); None for none.
        soundfonts: .sf2 or .sf3 files. With neither notes nor soundfonts, those in Debian's usual places are taken.
        scores: folder of .mxl, .musicxml, .xml or .mid files to play from; None to compose.
        pictures: folder of players' pictures for the film; None to draw them.
        instruments: long names of URMP_13 to draw ensembles from; None for all that there are sounds for.
        min_players: smallest ensemble.
        max_players: largest ensemble.
        sample_rate_hz: of all sound.
        num_channels: 1, or 2 with the players in their places from left to right.
        video: whether to make the film.
        width: of the film, pixels, even.
        height: likewise.
        fps: video frames per second.
    """

    num_pieces: int = 100
    seconds: float = 30.0
    seed: int = 0
    notes: Path | None = None
    soundfonts: tuple[Path, ...] = ()
    scores: Path | None = None
    pictures: Path | None = None
    instruments: tuple[str, ...] | None = None
    min_players: int = 2
    max_players: int = 5
    sample_rate_hz: int = 48000
    num_channels: int = 2
    video: bool = True
    width: int = 640
    height: int = 360
    fps: float = 25.0

    def __post_init__(self) -> None:
        for name in ("notes", "scores", "pictures"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else Path(value))
        object.__setattr__(self, "soundfonts", tuple(Path(path) for path in self.soundfonts))
        if self.instruments is not None:
            object.__setattr__(self, "instruments", tuple(self.instruments))
        self._check()

    def _check(self) -> None:
        """Raises ParameterError for what cannot be made."""
        shortest = MIN_SECONDS + _ROOM_TO_PLAY_SECONDS
        limits = {
            "num_pieces": (1, 9999),
            "seconds": (shortest, 3600.0),
            "seed": (0, 2**63 - 1),
            "min_players": (1, _MOST_PLAYERS),
            "max_players": (self.min_players, _MOST_PLAYERS),
            "sample_rate_hz": (16000, 96000),
            "num_channels": (1, 2),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ParameterError(f"Expected {name} between {low:g} and {high:g}. Received: {value!r}")
        for name in self.instruments or ():
            URMP_13.index(name)
        if self.instruments == ():
            raise ParameterError("Expected at least one instrument, or None for all. Received: none")

    def as_json(self) -> dict[str, object]:
        """The same for a JSON file; paths as text."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
