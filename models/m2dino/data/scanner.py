"""What differs between scanners, probes and hands in a picture of the same thing; nothing here moves anything.

Every effect has a probability and a largest size, both scaled by the strength. Pixels are uint8, (S, S) grey or
(S, S, 3) RGB, with the probe at the top. Black stays black, so that what is no picture stays none.
"""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]
Field = NDArray[np.float32]

GAMMA = 0.5  # natural logarithm of the largest exponent
GAIN = 0.3  # natural logarithm of the largest factor
REJECT = 0.08  # highest grey value, of 1, that a narrow dynamic range cuts off
DEPTH_GAIN = 0.35  # natural logarithm of the largest factor at a slider of the time-gain compensation
SPECKLE = 0.22  # standard deviation of the logarithm of the factor
BLUR = (1.8, 0.9)  # standard deviations across and along the beam, px of 256
QUALITY = (20, 75)  # of JPEG
_GRID = 64  # of smooth fields, px


def scanner_effects(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    """Return the picture as another machine or another hand might have taken it.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (S, S) or (S, S, 3)
    rng : numpy Generator
    strength : float
        0 changes nothing, 1 is meant for training.
    """
    often, sometimes = min(0.9, 0.8 * strength), min(0.9, 0.3 * strength)
    if rng.random() < often:
        pixels = _curve(rng, strength)[pixels]
    pixels = _fields(pixels, rng, strength, often, sometimes)
    if rng.random() < sometimes:
        pixels = _blur(pixels, rng, strength)
    return pixels


def _curve(rng: np.random.Generator, strength: float) -> Pixels:
    """Return a table of 256 greys: overall gain, dynamic range (gamma) and reject."""
    gamma, gain = np.exp(rng.uniform(-strength, strength, 2) * (GAMMA, GAIN))
    low = rng.uniform(0, REJECT * strength)
    grey = (np.linspace(0, 1, 256) ** gamma - low) / (1 - low) * gain
    return np.asarray((grey.clip(0, 1) * 255).round().astype(np.uint8))


def _fields(pixels: Pixels, rng: np.random.Generator, strength: float, often: float, sometimes: float) -> Pixels:
    """Multiply by smooth fields (depth gain, shadows) and by speckle, in one pass over the pixels."""
    size = pixels.shape[0]
    smooth: Field | None = None
    if rng.random() < 0.6 * often:
        smooth = depth_gain(rng, strength)
    if rng.random() < sometimes:
        shadow = shadows(rng, strength)
        smooth = shadow if smooth is None else smooth * shadow
    factor = None if smooth is None else enlarged(smooth, size)
    if rng.random() < 0.7 * often:
        # Speckle is multiplicative and correlated over a few pixels, more of them across the beam than along it.
        along, across = rng.uniform(1.2, 2.5), rng.uniform(1.5, 4)
        noise = rng.standard_normal((math.ceil(size / along), math.ceil(size / across)), dtype=np.float32)
        speckle = np.exp(np.float32(SPECKLE * strength * rng.random()) * enlarged(noise, size))
        factor = speckle if factor is None else factor * speckle
    if factor is None:
        return pixels
    factor = factor if pixels.ndim == 2 else factor[..., None]
    return np.asarray(np.minimum(pixels * factor, 255).astype(np.uint8))


def depth_gain(rng: np.random.Generator, strength: float) -> Field:
    """Return a smooth factor along depth, with a slight slope from side to side; (64, 64)."""
    sliders = rng.uniform(-DEPTH_GAIN, DEPTH_GAIN, 5) * strength
    depth = np.interp(np.linspace(0, 4, _GRID), np.arange(5), sliders)
    across = np.linspace(-0.5, 0.5, _GRID) * rng.uniform(-DEPTH_GAIN, DEPTH_GAIN) * strength
    return np.asarray(np.exp(depth[:, None] + across[None, :]).astype(np.float32))


def shadows(rng: np.random.Generator, strength: float) -> Field:
    """Return the factor of one or two dark wedges that widen with depth, from the probe or deeper; (64, 64)."""
    y, x = np.mgrid[0 : 1 : _GRID * 1j, 0 : 1 : _GRID * 1j]
    factor = np.ones((_GRID, _GRID))
    for _ in range(rng.integers(1, 3)):
        middle = rng.uniform(0.05, 0.95) + rng.uniform(-0.25, 0.25) * y
        width = rng.uniform(0.015, 0.06) + rng.uniform(0, 0.1) * y
        start = rng.uniform(-0.1, 0.6)
        across = np.exp(-(((x - middle) / width) ** 2))
        along = 1 / (1 + np.exp((start - y) / 0.03))
        factor *= 1 - min(0.95, rng.uniform(0.3, 0.85) * strength) * across * along
    return np.asarray(factor.astype(np.float32))


def enlarged(field: Field, size: int) -> Field:
    """Return a field at `size` x `size`, bilinear."""
    return np.asarray(Image.fromarray(field).resize((size, size), Image.Resampling.BILINEAR))


def _blur(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    """Lose resolution, more across the beam than along it, everywhere or growing with depth."""
    size = pixels.shape[0]
    across, along = (rng.uniform(0.3, 1) * most * strength * size / 256 for most in BLUR)
    blurred = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur((across, along)))
    if rng.random() < 0.5:
        return np.asarray(blurred)
    ramp = (np.linspace(0, 255, size) * np.ones((size, 1))).T.astype(np.uint8)
    return np.asarray(Image.composite(blurred, Image.fromarray(pixels), Image.fromarray(ramp)))


def jpeg(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture with the artefacts of a strong JPEG compression."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=int(rng.integers(*QUALITY)))
    return np.asarray(Image.open(stream))


def tint(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    """Return a grey picture in a colour map such as sepia or blue, (S, S, 3)."""
    exponents = np.exp(rng.uniform(-0.5, 0.5, 3) * strength)
    greys = np.linspace(0, 1, 256)[:, None] ** exponents
    return np.asarray((greys * 255).round().astype(np.uint8)[pixels])
