"""Lines played by a soundfont through the `fluidsynth` program, reverb and chorus off.

Conventions:
    Several lines are rendered in one run, each in a time slot of its own, because loading a soundfont costs more than
    playing it. MIDI files are written here byte by byte (format 0, 480 ticks a quarter at 120 beats a minute, so 960
    ticks a second).

References:
    MIDI Manufacturers Association, "Standard MIDI Files 1.0", 1996.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from av_sep.datasets.melodies import Note
from av_sep.errors import MediaError

TICKS_PER_SECOND = 960
_TICKS_PER_QUARTER = 480
_SLOT_TAIL_SECONDS = 1.2
_RENDER_RATE_HZ = 48000
# For a start, loading the soundfont included; rendering is many times faster than the sound it makes.
_TIMEOUT_SECONDS = 300.0
_BEND_CENTS = 200.0

Event = tuple[int, int, bytes]


def _variable_length(value: int) -> bytes:
    """A number as MIDI's variable-length quantity: seven bits a byte, most significant first."""
    digits = [value & 0x7F]
    while value > 0x7F:
        value >>= 7
        digits.append((value & 0x7F) | 0x80)
    return bytes(reversed(digits))


def midi_file(events: Sequence[Event]) -> bytes:
    """A format 0 MIDI file.

    Args:
        events: (tick, order, message) with the message's bytes; at one tick, lower `order` first.
    """
    track, last = b"", 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        track += _variable_length(tick - last) + message
        last = tick
    track += b"\x00\xff\x2f\x00"
    header = b"MThd" + (6).to_bytes(4, "big") + b"\x00\x00\x00\x01" + _TICKS_PER_QUARTER.to_bytes(2, "big")
    return header + b"MTrk" + len(track).to_bytes(4, "big") + track


def bend_event(tick: int, cents: float) -> Event:
    """A pitch bend of the first channel; beyond two semitones it is limited to them."""
    value = int(np.clip(8192 + 8192 * cents / _BEND_CENTS, 0, 16383))
    return tick, 2, bytes([0xE0, value & 0x7F, value >> 7])


