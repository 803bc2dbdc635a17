"""The room: what an ensemble's sound picks up between the players and the microphones.

A shoebox room is drawn for each piece. Its first reflections are those of the image sources up to the second order; the
tail is noise that dies away with the room's reverberation time (Sabine). Both are turned down together to a level drawn
for the room, as the microphones stand nearer to the players than to the walls. The direct sound arrives at time 0 and
at full level, so that stems stay aligned with their notes.

Conventions:
    Waveforms are `[time, channels]`. Metres, with x from left to right as the camera sees it, y from the stage to the
    audience, z upwards. Pan runs from -1 (left) to 1 (right). All chance comes from the generator passed in.

References:
    J. B. Allen, D. A. Berkley, "Image method for efficiently simulating small-room acoustics", JASA 65(4), 1979.
    J.-M. Jot, L. Cerveau, O. Warusfel, "Analysis and synthesis of room reverberation based on a statistical
    time-frequency model", AES 103, 1997, for the tail.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import scipy.signal

_SPEED_OF_SOUND = 343.0
_MOST_REFLECTIONS = 2
_TAIL_START_SECONDS = 0.02
_LONGEST_SECONDS = 1.4
_WIDEST_PAN = 0.8


@dataclass(frozen=True)
class Room:
    """A room and where it is listened to.

    Attributes:
        size: width, depth and height, metres.
        microphone: its position, metres.
        reverberation_seconds: time in which the tail loses 60 dB.
        wet_db: energy of all that comes after the direct sound, relative to it.
    """

    size: tuple[float, float, float]
    microphone: tuple[float, float, float]
    reverberation_seconds: float
    wet_db: float

    @property
    def reflectance(self) -> float:
        """Part of the amplitude that a wall gives back, by Sabine's formula."""
        width, depth, height = self.size
        surface = 2.0 * (width * depth + width * height + depth * height)
        absorption = min(0.95, 0.161 * width * depth * height / (surface * self.reverberation_seconds))
        return math.sqrt(1.0 - absorption)


def draw_room(rng: np.random.Generator) -> Room:
    """Anything from a dry studio to a small hall."""
    size = (rng.uniform(5.0, 16.0), rng.uniform(5.0, 20.0), rng.uniform(2.8, 8.0))
    microphone = (size[0] / 2.0, size[1] * rng.uniform(0.45, 0.7), rng.uniform(1.2, 2.4))
    return Room(size, microphone, float(rng.uniform(0.25, 1.3)), float(rng.uniform(-14.0, -2.0)))


def pans(num_players: int) -> np.ndarray:
    """Where players stand in the stereo picture, as they do on stage: left to right, `[num_players]`."""
    return np.linspace(-_WIDEST_PAN, _WIDEST_PAN, num_players) if num_players > 1 else np.zeros(1)


def pan_gains(pan: float, num_channels: int) -> np.ndarray:
    """Constant-power gains `[num_channels]` for one or two channels."""
    if num_channels == 1:
        return np.ones(1)
    angle = (pan + 1.0) * math.pi / 4.0
    return np.array([math.cos(angle), math.sin(angle)])


def _images(position: np.ndarray, room: Room) -> list[tuple[np.ndarray, int]]:
    """Mirror images of a player in the walls, and over how many walls each is seen; without the player himself."""
    images = []
    for cells in itertools.product((-1, 0, 1), repeat=3):
        for flips in itertools.product((0, 1), repeat=3):
            order = sum(abs(2 * cell - flip) for cell, flip in zip(cells, flips))
            if 0 < order <= _MOST_REFLECTIONS:
                mirrored = (1 - 2 * np.array(flips)) * position + 2 * np.array(cells) * np.array(room.size)
                images.append((mirrored, order))
    return images


