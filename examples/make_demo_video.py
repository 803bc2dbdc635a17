"""Make the demo: a short performance by a violin, a cello and a trumpet whose true stems are known.

    apt-get install fluidsynth musescore-general-soundfont
    apt-get download gcompris-qt-data && dpkg -x gcompris-qt-data_*.deb gcompris
    python examples/make_demo_video.py --soundfont /usr/share/sounds/sf3/MuseScore_General_Full.sf3 \
        --photos gcompris/usr/share/gcompris-qt/rcc/explore_world_music.rcc

The files in examples/demo were made so, with fluidsynth 2.3.1, musescore-general-soundfont 0.2.1 and gcompris-qt-data
3.1. The music is Beethoven's "Ode to Joy" (1824) in a setting for three made for this demo
(examples/demo/parts.json). Each part is rendered alone, with its own reverberation; the stems are those renders as
16-bit samples, and the mixture is their sum, sample by sample. The pictures are players cut out of three openly
licensed photographs (examples/demo/LICENSES.md), put on a drawn stage, and moved with the notes they play.

Conventions:
    The stage is laid out in points, 640 x 360 of them; the video has `PIXELS_PER_POINT` pixels to each. Photographs
    keep pixels of their own. Times are seconds from the start, positions in the score are beats.

Cost: about a minute on two cores.
"""

import json
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
import soundfile as sf

from av_sep.media import ffmpeg_executable, read_audio

SEED = 9
SAMPLE_RATE_HZ = 44_100
NUM_SAMPLES = 689 * 1024  # whole AAC frames, so that the decoded sound is exactly as long as the stems
BEATS_PER_MINUTE = 132
TICKS_PER_BEAT = 480
LEAD_IN_SECONDS = 0.25
FPS = 25
PIXELS_PER_POINT = 1.5
STAGE_WIDTH, STAGE_HEIGHT = 640, 360
FLOOR_Y = 232
WEDGE_TOP_Y = 290

_NOTE_BEATS = {"e": 0.5, "q": 1.0, "q.": 1.5, "h": 2.0}
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
# MIDI expression, 0..127, at the start of each bar and at the end; straight lines between.
_DYNAMICS = (84, 92, 100, 108, 96, 106, 116, 124, 110)
_CLOTH = np.array([17.0, 17.0, 19.0])
_REVERB = ("synth.reverb.room-size=0.5", "synth.reverb.level=0.35", "synth.chorus.active=0", "synth.gain=0.5")


@dataclass(frozen=True)
class Part:
    """One player: his music and his picture, an entry of parts.json.

    Attributes:
        instrument: name in the taxonomy.
        program: General MIDI program, from 0.
        pan: MIDI pan, 0 left to 127 right.
        level_db: root mean square of the stem, dB below full scale.
        notes: bars; a note is name, octave and length, e.g. "F#4q.": e, q, q. and h are an eighth, a quarter, a dotted
            quarter and a half note.
        photo: file in the photo collection.
        outline: polygon around the player, pixels of the photo.
        holes: polygons inside it through which the photo's background shows.
        mended: polygons of black cloth painted over what stands before him in the photo.
        scale: stage points per pixel of the photo.
        anchor_photo: the photo's pixel that stands at `anchor_stage`, and about which the player sways.
        anchor_stage: stage points.
        bow: the bow's two ends in pixels of the photo, the hand's first; None for a wind instrument.
        gain: brightness of the cut-out.
        music_stand: left, top, right and bottom of the desk before him in stage points, None for none.
    """

    instrument: str
    program: int
    pan: int
    level_db: float
    notes: Sequence[str]
    photo: str
    outline: Sequence[Sequence[float]]
    holes: Sequence[Sequence[Sequence[float]]]
    mended: Sequence[Sequence[Sequence[float]]]
    scale: float
    anchor_photo: Sequence[float]
    anchor_stage: Sequence[float]
    bow: Sequence[Sequence[float]] | None
    gain: float
    music_stand: Sequence[float] | None

    def box_xyxy(self) -> tuple[float, float, float, float]:
        """Box around the player on the stage, in points, down to the loudspeaker that hides his legs."""
        outline = (np.array(self.outline) - self.anchor_photo) * self.scale + self.anchor_stage
        (x1, y1), (x2, y2) = outline.min(axis=0), outline.max(axis=0)
        return float(x1), float(y1), float(x2), float(min(y2, WEDGE_TOP_Y))


