"""Recordings and films made by the real ffmpeg, and films turned as phones turn them."""

import struct
import subprocess

import numpy as np

from av_sep.media import ffmpeg_executable

# Of the matrix in a track header, from the header's name (ISO 14496-12, 8.3.2); its rotation part by degrees clockwise.
TKHD_MATRIX_OFFSET = 44
ROTATIONS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def run_ffmpeg(*arguments, pictures=None, fps=25):
    """Runs ffmpeg; `pictures` (uint8 RGB `[num_video_frames, height, width, 3]`) are its first input."""
    command = [ffmpeg_executable(), "-v", "error", "-y"]
    if pictures is not None:
        _, height, width, _ = pictures.shape
        command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "pipe:"]
    data = b"" if pictures is None else np.ascontiguousarray(pictures).tobytes()
    subprocess.run([*command, *map(str, arguments)], check=True, input=data)


def rotate_mp4(path, degrees):
    """Has an mp4 or mov file's header say that its pictures are to be turned clockwise."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + TKHD_MATRIX_OFFSET
    # 16.16 fixed point.
    a, b, c, d = (value << 16 for value in ROTATIONS[degrees])
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