def reflections(room: Room, position: np.ndarray) -> list[tuple[float, float, float]]:
    """What the walls send from a position to the microphone.

    Returns:
        (seconds after the direct sound, gain relative to it, pan) of each reflection.
    """
    microphone = np.array(room.microphone)
    direct_metres = float(np.linalg.norm(position - microphone))
    found = []
    for image, order in _images(position, room):
        metres = float(np.linalg.norm(image - microphone))
        delay_seconds = (metres - direct_metres) / _SPEED_OF_SOUND
        side = float(np.clip((image[0] - microphone[0]) / metres, -1.0, 1.0))
        found.append((delay_seconds, room.reflectance**order * direct_metres / metres, side))
    return found


def impulse_response(
    room: Room, pan: float, sample_rate_hz: int, num_channels: int, rng: np.random.Generator
) -> np.ndarray:
    """From a player to the microphones, float32 `[time, num_channels]`.

    Args:
        room: where they play.
        pan: the player's place.
        sample_rate_hz: of the response.
        num_channels: 1 or 2.
        rng: draws how far back the player sits, and the tail.
    """
    width, depth, _ = room.size
    position = np.array([width * (0.5 + 0.35 * pan), depth * rng.uniform(0.12, 0.25), rng.uniform(1.0, 1.5)])
    seconds = min(_LONGEST_SECONDS, room.reverberation_seconds)
    response = _tail(room, int(seconds * sample_rate_hz), sample_rate_hz, num_channels, rng)
    for delay_seconds, gain, side in reflections(room, position):
        at = round(delay_seconds * sample_rate_hz)
        if 0 < at < len(response):
            # A wall is no mirror: the sign of a reflection is left to chance, so that they do not comb together.
            response[at] += gain * rng.choice([-1.0, 1.0]) * pan_gains(side, num_channels)
    response *= math.sqrt(10.0 ** (room.wet_db / 10.0) / float(np.sum(response**2)))
    response[0] = pan_gains(pan, num_channels)
    return response.astype(np.float32)


def _tail(
    room: Room, num_samples: int, sample_rate_hz: int, num_channels: int, rng: np.random.Generator
) -> np.ndarray:
    """Decaying noise with the energy of the direct sound, different in each channel, duller; `[time, channels]`."""
    times = np.arange(num_samples) / sample_rate_hz
    envelope = 10.0 ** (-3.0 * times / room.reverberation_seconds)
    envelope *= np.clip((times - 0.003) / _TAIL_START_SECONDS, 0.0, 1.0)
    noise = rng.standard_normal((num_samples, num_channels)) * envelope[:, None]
    corner_hz = min(rng.uniform(3000.0, 8000.0), 0.45 * sample_rate_hz)
    noise = scipy.signal.sosfilt(scipy.signal.butter(1, corner_hz, fs=sample_rate_hz, output="sos"), noise, axis=0)
    return noise / max(float(np.linalg.norm(noise)), 1e-12)


def in_room(dry: np.ndarray, response: np.ndarray) -> np.ndarray:
    """A player's sound at the microphones, float32 `[time, channels]`, as long as what he played `[time]`."""
    return scipy.signal.oaconvolve(dry[:, None], response, axes=0)[: len(dry)].astype(np.float32)


def noise_floor(
    num_samples: int, num_channels: int, sample_rate_hz: int, level_dbfs: float, rng: np.random.Generator
) -> np.ndarray:
    """A microphone's own noise and the room's hum of air, float32 `[time, channels]`, at an RMS in dBFS.

    White noise and noise that falls by 6 dB per octave above 200 Hz, half the power of each.
    """
    white = rng.standard_normal((num_samples, num_channels), dtype=np.float32)
    sections = scipy.signal.butter(1, 200.0, fs=sample_rate_hz, output="sos").astype(np.float32)
    low = scipy.signal.sosfilt(sections, white, axis=0)
    noise = white / max(float(white.std()), 1e-9) + low / max(float(low.std()), 1e-9)
    return (noise * (10.0 ** (level_dbfs / 20.0) / max(float(noise.std()), 1e-9))).astype(np.float32)
