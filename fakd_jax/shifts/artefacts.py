"""Shifts by what happens in the scanner: noise, coil, motion, truncation, spikes, lost edges."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Key

from fakd_jax.shifts.draws import per_image, uniforms

_FIELD_ORDER = 3  # of the bias field's polynomial
_GHOSTS = (2, 3, 4)  # how many positions the ghosts of a moving head are spread over
_SPIKE_FREQUENCIES = (0.05, 0.2)  # cycles per pixel


def rician_noise(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], sigmas: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """√((x + n₁)² + n₂²), n ~ N(0, σ²): noise of magnitude images (Gudbjartsson & Patz 1995).

    The three channels share the noise, as the channels of a grey image do.
    """
    shape = (*images.shape[1:3], 1)
    bits = jax.vmap(lambda key: jax.random.bits(key, shape, jnp.uint32))(keys)
    # (n₁, n₂) = r (cos φ, sin φ), as Box & Muller (1958) draw them; φ's sine is not needed. Drawing
    # bits is what takes the time: half of a word is enough for each, up to r = 4.9 σ.
    first, second = ((half + 0.5) / 2**16 for half in (bits >> 16, bits & (2**16 - 1)))
    squared_radius = -2 * jnp.log(first) * per_image(jnp.square(sigmas))
    along = jnp.sqrt(squared_radius) * jnp.cos(2 * math.pi * second)
    return jnp.sqrt(jnp.maximum(images * (images + 2 * along) + squared_radius, 0.0))


def bias_field(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], strengths: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """Multiplies by exp(a f), f a random polynomial of order 3, mean 0 and largest |f| 1.

    The receive coil's sensitivity as TorchIO draws it (Pérez-García et al. 2021, after Van Leemput
    et al. 1999).
    """
    y, x = (np.linspace(-1, 1, size, dtype=np.float32) for size in images.shape[1:3])
    powers = [(i, j) for i in range(_FIELD_ORDER + 1) for j in range(_FIELD_ORDER + 1 - i) if i + j]
    terms = np.stack([np.outer(y**i, x**j) for i, j in powers])
    terms -= terms.mean(axis=(1, 2), keepdims=True)
    coefficients = 2 * uniforms(keys, len(powers)) - 1
    field = jnp.einsum("bk,khw->bhw", coefficients, terms, precision="highest")
    field /= jnp.max(jnp.abs(field), axis=(1, 2), keepdims=True)
    return images * jnp.exp(strengths[:, None, None] * field)[..., None]


def ghosting(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], weights: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """Copies of the image along the phase direction, as periodic motion makes them.

    (1 - w) x and w / (n - 1) times its copies shifted by 1/n, ..., (n - 1)/n of the side: in
    k-space every line but each n-th is scaled by 1 - w n / (n - 1), as in TorchIO's RandomGhosting
    (Pérez-García et al. 2021). Direction and n = 2, 3 or 4 are drawn per image.
    """
    direction, number = jnp.moveaxis(uniforms(keys, 2), -1, 0)
    count = jnp.asarray(_GHOSTS, jnp.float32)[(number * len(_GHOSTS)).astype(jnp.int32)]
    count, scaled = count[:, None], (1 - weights * count / (count - 1))[:, None]

    def gains(lines: Float32[np.ndarray, " N"]) -> Float32[Array, "B N"]:
        return jnp.where(jnp.mod(lines, count) == 0, 1.0, scaled)

    height, width = images.shape[1:3]
    along_rows = direction[:, None] < 0.5
    rows = jnp.where(along_rows, gains(_lines(height)), 1.0)
    columns = jnp.where(along_rows, 1.0, gains(_half_lines(width)))
    return _scale_k_space(images, rows, columns)


def ringing(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], shares: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """Keeps the central share of k-space along both axes: Gibbs' ringing at every edge.

    See Morelli et al. (2011), "An image-based approach to understanding the physics of MR
    artifacts", RadioGraphics 31(3).
    """
    del keys
    height, width = images.shape[1:3]

    def kept(lines: Float32[np.ndarray, " N"], size: int) -> Float32[Array, "B N"]:
        return (jnp.abs(lines) <= shares[:, None] * size / 2).astype(jnp.float32)

    rows, columns = kept(_lines(height), height), kept(_half_lines(width), width)
    return _scale_k_space(images, rows, columns)


def spikes(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], amplitudes: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """|x + a exp(i (k·r + φ))|: one point of k-space too high, a plane wave over the image.

    Frequency and phase are drawn per image; as TorchIO's RandomSpike (Pérez-García et al. 2021),
    with the magnitude that scanners store.
    """
    frequency, angle, phase = jnp.moveaxis(uniforms(keys, 3), -1, 0)
    least, most = _SPIKE_FREQUENCIES
    frequency = least + (most - least) * frequency
    height, width = images.shape[1:3]
    # Whole numbers of periods, as points of k-space have.
    down = jnp.round(frequency * jnp.sin(2 * math.pi * angle) * height)[:, None]
    across = jnp.round(frequency * jnp.cos(2 * math.pi * angle) * width)[:, None]
    rows = 2 * math.pi * (down * jnp.arange(height) / height + phase[:, None])
    columns = 2 * math.pi * across * jnp.arange(width) / width
    rows, columns = rows[:, :, None], columns[:, None, :]
    # By the sum of angles: cosines of H + W numbers instead of H · W.
    wave = jnp.cos(rows) * jnp.cos(columns) - jnp.sin(rows) * jnp.sin(columns)
    amplitude = per_image(amplitudes)
    return jnp.sqrt(
        jnp.maximum(images * (images + 2 * amplitude * wave[..., None]) + amplitude**2, 0.0)
    )


def missing_border(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], shares: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """Blackens a share of the side at one border, drawn per image: slices cut off on export."""
    side = jnp.floor(4 * uniforms(keys, 1)[:, 0])
    height, width = images.shape[1:3]

    def kept(size: int, low: int, high: int) -> Float32[Array, "B N"]:
        lost = jnp.round(shares * size)[:, None]
        pixels = jnp.arange(size)
        at_start = (side[:, None] == low) & (pixels < lost)
        at_end = (side[:, None] == high) & (pixels >= size - lost)
        return jnp.where(at_start | at_end, 0.0, 1.0)

    rows, columns = kept(height, 0, 1), kept(width, 2, 3)
    return images * rows[:, :, None, None] * columns[:, None, :, None]


def _lines(size: int) -> Float32[np.ndarray, " size"]:
    """The signed numbers of k-space lines in the order of the FFT."""
    return np.round(np.fft.fftfreq(size) * size).astype(np.float32)


def _half_lines(size: int) -> Float32[np.ndarray, " N"]:
    """Those of the FFT of real numbers along its last axis."""
    return np.arange(size // 2 + 1, dtype=np.float32)


def _scale_k_space(
    images: Float32[Array, "B H W 3"],
    row_gains: Float32[Array, "B H"],
    column_gains: Float32[Array, "B N"],
) -> Float32[Array, "B H W 3"]:
    """Multiplies k-space by real gains that are symmetric about its centre; the magnitude."""
    height, width = images.shape[1:3]
    k_space = jnp.fft.rfft2(jnp.moveaxis(images, -1, 1))
    k_space *= row_gains[:, None, :, None] * column_gains[:, None, None, :]
    scaled = jnp.fft.irfft2(k_space, (height, width))
    return jnp.abs(jnp.moveaxis(scaled, 1, -1))
