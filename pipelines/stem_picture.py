"""A waveform and spectrogram picture of a stem, gathered while it is written, in memory that does not grow.

Conventions: blocks are `[time, channels]`; a column stands for `hop` samples and holds their peak and one power
spectrum. When there are too many columns, neighbours are merged and the hop doubles. What is left at the end is drawn
as a last column that is cut off where the sound ends.
"""

import io

import numpy as np

WINDOW_SAMPLES = 1024
MAX_COLUMNS = 1024  # even, so that neighbours pair up
FLOOR_DB = -80.0


class StemPicture:
    """Gathers blocks of one stem and draws them."""

    def __init__(self, sample_rate_hz: int):
        self.sample_rate_hz = sample_rate_hz
        self.num_samples = 0
        self.energy = 0.0
        self.peak = 0.0
        self._hop = WINDOW_SAMPLES
        self._waiting = np.zeros(0, np.float32)
        self._peaks: list[float] = []
        self._spectra: list[np.ndarray] = []
        self._window = np.hanning(WINDOW_SAMPLES)

    def add(self, block: np.ndarray) -> None:
        """Takes the next block `[time, channels]`."""
        self.num_samples += len(block)
        self.energy += float(np.sum(np.square(block, dtype=np.float64)) / block.shape[1])
        self.peak = max(self.peak, float(np.max(np.abs(block), initial=0.0)))
        self._waiting = np.concatenate([self._waiting, block.mean(axis=1)])
        while len(self._waiting) >= self._hop:
            self._add_column(self._waiting[: self._hop])
            self._waiting = self._waiting[self._hop :]

    @property
    def duration_seconds(self) -> float:
        """Length of what was added so far."""
        return self.num_samples / self.sample_rate_hz

    @property
    def rms_db(self) -> float:
        """Level of the whole stem in dB relative to full scale; minus infinity for silence."""
        if not self.energy:
            return float("-inf")
        return float(10 * np.log10(self.energy / self.num_samples))

    def _add_column(self, stretch: np.ndarray) -> None:
        peak, spectrum = self._column(stretch)
        self._peaks.append(peak)
        self._spectra.append(spectrum)
        if len(self._peaks) >= MAX_COLUMNS:
            self._peaks = [max(pair) for pair in zip(self._peaks[::2], self._peaks[1::2])]
            self._spectra = [(a + b) / 2 for a, b in zip(self._spectra[::2], self._spectra[1::2])]
            self._hop *= 2

    def _column(self, stretch: np.ndarray) -> tuple[float, np.ndarray]:
        """Peak and power spectrum of a stretch of whole windows."""
        windows = stretch.reshape(-1, WINDOW_SAMPLES) * self._window
        spectrum = np.mean(np.abs(np.fft.rfft(windows, axis=1)) ** 2, axis=0).astype(np.float32)
        return float(np.max(np.abs(stretch))), spectrum

    def _columns(self) -> tuple[np.ndarray, np.ndarray]:
        """Peaks `[num_columns]` and spectra `[num_columns, num_bins]` of all samples so far, one column at least."""
        columns = list(zip(self._peaks, self._spectra))
        if len(self._waiting) or not columns:
            missing = max(WINDOW_SAMPLES - len(self._waiting), -len(self._waiting) % WINDOW_SAMPLES)
            # In the middle, because windows let nothing through at their edges.
            columns.append(self._column(np.pad(self._waiting, (missing // 2, missing - missing // 2))))
        peaks, spectra = zip(*columns)
        return np.array(peaks), np.array(spectra)

    def png(self, full_scale: float = 1.0) -> bytes:
        """The picture: waveform above, spectrogram below, with axes in seconds and kHz.

        Args:
            full_scale: amplitude that fills the height of the waveform.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        peaks, spectra = self._columns()
        seconds = max(self.duration_seconds, 1e-3)
        edges = np.arange(len(peaks) + 1) * self._hop / self.sample_rate_hz
        figure = Figure(figsize=(7.2, 2.6), dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        waveform, spectrogram = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
        heights = np.append(peaks, peaks[-1])
        waveform.fill_between(edges, -heights, heights, step="post", color="#2b6cb0", linewidth=0)
        waveform.set_ylim(-full_scale, full_scale)
        waveform.set_yticks([])
        level_db = 10 * np.log10(np.maximum(spectra.T / (self._window.sum() / 2) ** 2, 10 ** (FLOOR_DB / 10)))
        spectrogram.imshow(
            level_db,
            origin="lower",
            aspect="auto",
            extent=(0, edges[-1], 0, self.sample_rate_hz / 2000),
            vmin=FLOOR_DB,
            vmax=-10,
            cmap="magma",
        )
        spectrogram.set_xlim(0, seconds)
        spectrogram.set_ylim(0, min(8, self.sample_rate_hz / 2000))
        spectrogram.set_ylabel("kHz")
        spectrogram.set_xlabel("seconds")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return buffer.getvalue()
