"""Pictures and a sound file into one mp4 file, H.264 and AAC: same input, same bytes, on any number of cores."""

import math
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import ffmpeg
import numpy as np

from av_sep.errors import ParameterError
from av_sep.media import probe, replace_when_complete
from av_sep.media.encoder_pipe import EncoderPipe
from av_sep.media.ffmpeg import file_url, media_input
from av_sep.media.probe import require_sound

# A stage that hardly moves is cheap to encode: quality 23 takes about 100 kB a second at 640 x 360.
_VIDEO = {"vcodec": "libx264", "preset": "veryfast", "crf": 23, "pix_fmt": "yuv420p"}
_AUDIO = {"acodec": "aac", "b:a": "160k"}
# One thread, because x264 decides otherwise with four; neither dates nor versions (x264 writes its own into a message
# of type 6).
_SAME_BYTES = {"threads": 1, "fflags": "+bitexact", "flags:v": "+bitexact", "flags:a": "+bitexact", "map_metadata": -1}
_NO_MESSAGES = {"bsf:v": "filter_units=remove_types=6"}


class FilmFile:
    """A film being written, as a context manager; it takes its name only when it is complete.

    Attributes:
        path: the film.
        num_pictures: how many it needs.
        pictures_per_second: how fast they follow one another.
    """

    def __init__(
        self,
        path: Path,
        sound: Path,
        *,
        seconds: float,
        width: int,
        height: int,
        fps: float,
        num_repeats: int = 1,
    ):
        """Check the arguments; the file is opened on entering.

        Args:
            path: the film; its folder must exist.
            sound: any file with sound; it is cut, or filled with silence, to `seconds`.
            seconds: length of the film, rounded to whole video frames.
            width: of the pictures in pixels, even.
            height: likewise.
            fps: video frames per second of the film.
            num_repeats: for how many video frames each of the pictures to come stays.

        Raises:
            ParameterError: for a size that is not even and positive, or a length or rate that is not positive.
            MediaError: for a sound file that cannot be used.
        """
        for name, size in (("width", width), ("height", height)):
            if size <= 0 or size % 2:
                raise ParameterError(f"Expected an even {name} above 0, as H.264 needs it. Received: {size}")
        for name, value in (("seconds", seconds), ("fps", fps)):
            if not (math.isfinite(value) and value > 0):
                raise ParameterError(f"Expected {name} above 0. Received: {value}")
        require_sound(probe(sound))
        self.path = Path(path)
        self._sound = sound
        self._num_frames = max(1, round(seconds * fps))
        self.num_pictures = -(-self._num_frames // num_repeats)
        self.pictures_per_second = fps / num_repeats
        self._size = f"{width}x{height}"
        self._fps = fps
        self._num_repeats = num_repeats
        self._num_written = 0
        self._stack = ExitStack()
        self._pipe: EncoderPipe | None = None

    def write(self, picture: np.ndarray) -> None:
        """Append one picture, uint8 RGB `[height, width, 3]`.

        Raises:
            MediaError: where ffmpeg gave up, for instance as the disk is full.
        """
        assert self._pipe is not None
        # ffmpeg is given every video frame, and no more than the film has: told to repeat pictures and to stop after so
        # many frames, version 5 loses the last one and the end of the sound.
        num_frames = min(self._num_repeats, self._num_frames - self._num_written)
        for _ in range(num_frames):
            self._pipe.write(np.ascontiguousarray(picture).data)
        self._num_written += num_frames

    def __enter__(self) -> "FilmFile":
        # Ends in reverse order: ffmpeg must have succeeded before the film takes its name.
        with ExitStack() as stack:
            temporary = stack.enter_context(replace_when_complete(self.path))
            self._pipe = stack.enter_context(EncoderPipe(self._output(temporary), self.path))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _output(self, temporary: Path):
        pictures = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", s=self._size, r=self._fps)
        seconds = self._num_frames / self._fps
        sound = media_input(self._sound)["a:0"].filter("apad", whole_dur=seconds).filter("atrim", end=seconds)
        options: dict[str, object] = {"format": "mp4", "movflags": "+faststart"}
        options |= {**_VIDEO, **_AUDIO, **_SAME_BYTES, **_NO_MESSAGES}
        return ffmpeg.output(pictures, sound, file_url(temporary), **options)