def _swell(start: int, ticks: int, rng: np.random.Generator) -> list[Event]:
    """Expression (controller 11) over a long note, back to full at its end."""
    depth = rng.uniform(0.0, 45.0)
    shape = np.sin(np.pi * np.linspace(0.0, 1.0, 12)) if rng.random() < 0.6 else np.linspace(1.0, 0.0, 12)
    values = np.clip(127.0 - depth * (1.0 - shape), 1, 127).astype(int)
    events = [(start + ticks * i // 12, 2, bytes([0xB0, 11, int(value)])) for i, value in enumerate(values)]
    return [*events, (start + ticks, 0, bytes([0xB0, 11, 127]))]


def _note_events(note: Note, offset_seconds: float, line_cents: float, rng: np.random.Generator) -> list[Event]:
    start = round((offset_seconds + note.start_seconds) * TICKS_PER_SECOND)
    overlap = rng.uniform(0.01, 0.04) if note.legato else 0.0
    ticks = max(20, round((note.duration_seconds + overlap) * TICKS_PER_SECOND))
    velocity = int(np.clip(88.0 * 10.0 ** (note.level_db / 40.0), 30, 124))
    events = [
        bend_event(start, line_cents + rng.normal(0.0, 4.0)),
        (start, 3, bytes([0x90, note.pitch, velocity])),
        (start + ticks, 1, bytes([0x80, note.pitch, 0])),
    ]
    if note.duration_seconds > 0.7:
        if rng.random() < 0.5:
            events += _swell(start, ticks, rng)
        vibrato = int(rng.integers(10, 90)) if rng.random() < 0.3 else 0
        events += [(start, 2, bytes([0xB0, 1, 0])), (start + ticks // 3, 2, bytes([0xB0, 1, vibrato]))]
    elif rng.random() < 0.2:
        events.append((start, 2, bytes([0xB0, 1, 0])))
    return events


def line_events(notes: Sequence[Note], program: int, offset_seconds: float, rng: np.random.Generator) -> list[Event]:
    """MIDI events of one line: program, volume, tuning, then its notes.

    Args:
        notes: the line.
        program: General MIDI program, counted from 0.
        offset_seconds: where the line starts.
        rng: draws tuning, swells and vibrato.
    """
    tick = max(0, round(offset_seconds * TICKS_PER_SECOND) - 10)
    events: list[Event] = [
        (tick, 0, bytes([0xC0, program])),
        (tick, 0, bytes([0xB0, 7, 110])),
        (tick, 0, bytes([0xB0, 11, 127])),
        (tick, 0, bytes([0xB0, 1, 0])),
    ]
    line_cents = rng.normal(0.0, 7.0)
    for note in notes:
        events += _note_events(note, offset_seconds, line_cents, rng)
    return events


def require_soundfont(soundfont: Path | str) -> None:
    """Raises MediaError for what is no soundfont: fluidsynth would say so, play another one instead and be content."""
    path, header = Path(soundfont), b""
    if path.is_file():
        with path.open("rb") as file:
            header = file.read(12)
    if header[:4] != b"RIFF" or header[8:] != b"sfbk":
        raise MediaError(f"Expected a soundfont (.sf2 or .sf3). Received: {soundfont}")
    if int.from_bytes(header[4:8], "little") + 8 > path.stat().st_size + 1:
        raise MediaError(f"The soundfont is cut off. Received: {soundfont}")


def run_fluidsynth(events: Sequence[Event], soundfont: Path | str, sample_rate_hz: int) -> np.ndarray:
    """What fluidsynth makes of the MIDI file of these events, channels averaged, float32 `[time]`.

    Raises:
        MediaError: where the program or the soundfont is missing, or the program fails or does not end.
    """
    if shutil.which("fluidsynth") is None:
        raise MediaError("Playing soundfonts needs the program `fluidsynth` on PATH; install it (apt: fluidsynth).")
    require_soundfont(soundfont)
    with tempfile.TemporaryDirectory() as folder:
        midi_path, wav_path = Path(folder) / "line.mid", Path(folder) / "line.wav"
        midi_path.write_bytes(midi_file(events))
        command = [
            "fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-g", "0.4", "-r", str(_RENDER_RATE_HZ), "-T", "wav",
            "-O", "float", "-o", "synth.dynamic-sample-loading=1", "-F", str(wav_path), str(soundfont), str(midi_path),
        ]  # fmt: skip
        timeout_seconds = _TIMEOUT_SECONDS + max((tick for tick, _, _ in events), default=0) / TICKS_PER_SECOND
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_seconds, check=False)
        except subprocess.TimeoutExpired as error:
            raise MediaError(f"fluidsynth did not end within {timeout_seconds:.0f} s. Received: {soundfont}") from error
        if done.returncode != 0 or not wav_path.is_file() or "not a SoundFont" in done.stderr:
            raise MediaError(f"fluidsynth failed on {soundfont}: {done.stderr.strip()[-300:]}")
        waveform, rate_hz = sf.read(str(wav_path), dtype="float32", always_2d=True)
    return soxr.resample(waveform.mean(axis=1), rate_hz, sample_rate_hz)


def render_soundfont(
    lines: Sequence[tuple[int, Sequence[Note]]], soundfont: Path | str, sample_rate_hz: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Lines played by a soundfont.

    Args:
        lines: (General MIDI program, notes) each.
        soundfont: .sf2 or .sf3 file.
        sample_rate_hz: rate of the result.
        rng: draws tuning, swells and vibrato.

    Returns:
        One float32 `[time]` for each line, not leveled.

    Raises:
        MediaError: as `run_fluidsynth`.
    """
    events: list[Event] = []
    slots, offset = [], 0.1
    for program, notes in lines:
        length = max((note.start_seconds + note.duration_seconds for note in notes), default=0.0) + _SLOT_TAIL_SECONDS
        events += line_events(notes, program, offset, rng)
        slots.append((offset, offset + length))
        offset += length
    waveform = run_fluidsynth(events, soundfont, sample_rate_hz)
    return [waveform[int(start * sample_rate_hz) : int(end * sample_rate_hz)] for start, end in slots]