@dataclass(frozen=True)
class Note:
    """A MIDI pitch that starts at `start_beats` and lasts `num_beats`."""

    pitch: int
    start_beats: float
    num_beats: float


@dataclass(frozen=True)
class Pose:
    """How a player stands in one video frame.

    Attributes:
        sway_radians: turn about his anchor, clockwise.
        bow: how far the bow is drawn, pixels of the photo along it.
        light: brightness, 1 on average.
    """

    sway_radians: float
    bow: float
    light: float


# The score


def parse_notes(bars: Sequence[str]) -> list[Note]:
    """Notes of a part, one after the other.

    Raises:
        ValueError: where a bar does not have four beats.
    """
    notes, start = [], 0.0
    for number, bar in enumerate(bars, 1):
        for token in bar.split():
            name = token.rstrip(".ehq")
            beats = _NOTE_BEATS[token[len(name) :]]
            pitch = 12 * (int(name[-1]) + 1) + _STEPS[name[0]] + ("#" in name)
            notes.append(Note(pitch, start, beats))
            start += beats
        if start != 4 * number:
            raise ValueError(f"Expected four beats in bar {number}. Received: {bar!r}")
    return notes


def note_times(part: Part) -> np.ndarray:
    """When the notes start, and when the last one ends: seconds `[num_notes + 1]`, as written."""
    notes = parse_notes(part.notes)
    beats = [note.start_beats for note in notes] + [notes[-1].start_beats + notes[-1].num_beats]
    return LEAD_IN_SECONDS + np.array(beats) * 60 / BEATS_PER_MINUTE


def midi_file(part: Part, rng: np.random.Generator) -> bytes:
    """A part as a Standard MIDI File of format 0, played with small unevenness of time and force."""
    events: list[tuple[int, bytes]] = [
        (0, bytes([0xFF, 0x51, 3]) + round(60e6 / BEATS_PER_MINUTE).to_bytes(3, "big")),
        (0, bytes([0xC0, part.program])),
        (0, bytes([0xB0, 10, part.pan])),
    ]
    lead_in_beats = LEAD_IN_SECONDS * BEATS_PER_MINUTE / 60
    for step in range(16 * len(part.notes)):
        expression = round(np.interp(step / 16, np.arange(len(_DYNAMICS)), _DYNAMICS))
        events.append((_ticks(lead_in_beats + step / 4), bytes([0xB0, 11, expression])))
    for note in parse_notes(part.notes):
        accent = 8 if note.start_beats % 4 == 0 else 3 if note.start_beats % 1 == 0 else 0
        start = lead_in_beats + note.start_beats + rng.normal(0, 0.008)
        events.append((_ticks(start), bytes([0x90, note.pitch, 84 + accent + int(rng.integers(-4, 5))])))
        events.append((_ticks(start + 0.94 * note.num_beats), bytes([0x80, note.pitch, 0])))
    track, now = b"", 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        track += _variable_length(tick - now) + message
        now = tick
    track += b"\0\xff\x2f\0"
    return struct.pack(">4sIHHH4sI", b"MThd", 6, 0, 1, TICKS_PER_BEAT, b"MTrk", len(track)) + track


def _ticks(beats: float) -> int:
    return max(0, round(beats * TICKS_PER_BEAT))


