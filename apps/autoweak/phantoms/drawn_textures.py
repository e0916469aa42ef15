"""Random textures for the drawn training images: noise of many spectra, made once and cut anew each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Field = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]

_BANK_SIDE = 288
_SMALLEST = 1e-6


def to_field(values: Any) -> Field:
    """Return numbers of any kind as a float32 array."""
    return np.asarray(values, np.float32)


class TextureBank:
    """A set of periodic textures, zero mean and unit deviation; every cut is shifted, flipped or turned anew.

    Args:
        rng: source of all randomness.
        count: textures kept of each family.
    """

    def __init__(self, rng: np.random.Generator, *, count: int = 24) -> None:
        self._rng = rng
        self._smooth = [_smooth(rng) for _ in range(count)]
        self._rough = [_any(rng) for _ in range(2 * count)]
        self._speckle = [_speckle(rng) for _ in range(count)]

    def refresh(self) -> None:
        """Replace one texture of each family."""
        for family, make in ((self._smooth, _smooth), (self._rough, _any), (self._speckle, _speckle)):
            family[int(self._rng.integers(len(family)))] = make(self._rng)

    def smooth(self, height: int, width: int) -> Field:
        """Cut a slowly varying field of (height, width)."""
        return self._cut(self._smooth, height, width, turn=True)

    def rough(self, height: int, width: int) -> Field:
        """Cut a field of any spectrum of (height, width)."""
        return self._cut(self._rough, height, width, turn=True)

    def speckle(self, height: int, width: int) -> Field:
        """Cut ultrasound-like speckle of (height, width): mean about 1, never negative, wider than high."""
        return self._cut(self._speckle, height, width, turn=False)

    def _cut(self, family: list[Field], height: int, width: int, *, turn: bool) -> Field:
        rng = self._rng
        whole = family[int(rng.integers(len(family)))]
        if turn and rng.random() < 0.5:
            whole = whole.T
        top = int(rng.integers(_BANK_SIDE - height + 1))
        left = int(rng.integers(_BANK_SIDE - width + 1))
        cut = whole[top : top + height, left : left + width]
        if rng.random() < 0.5:
            cut = cut[:, ::-1]
        if turn and rng.random() < 0.5:
            cut = cut[::-1]
        return cut


def _frequencies(rng: np.random.Generator, stretch: float) -> Field:
    """Radial frequency in cycles per pixel, the plane turned by any angle and stretched along one axis."""
    angle = rng.uniform(0, np.pi)
    rows = np.fft.fftfreq(_BANK_SIDE)[:, None]
    columns = np.fft.rfftfreq(_BANK_SIDE)[None]
    along = rows * np.cos(angle) + columns * np.sin(angle)
    across = columns * np.cos(angle) - rows * np.sin(angle)
    return to_field(np.hypot(along * stretch, across / stretch))


def _filtered(rng: np.random.Generator, gain: Field) -> Field:
    noise = rng.standard_normal((2, *gain.shape), dtype=np.float32)
    return _standardised(fft.irfft2((noise[0] + 1j * noise[1]) * gain, s=(_BANK_SIDE, _BANK_SIDE)))


def _standardised(field: Floats) -> Field:
    return to_field((field - field.mean()) / (field.std() + _SMALLEST))


def _smooth(rng: np.random.Generator) -> Field:
    radius = _frequencies(rng, rng.uniform(1.0, 1.6))
    return _filtered(rng, np.exp(-((radius * rng.uniform(40, 110)) ** 2) / 2))


def _power(rng: np.random.Generator) -> Field:
    radius = _frequencies(rng, rng.uniform(1.0, 1.5))
    return _filtered(rng, (radius + 0.004) ** np.float32(-rng.uniform(0.3, 2.2)))


def _band(rng: np.random.Generator) -> Field:
    radius = _frequencies(rng, rng.uniform(1.0, 2.0))
    centre = np.exp(rng.uniform(np.log(0.02), np.log(0.3)))
    return _filtered(rng, np.exp(-(((radius - centre) / (centre * rng.uniform(0.15, 0.6))) ** 2)))


def _streaks(rng: np.random.Generator) -> Field:
    radius = _frequencies(rng, rng.uniform(2.5, 6.0))
    return _filtered(rng, np.exp(-((radius * rng.uniform(3, 15)) ** 2) / 2))


def _patches(rng: np.random.Generator) -> Field:
    radius = _frequencies(rng, rng.uniform(1.0, 1.5))
    field = _filtered(rng, np.exp(-((radius * rng.uniform(6, 30)) ** 2) / 2))
    return _standardised(np.tanh(rng.uniform(2, 6) * (field + rng.uniform(-0.8, 0.8))))


def _ridges(rng: np.random.Generator) -> Field:
    radius = _frequencies(rng, rng.uniform(1.0, 2.0))
    field = _filtered(rng, np.exp(-((radius * rng.uniform(5, 25)) ** 2) / 2))
    return _standardised(np.exp(-np.abs(field) * rng.uniform(2, 6)) * rng.choice([-1.0, 1.0]))


def _speckle(rng: np.random.Generator) -> Field:
    rows = np.fft.fftfreq(_BANK_SIDE)[:, None]
    columns = np.fft.fftfreq(_BANK_SIDE)[None]
    high = rng.uniform(0.6, 2.5)
    gain = np.exp(-((rows * high * 2.5) ** 2 + (columns * high * rng.uniform(2.5, 6.0)) ** 2))
    noise = rng.standard_normal((2, _BANK_SIDE, _BANK_SIDE), dtype=np.float32)
    amplitude = np.abs(fft.ifft2((noise[0] + 1j * noise[1]) * gain))
    return to_field(amplitude / amplitude.mean())


_FAMILIES: tuple[Callable[[np.random.Generator], Field], ...] = (_power, _power, _band, _streaks, _patches, _ridges)


def _any(rng: np.random.Generator) -> Field:
    return _FAMILIES[int(rng.integers(len(_FAMILIES)))](rng)
