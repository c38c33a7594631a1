"""Every family again in NumPy, SciPy and Pillow, for one image; draws are read from its key."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import jax
import numpy as np
from PIL import Image
from scipy import ndimage

from fakd_jax.shifts import draws

Pixels = np.ndarray  # [H, W, 3], float64 in [0, 1]


def _uniforms(key: jax.Array, count: int) -> np.ndarray:
    return np.asarray(draws.uniforms(key[None], count))[0].astype(np.float64)


def _sign(key: jax.Array) -> float:
    return 1.0 if _uniforms(key, 1)[0] < 0.5 else -1.0


def _per_channel(function: Callable[[Pixels], Pixels], x: Pixels) -> Pixels:
    return np.stack([function(x[..., c]) for c in range(3)], axis=-1)


def _through_pillow(function: Callable[[Image.Image], Image.Image], x: Pixels) -> Pixels:
    def channel(plane: Pixels) -> Pixels:
        return np.asarray(function(Image.fromarray(plane.astype(np.float32))))

    return _per_channel(channel, x)


def gamma(key: jax.Array, x: Pixels, exponent: float) -> Pixels:
    return x ** (exponent ** _sign(key))


def window(key: jax.Array, x: Pixels, share: float) -> Pixels:
    low = 0.3 * share * _uniforms(key, 1)[0]
    return (x - low) / (1 - share)


def brightness(key: jax.Array, x: Pixels, offset: float) -> Pixels:
    return x + _sign(key) * offset


def contrast(key: jax.Array, x: Pixels, factor: float) -> Pixels:
    mean = x.mean(axis=(0, 1))
    return (x - mean) * factor ** _sign(key) + mean


def local_contrast(key: jax.Array, x: Pixels, share: float) -> Pixels:
    grey = x.mean(axis=-1)
    sigma = [size / 8 for size in grey.shape]
    mean = ndimage.gaussian_filter(grey, sigma)
    deviation = np.sqrt(ndimage.gaussian_filter(grey**2, sigma) - mean**2)
    stretch = np.clip(0.25 / deviation, 1, 3)
    return x + (share * (stretch - 1) * (grey - mean))[..., None]


def inversion(key: jax.Array, x: Pixels, share: float) -> Pixels:
    return 1 - x if _uniforms(key, 1)[0] < share else x


def _resized(x: Pixels, down: float, across: float, kernel: Image.Resampling) -> Pixels:
    height, width = x.shape[:2]
    small = math.ceil(width / across - 1e-6), math.ceil(height / down - 1e-6)
    return _through_pillow(
        lambda plane: plane.resize(small, kernel).resize((width, height), kernel), x
    )


def downsampling(key: jax.Array, x: Pixels, factor: float) -> Pixels:
    return _resized(x, factor, factor, Image.Resampling.BILINEAR)


def anisotropic(key: jax.Array, x: Pixels, factor: float) -> Pixels:
    factors = (factor, 1.0) if _uniforms(key, 1)[0] < 0.5 else (1.0, factor)
    return _resized(x, *factors, Image.Resampling.BILINEAR)


def interpolation(key: jax.Array, x: Pixels, factor: float) -> Pixels:
    """In whole numbers: where a position is between two pixels, Pillow's rounding decides."""

    def positions(size: int) -> np.ndarray:
        small = math.ceil(size / factor - 1e-6)
        in_small = (2 * np.arange(size) + 1) * small // (2 * size)
        return (2 * in_small + 1) * size // (2 * small)

    return x[positions(x.shape[0])][:, positions(x.shape[1])]


def interpolation_by_pillow(x: Pixels, factor: float) -> Pixels:
    return _resized(x, factor, factor, Image.Resampling.NEAREST)


def blur(key: jax.Array, x: Pixels, sigma: float) -> Pixels:
    return ndimage.gaussian_filter(x, (sigma, sigma, 0), mode="nearest")


def sharpening(key: jax.Array, x: Pixels, weight: float) -> Pixels:
    return x + weight * (x - ndimage.gaussian_filter(x, (1, 1, 0), mode="nearest"))


def _transformed(x: Pixels, linear: np.ndarray, offset: tuple[float, float]) -> Pixels:
    """Pillow's affine transform, from output to input about the centre."""
    size = np.array([x.shape[1], x.shape[0]])
    # Positions on the border are inside at its start and outside at its end, however they round.
    constant = size / 2 + offset - linear @ size / 2 + 1e-9
    data = (*linear[0], constant[0], *linear[1], constant[1])
    method, kernel = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return _through_pillow(lambda plane: plane.transform(plane.size, method, data, kernel), x)


def rotation(key: jax.Array, x: Pixels, degrees: float) -> Pixels:
    angle = _sign(key) * degrees
    return _through_pillow(lambda plane: plane.rotate(angle, Image.Resampling.BILINEAR), x)


def shift(key: jax.Array, x: Pixels, share: float) -> Pixels:
    angle = 2 * math.pi * _uniforms(key, 1)[0]
    moved = share * x.shape[1] * math.cos(angle), share * x.shape[0] * math.sin(angle)
    return _transformed(x, np.eye(2), (-moved[0], -moved[1]))