def _variable_length(value: int) -> bytes:
    """A MIDI delta time: seven bits a byte, most significant first."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | value & 0x7F)
    return bytes(reversed(groups))


# Sound


def render_stem(part: Part, soundfont: Path, rng: np.random.Generator) -> np.ndarray:
    """One part alone, with its own reverberation: int16 `[time, 2]` of `NUM_SAMPLES` samples."""
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder) / "part.mid", Path(folder) / "part.wav"
        midi.write_bytes(midi_file(part, rng))
        options = [word for setting in _REVERB for word in ("-o", setting)]
        output = ["-T", "wav", "-O", "float", "-r", str(SAMPLE_RATE_HZ), "-F", str(wav)]
        command = ["fluidsynth", "-ni", *options, *output, str(soundfont), str(midi)]
        subprocess.run(command, check=True, capture_output=True)
        sound, _ = sf.read(wav, always_2d=True)
    sound = np.pad(sound, ((0, max(0, NUM_SAMPLES - len(sound))), (0, 0)))[:NUM_SAMPLES]
    sound *= np.clip((NUM_SAMPLES - np.arange(NUM_SAMPLES)) / (0.3 * SAMPLE_RATE_HZ), 0, 1)[:, None]
    sound *= 10 ** (part.level_db / 20) / np.sqrt(np.mean(sound**2))
    return np.round(sound * 32768).astype(np.int16)


def loudness(stem: np.ndarray) -> np.ndarray:
    """How loud a stem is in each video frame, 0..1 of its loudest: float `[num_frames]`."""
    hop = SAMPLE_RATE_HZ // FPS
    power = np.mean((stem.astype(np.float64) / 32768) ** 2, axis=1)
    frames = np.array([power[start : start + hop].mean() for start in range(0, len(stem), hop)])
    level = np.sqrt(np.convolve(np.pad(frames, 2, mode="edge"), np.ones(5) / 5, mode="valid"))
    return level / level.max()


# Players cut out of photographs


def read_photos(collection: Path, names: set[str]) -> dict[str, np.ndarray]:
    """Photographs from a Qt resource file (.rcc) by name: uint8 RGB `[height, width, 3]`."""
    data = collection.read_bytes()
    magic, version, tree, blobs, name_table = struct.unpack_from(">4sIIII", data)
    if magic != b"qres":
        raise ValueError(f"Expected a Qt resource file (.rcc). Received: {collection}")
    entry_size = 14 if version < 2 else 22
    photos: dict[str, np.ndarray] = {}

    def visit(index: int) -> None:
        name_offset, flags, first, second = struct.unpack_from(">IHII", data, tree + index * entry_size)
        if flags & 2:  # a folder: number of children, first child
            for child in range(second, second + first):
                visit(child)
            return
        start = name_table + name_offset
        length = struct.unpack_from(">H", data, start)[0]
        name = data[start + 6 : start + 6 + 2 * length].decode("utf-16-be")
        if name in names:
            size = struct.unpack_from(">I", data, blobs + second)[0]
            content = data[blobs + second + 4 : blobs + second + 4 + size]
            content = zlib.decompress(content[4:]) if flags & 1 else content
            photos[name] = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]

    visit(0)
    return photos


def cut_out(part: Part, photo: np.ndarray) -> np.ndarray:
    """The player alone: float32 RGBA `[height, width, 4]` of the photo's size, colours 0..255, opacity 0..1."""
    mask = _fill([part.outline], photo.shape) * (1 - _fill(part.holes, photo.shape))
    cloth = cv2.GaussianBlur(_fill(part.mended, photo.shape), (0, 0), 1.5)[..., None]
    # A little inside the edge and softened, so that no rim of the old background is left.
    soft = cv2.GaussianBlur(mask, (0, 0), 0.9)
    opacity = np.clip((soft - 0.4) / 0.5, 0, 1)
    colours = np.clip(photo * part.gain, 0, 255) * (1 - cloth) + _CLOTH * cloth
    return np.dstack([colours, opacity]).astype(np.float32)


