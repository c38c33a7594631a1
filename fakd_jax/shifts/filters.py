"""Separable linear filters whose weights differ from image to image."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32

COARSE = 28
"""Points along a side of the grid of :func:`blur_coarsely`."""

_TRUNCATION = 4.0  # standard deviations after which a Gaussian is cut off, as in SciPy


def filter_separably(
    images: Float32[Array, "B H W C"],
    row_weights: Float32[Array, "B _ T"],
    column_weights: Float32[Array, "B _ T"],
) -> Float32[Array, "B H W C"]:
    """Weighs the T nearest rows, then the T nearest columns, of every pixel.

    Sums of shifted images, which XLA fuses into one loop: on CPUs a third of the time of products
    with banded matrices. Beyond the border the edge repeats.

    Args:
      images: any range.
      row_weights: T odd; weight t of output row i belongs to input row i + t - (T - 1) / 2. One
        row of weights serves all output rows.
      column_weights: likewise.
    """
    batch, height, width, channels = images.shape
    taps = row_weights.shape[-1]
    radius = taps // 2
    margin = (radius, radius)
    rows = jnp.pad(images, ((0, 0), margin, (0, 0), (0, 0)), mode="edge")
    rows = rows.reshape(batch, height + 2 * radius, width * channels)
    filtered = sum(row_weights[:, :, t, None] * rows[:, t : t + height] for t in range(taps))
    filtered = jnp.reshape(jnp.asarray(filtered), images.shape)
    columns = jnp.pad(filtered, ((0, 0), (0, 0), margin, (0, 0)), mode="edge")
    # Shifts by whole pixels of a row in memory keep the innermost loop long.
    columns = columns.reshape(batch, height, (width + 2 * radius) * channels)
    span = width * channels
    pixels = jnp.broadcast_to(column_weights, (batch, width, taps))
    pixels = jnp.repeat(pixels, channels, axis=1)[:, None]
    filtered = sum(
        pixels[..., t] * columns[:, :, t * channels : t * channels + span] for t in range(taps)
    )
    return jnp.reshape(jnp.asarray(filtered), images.shape)


def gaussian_weights(sigmas: Float32[Array, " B"], radius: int) -> Float32[Array, "B 1 T"]:
    """Weights of Gaussian filters, cut off and normalised as SciPy's `gaussian_filter` does it.

    Args:
      sigmas: standard deviations in pixels; 0 is the identity. A filter wider than `radius` is NaN
        instead of cut off.
      radius: the filters have 2 · radius + 1 weights.
    """
    offsets = jnp.abs(jnp.arange(-radius, radius + 1, dtype=jnp.float32))
    positive = jnp.maximum(sigmas, 1e-3)[:, None]
    weights = jnp.exp(-0.5 * jnp.square(offsets / positive))
    reach = jnp.floor(_TRUNCATION * positive + 0.5)
    weights = jnp.where(offsets <= reach, weights, 0)
    total = jnp.where(reach <= radius, jnp.sum(weights, axis=-1, keepdims=True), jnp.nan)
    return (weights / total)[:, None, :]


def blur_coarsely(
    images: Float32[Array, "B H W C"], sigmas: Float32[Array, " B"], largest: float
) -> Float32[Array, "B H W C"]:
    """Wide Gaussian filters at a fraction of the cost: on a grid of :data:`COARSE` points a side.

    Args:
      images: any range; beyond the border the edge repeats.
      sigmas: standard deviations as shares of the side, at most `largest`; below 1 / `COARSE` the
        grid blurs more than they do.
      largest: of all sigmas.
    """
    shape = (len(images), COARSE, COARSE, images.shape[-1])
    radius = int(_TRUNCATION * COARSE * largest + 0.5)
    weights = gaussian_weights(COARSE * sigmas, radius)
    coarse = jax.image.resize(images, shape, "linear")
    return jax.image.resize(filter_separably(coarse, weights, weights), images.shape, "linear")


def gaussian_matrix(sigma: float, size: int) -> Float32[np.ndarray, "size size"]:
    """A Gaussian filter of any width along one axis, as a matrix; beyond the border it reflects."""
    radius = int(_TRUNCATION * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    positions = np.arange(size)[:, None] + np.arange(-radius, radius + 1)
    positions = positions % (2 * size)
    positions = np.minimum(positions, 2 * size - 1 - positions)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], positions), weights / weights.sum())
    return matrix.astype(np.float32)


def resampling_weights(
    factors: Float32[Array, " B"], size: int, radius: int
) -> Float32[Array, "B size T"]:
    """Weights of down-sampling by a factor and back to the old size, both bilinear.

    The two steps of Pillow's `resize(..., BILINEAR)`, the first antialiased, multiplied into one
    filter. The smaller image has ceil(size / factor) pixels.

    Args:
      factors: from 1, the identity. A filter wider than `radius` is NaN instead of cut off.
      size: of the axis.
      radius: the filters have 2 · radius + 1 weights.
    """
    # A little less than the quotient, so that rounding it adds no pixel.
    small = jnp.ceil(size / factors - 1e-3)[:, None, None, None]
    scale = size / small
    position = jnp.arange(size, dtype=jnp.float32)[None, :, None, None]
    offsets = jnp.arange(-radius, radius + 1, dtype=jnp.float32)
    inputs = position[..., 0] + offsets  # [1, size, T]: the input pixel of each weight
    inside = (inputs >= 0) & (inputs < size)
    target = (position + 0.5) / scale - 0.5  # in the smaller image
    left = jnp.floor(target)
    total = jnp.zeros(())
    for neighbour, share in ((left, 1 - (target - left)), (left + 1, target - left)):
        pixel = jnp.clip(neighbour, 0, small - 1)
        centre = (pixel + 0.5) * scale - 0.5
        triangle = jnp.maximum(0.0, 1 - jnp.abs(inputs[..., None, :] - centre) / scale)
        triangle = jnp.where(inside[..., None, :], triangle, 0)[..., 0, :]
        total += share[..., 0] * triangle / jnp.sum(triangle, axis=-1, keepdims=True)
    # Weights are zero from 2 · scale pixels on.
    return jnp.where(2 * scale[..., 0] <= radius + 1, total, jnp.nan)