def zoom(key: jax.Array, x: Pixels, factor: float) -> Pixels:
    return _transformed(x, np.eye(2) / factor ** _sign(key), (0, 0))


def crop(key: jax.Array, x: Pixels, share: float) -> Pixels:
    height, width = x.shape[:2]
    left, top = _uniforms(key, 2) * share * (width, height)
    box = (left, top, left + (1 - share) * width, top + (1 - share) * height)
    method, kernel = Image.Transform.EXTENT, Image.Resampling.BILINEAR
    return _through_pillow(lambda plane: plane.transform(plane.size, method, box, kernel), x)


def aspect(key: jax.Array, x: Pixels, factor: float) -> Pixels:
    stretch = math.sqrt(factor) ** _sign(key)
    return _transformed(x, np.diag([1 / stretch, stretch]), (0, 0))


def flip(key: jax.Array, x: Pixels, share: float) -> Pixels:
    flipped, kind = _uniforms(key, 2)
    axes = (1,) if kind < 1 / 3 else (0, 1) if kind < 2 / 3 else (0,)
    return np.flip(x, axes) if flipped < share else x


def rician_noise(key: jax.Array, x: Pixels, sigma: float) -> Pixels:
    bits = np.asarray(jax.random.bits(key, (*x.shape[:2], 1)))
    first, second = ((half + 0.5) / 2**16 for half in np.divmod(bits, 2**16))
    radius = sigma * np.sqrt(-2 * np.log(first))
    noise = radius * np.cos(2 * np.pi * second), radius * np.sin(2 * np.pi * second)
    return np.sqrt((x + noise[0]) ** 2 + noise[1] ** 2)


def bias_field(key: jax.Array, x: Pixels, strength: float) -> Pixels:
    rows, columns = np.linspace(-1, 1, x.shape[0]), np.linspace(-1, 1, x.shape[1])
    coefficients = 2 * _uniforms(key, 9) - 1
    table = np.zeros((4, 4))
    powers = [(0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 0)]
    for (i, j), coefficient in zip(powers, coefficients, strict=True):
        table[i, j] = coefficient
    field = np.polynomial.polynomial.polygrid2d(rows, columns, table)
    field -= field.mean()
    return x * np.exp(strength * field / np.abs(field).max())[..., None]


def _k_space(change: Callable[[Pixels], Pixels], x: Pixels) -> Pixels:
    """Changes the centred k-space of each channel; the magnitude of the image that it gives."""

    def channel(plane: Pixels) -> Pixels:
        changed = change(np.fft.fftshift(np.fft.fft2(plane)))
        return np.abs(np.fft.ifft2(np.fft.ifftshift(changed)))

    return _per_channel(channel, x)


def ghosting(key: jax.Array, x: Pixels, weight: float) -> Pixels:
    """By shifted copies, so for sides that 2, 3 and 4 divide."""
    direction, number = _uniforms(key, 2)
    axis, count = (0 if direction < 0.5 else 1), 2 + int(3 * number)
    assert x.shape[axis] % count == 0
    step = x.shape[axis] // count
    copies = [np.roll(x, step * i, axis) for i in range(1, count)]
    return (1 - weight) * x + weight * np.mean(copies, axis=0)


def ringing(key: jax.Array, x: Pixels, share: float) -> Pixels:
    def cut(k_space: Pixels) -> Pixels:
        for axis, size in enumerate(k_space.shape):
            lost = np.abs(np.arange(size) - size // 2) > share * size / 2
            np.moveaxis(k_space, axis, 0)[lost] = 0
        return k_space

    return _k_space(cut, x)


def spikes(key: jax.Array, x: Pixels, amplitude: float) -> Pixels:
    frequency, angle, phase = _uniforms(key, 3)
    height, width = x.shape[:2]
    frequency = 0.05 + 0.15 * frequency
    row = round(frequency * height * math.sin(2 * math.pi * angle))
    column = round(frequency * width * math.cos(2 * math.pi * angle))

    def spike(k_space: Pixels) -> Pixels:
        value = amplitude * height * width * np.exp(2j * math.pi * phase)
        k_space[height // 2 + row, width // 2 + column] += value
        return k_space

    return _k_space(spike, x)


def jpeg(key: jax.Array, x: Pixels, quality: float) -> Pixels:
    file = io.BytesIO()
    pixels = np.round(x * 255).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=round(quality))
    return np.asarray(Image.open(file)) / 255


def missing_border(key: jax.Array, x: Pixels, share: float) -> Pixels:
    height, width = x.shape[:2]
    side = int(4 * _uniforms(key, 1)[0])
    rows, columns = round(share * height), round(share * width)
    kept = np.zeros_like(x)
    box = [
        np.s_[rows:],
        np.s_[: height - rows],
        np.s_[:, columns:],
        np.s_[:, : width - columns],
    ][side]
    kept[box] = x[box]
    return kept