def _fill(polygons: Sequence[Sequence[Sequence[float]]], shape: tuple[int, ...]) -> np.ndarray:
    """Which pixels lie inside any of the polygons: float32 `[height, width]`, parts of a pixel counted."""
    fine = 4
    mask = np.zeros((shape[0] * fine, shape[1] * fine), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.round(np.array(polygon) * fine).astype(np.int32)], 255)
    return cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def draw_player(frame: np.ndarray, part: Part, player: np.ndarray, pose: Pose) -> None:
    """Lay a player over a frame, float32 RGB `[height, width, 3]` in video pixels, in place."""
    x1, y1, x2, y2 = part.box_xyxy()
    margin = 14  # points, for swaying
    left, right = (round(np.clip(x, 0, STAGE_WIDTH) * PIXELS_PER_POINT) for x in (x1 - margin, x2 + margin))
    top, bottom = (round(np.clip(y, 0, STAGE_HEIGHT) * PIXELS_PER_POINT) for y in (y1 - margin, y2 + margin))
    y, x = np.mgrid[top:bottom, left:right] / PIXELS_PER_POINT
    x, y = (x - part.anchor_stage[0]) / part.scale, (y - part.anchor_stage[1]) / part.scale
    cos, sin = np.cos(pose.sway_radians), np.sin(pose.sway_radians)
    photo_x, photo_y = cos * x + sin * y + part.anchor_photo[0], -sin * x + cos * y + part.anchor_photo[1]
    if part.bow is not None:
        photo_x, photo_y = _draw_bow(photo_x, photo_y, np.array(part.bow), pose.bow)
    maps = photo_x.astype(np.float32), photo_y.astype(np.float32)
    layer = cv2.remap(player, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)
    opacity = np.clip(layer[..., 3:], 0, 1)
    frame[top:bottom, left:right] *= 1 - opacity
    frame[top:bottom, left:right] += opacity * np.clip(layer[..., :3] * pose.light, 0, 255)


