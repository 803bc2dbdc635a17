"""Media files as people have them: what is in them, their sound, their pictures, and writing sound.

Conventions:
    waveforms are float32 `[time, channels]`, full scale is 1.0; pictures are uint8 RGB `[height, width, 3]`; times are
    seconds from the start of the file, the same for sound and pictures. Sound comes at the file's own rate and channels
    in the order ffmpeg gives them (WAV order: front left, front right, front centre, low frequency, ...).
    A file that cannot be used raises `MediaError`, an argument that cannot be used raises `ParameterError`; both say
    so in one line. Everything streams: memory does not grow with the length of a file.

Performances and the recordings of datasets are read through ffmpeg alone, whatever their format: one path to trust, and
one notion of time. ffmpeg's decoders keep float samples beyond full scale and reproduce 16- and 24-bit samples exactly.
What has no time to keep (notes of sample libraries, photographs) is read by those whom it concerns. Use the system's
ffmpeg where there is one on PATH and the one that imageio-ffmpeg brings otherwise; ffprobe is never needed.
"""

from av_sep.media.audio_reader import AudioReader, open_audio, read_audio
from av_sep.media.audio_writer import AUDIO_FORMATS, BIT_DEPTHS, MP3_SAMPLE_RATES_HZ, AudioWriter, write_audio
from av_sep.media.ffmpeg import ensure_ffmpeg_on_path, ffmpeg_executable
from av_sep.media.files import MEDIA_EXTENSIONS, SOUND_EXTENSIONS, VIDEO_EXTENSIONS, find_media, replace_when_complete
from av_sep.media.probe import probe
from av_sep.media.video import video_frames

__all__ = [
    "AUDIO_FORMATS",
    "BIT_DEPTHS",
    "MEDIA_EXTENSIONS",
    "MP3_SAMPLE_RATES_HZ",
    "SOUND_EXTENSIONS",
    "VIDEO_EXTENSIONS",
    "AudioReader",
    "AudioWriter",
    "ensure_ffmpeg_on_path",
    "ffmpeg_executable",
    "find_media",
    "open_audio",
    "probe",
    "read_audio",
    "replace_when_complete",
    "video_frames",
    "write_audio",
]