def _draw_bow(x: np.ndarray, y: np.ndarray, bow: np.ndarray, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Where in the photo to look so that the bow and the hand that holds it are seen shifted along the bow."""
    length = np.hypot(*(bow[1] - bow[0]))
    along_x, along_y = (bow[1] - bow[0]) / length
    along = (x - bow[0, 0]) * along_x + (y - bow[0, 1]) * along_y
    across = (y - bow[0, 1]) * along_x - (x - bow[0, 0]) * along_y
    tube = np.where(along < 0.3 * length, 12.0, 3.5)
    beyond = np.maximum(np.abs(along - length / 2) - length / 2, 0)
    amount = shift * np.exp(-0.5 * (across / tube) ** 2 - 0.5 * (beyond / 10) ** 2)
    return x - amount * along_x, y - amount * along_y


def poses(part: Part, stem: np.ndarray, index: int) -> list[Pose]:
    """A player's pose in each video frame: he breathes with the bar, bows note by note, and the light follows him."""
    times, level = note_times(part), loudness(stem)
    result = []
    for frame, light in enumerate(level):
        seconds = frame / FPS
        note = int(np.clip(np.searchsorted(times, seconds, side="right") - 1, 0, len(times) - 2))
        through = np.clip((seconds - times[note]) / (times[note + 1] - times[note]), 0, 1)
        stroke = np.cos(np.pi * through) * (1 if note % 2 else -1)
        beats = (seconds - LEAD_IN_SECONDS) * BEATS_PER_MINUTE / 60
        sway = 0.014 * np.sin(np.pi * beats / 2 + 2.1 * index) + 0.006 * np.sin(np.pi * beats + index)
        result.append(Pose(float(sway), float(4.5 * stroke), float(0.9 + 0.2 * light)))
    return result


# The stage


def draw_backdrop() -> np.ndarray:
    """Curtain and floor without light: float32 RGB `[height, width, 3]` in video pixels."""
    height, width = round(STAGE_HEIGHT * PIXELS_PER_POINT), round(STAGE_WIDTH * PIXELS_PER_POINT)
    y, x = np.mgrid[:height, :width] / PIXELS_PER_POINT
    folds = 0.55 + 0.28 * np.sin(x / 7.5 + 1.3 * np.sin(x / 47)) + 0.12 * np.sin(x / 2.9 + np.sin(x / 31))
    curtain = (folds * (0.35 + 0.65 * y / FLOOR_Y))[..., None] * np.array([92.0, 20.0, 30.0])
    depth = np.clip((y - FLOOR_Y) / (STAGE_HEIGHT - FLOOR_Y), 0, 1)
    plank = (x - STAGE_WIDTH / 2) / (0.55 + 0.45 * depth) / 26
    board = 0.86 + 0.14 * np.sin(12.9898 * np.floor(plank)) - 0.35 * (np.abs(plank - np.round(plank)) < 0.02)
    floor = (board * (0.45 + 0.4 * depth))[..., None] * np.array([150.0, 100.0, 62.0])
    stage = np.where((y < FLOOR_Y)[..., None], curtain, floor)
    shadow = 1 - 0.55 * np.exp(-(((y - FLOOR_Y) / 9) ** 2))
    return cv2.GaussianBlur((stage * shadow[..., None]).astype(np.float32), (0, 0), 1.2)


def spotlights(parts: Sequence[Part]) -> list[np.ndarray]:
    """One light for each player, a cone from above and a pool on the floor: float32 `[height, width, 1]`, 0..1."""
    height, width = round(STAGE_HEIGHT * PIXELS_PER_POINT), round(STAGE_WIDTH * PIXELS_PER_POINT)
    y, x = np.mgrid[:height, :width] / PIXELS_PER_POINT
    lights = []
    for part in parts:
        x1, _, x2, _ = part.box_xyxy()
        middle = (x1 + x2) / 2
        cone = np.exp(-(((x - middle) / (34 + 0.28 * y)) ** 2) * 1.6) * (0.25 + 0.35 * y / STAGE_HEIGHT)
        pool = 0.8 * np.exp(-(((x - middle) / 95) ** 2) - ((y - 312) / 34) ** 2)
        lights.append(np.maximum(cone, pool).astype(np.float32)[..., None])
    return lights


def draw_furniture(frame: np.ndarray, part: Part) -> None:
    """A music stand, if the player has one, and the loudspeaker before him, drawn over the frame in place."""
    if part.music_stand is not None:
        left, top, right, bottom = part.music_stand
        _trapezoid(frame, (left + 6, right - 6, top), (left, right, bottom), (30, 29, 31))
        _trapezoid(frame, (left + 6, right - 6, top), (left + 5, right - 5, top + 3), (196, 192, 184))
        _trapezoid(frame, (left, right, bottom - 3), (left, right, bottom), (58, 56, 58))
    left, right = part.anchor_stage[0] - 74, part.anchor_stage[0] + 74
    top, bottom, slope = WEDGE_TOP_Y, STAGE_HEIGHT - 6, 10
    _trapezoid(frame, (left - 14, right + 14, bottom), (left - 2, right + 2, bottom + 6), (16, 13, 12))
    _trapezoid(frame, (left, right, top), (left - slope, right + slope, bottom), (24, 24, 27))
    _trapezoid(frame, (left + 1, right - 1, top - 4), (left, right, top), (62, 61, 64))
    for row in range(top + 8, bottom - 6, 5):
        inset = 8 - slope * (row - top) / (bottom - top)
        _trapezoid(frame, (left + inset, right - inset, row), (left + inset, right - inset, row + 2), (37, 37, 41))


def _trapezoid(frame: np.ndarray, upper: Sequence[float], lower: Sequence[float], colour: Sequence[int]) -> None:
    """A filled shape between two level edges, each given as left, right and height in points."""
    (left, right, top), (lower_left, lower_right, bottom) = upper, lower
    corners = [(left, top), (right, top), (lower_right, bottom), (lower_left, bottom)]
    scaled = np.round(np.array(corners) * PIXELS_PER_POINT * 16).astype(np.int32)
    cv2.fillPoly(frame, [scaled], tuple(colour), lineType=cv2.LINE_AA, shift=4)


def draw_frames(
    parts: Sequence[Part], stems: Sequence[np.ndarray], photos: dict[str, np.ndarray]
) -> Iterator[np.ndarray]:
    """The film: uint8 RGB `[height, width, 3]`, frame by frame."""
    backdrop, lights = draw_backdrop(), spotlights(parts)
    players = [cut_out(part, photos[part.photo]) for part in parts]
    for moment in zip(*(poses(part, stem, index) for index, (part, stem) in enumerate(zip(parts, stems)))):
        frame = backdrop * (0.7 + 1.3 * sum(light * pose.light for light, pose in zip(lights, moment)))
        for part, player, pose in zip(parts, players, moment):
            draw_player(frame, part, player, pose)
        picture = np.clip(frame, 0, 255).round().astype(np.uint8)
        for part in parts:
            draw_furniture(picture, part)
        yield picture


# Files


def write_video(path: Path, frames: Iterator[np.ndarray], mixture: np.ndarray) -> None:
    """Pictures and sound (int16 `[time, 2]`) as H.264 and AAC in an mp4 file."""
    size = f"{round(STAGE_WIDTH * PIXELS_PER_POINT)}x{round(STAGE_HEIGHT * PIXELS_PER_POINT)}"
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "mixture.wav"
        sf.write(wav, mixture, SAMPLE_RATE_HZ, subtype="PCM_16")
        pictures = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(FPS), "-i", "-"]
        codecs = "-c:v libx264 -crf 26 -preset slow -pix_fmt yuv420p -c:a aac -b:a 192k -movflags +faststart".split()
        command = [ffmpeg_executable(), "-v", "error", "-y", *pictures, "-i", str(wav), *codecs, str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            for frame in frames:
                process.stdin.write(frame.tobytes())
            process.stdin.close()
        if process.returncode:
            raise OSError(f"ffmpeg could not write {path}")


def check_alignment(path: Path, mixture: np.ndarray) -> None:
    """Raise ValueError unless the film's decoded sound is the mixture, as long and sample on sample, but for coding."""
    decoded, _ = read_audio(path)
    if decoded.shape != mixture.shape:
        raise ValueError(f"Expected decoded sound of shape {mixture.shape}. Received: {decoded.shape}")
    reference = mixture / 32768
    ratio_db = 10 * np.log10(np.sum(reference**2) / np.sum((reference - decoded) ** 2))
    click.echo(f"{path}: decoded sound {ratio_db:.1f} dB above its coding noise")
    if ratio_db < 20:  # a shift by a single sample costs more than that
        raise ValueError(f"Expected decoded sound within 20 dB of the mixture. Received: {ratio_db:.1f} dB")


def describe(parts: Sequence[Part]) -> dict:
    """What demo.json says: who plays where, left to right."""
    boxes = [[round(edge * PIXELS_PER_POINT) for edge in part.box_xyxy()] for part in parts]
    return {
        "title": "Ode to Joy (L. van Beethoven, 1824), set for violin, cello and trumpet",
        "video": "demo.mp4",
        "stems": {part.instrument: f"stems/{part.instrument}.flac" for part in parts},
        "players": [{"instrument": part.instrument, "box_xyxy": box} for part, box in zip(parts, boxes)],
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "num_samples": NUM_SAMPLES,
        "width": round(STAGE_WIDTH * PIXELS_PER_POINT),
        "height": round(STAGE_HEIGHT * PIXELS_PER_POINT),
        "fps": FPS,
    }


@click.command()
@click.option("--soundfont", type=click.Path(exists=True, path_type=Path), required=True, help="General MIDI.")
@click.option("--photos", type=click.Path(exists=True, path_type=Path), required=True, help="explore_world_music.rcc.")
@click.option("--output", type=click.Path(path_type=Path), default=Path(__file__).parent / "demo", show_default=True)
def main(soundfont: Path, photos: Path, output: Path) -> None:
    """Render the stems and the film of the demo."""
    parts = [Part(**entry) for entry in json.loads((Path(__file__).parent / "demo/parts.json").read_text())["parts"]]
    rng = np.random.default_rng(SEED)
    stems = [render_stem(part, soundfont, rng) for part in parts]
    mixture = np.sum(stems, axis=0, dtype=np.int32)
    if np.abs(mixture).max() > 32767:
        raise ValueError(f"Expected a mixture within 16 bits; lower level_db. Received: peak {np.abs(mixture).max()}")
    (output / "stems").mkdir(parents=True, exist_ok=True)
    for part, stem in zip(parts, stems):
        sf.write(output / "stems" / f"{part.instrument}.flac", stem, SAMPLE_RATE_HZ, subtype="PCM_16")
    pictures = read_photos(photos, {part.photo for part in parts})
    write_video(output / "demo.mp4", draw_frames(parts, stems, pictures), mixture.astype(np.int16))
    check_alignment(output / "demo.mp4", mixture)
    (output / "demo.json").write_text(json.dumps(describe(parts), indent=2) + "\n")


if __name__ == "__main__":
    main()
