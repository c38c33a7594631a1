"""Shifts of position, scale and orientation, as affine maps that compose into one look-up.

A map is a matrix [3, 3] from a pixel of the output to a position in the input, both as (x, y, 1)
in pixels from the image's centre. Of maps applied one after the other, the composition is the
product in the same order: the first on the left.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, Key

from fakd_jax.shifts.draws import signs, uniforms

_ROUNDING = 2e-5  # pixels


def rotation(
    keys: Key[Array, " B"], degrees: Float32[Array, " B"], size: tuple[int, int]
) -> Float32[Array, "B 3 3"]:
    """Rotates about the centre, counter-clockwise or clockwise, drawn per image."""
    del size
    radians = degrees * signs(keys) * (math.pi / 180)
    cos, sin = jnp.cos(radians), jnp.sin(radians)
    return affine_maps([[cos, -sin, None], [sin, cos, None]])


def shift(
    keys: Key[Array, " B"], shares: Float32[Array, " B"], size: tuple[int, int]
) -> Float32[Array, "B 3 3"]:
    """Moves by a share of the height and width, in a direction drawn per image."""
    angle = 2 * math.pi * uniforms(keys, 1)[:, 0]
    height, width = size
    dx, dy = shares * width * jnp.cos(angle), shares * height * jnp.sin(angle)
    one = jnp.ones_like(shares)
    return affine_maps([[one, None, -dx], [None, one, -dy]])


def zoom(
    keys: Key[Array, " B"], factors: Float32[Array, " B"], size: tuple[int, int]
) -> Float32[Array, "B 3 3"]:
    """Enlarges by the factor or shrinks by it, drawn per image."""
    del size
    scale = factors ** -signs(keys)
    return affine_maps([[scale, None, None], [None, scale, None]])


def crop(
    keys: Key[Array, " B"], shares: Float32[Array, " B"], size: tuple[int, int]
) -> Float32[Array, "B 3 3"]:
    """Cuts a share off height and width, anywhere, and enlarges what is left to the old size.

    The crop of RandomResizedCrop (Szegedy et al. 2015) at a fixed aspect ratio.
    """
    height, width = size
    x, y = jnp.moveaxis(uniforms(keys, 2) - 0.5, -1, 0)
    kept = 1 - shares
    return affine_maps([[kept, None, x * shares * width], [None, kept, y * shares * height]])


def aspect(
    keys: Key[Array, " B"], factors: Float32[Array, " B"], size: tuple[int, int]
) -> Float32[Array, "B 3 3"]:
    """Makes the image wider or taller by the factor at the same area, drawn per image."""
    del size
    stretch = jnp.sqrt(factors) ** signs(keys)
    return affine_maps([[1 / stretch, None, None], [None, stretch, None]])


def flip(
    keys: Key[Array, " B"], shares: Float32[Array, " B"], size: tuple[int, int]
) -> Float32[Array, "B 3 3"]:
    """Mirrors a share of the images: left-right, up-down or both, drawn per image.

    The orientations that a file with another axis order or convention is read in.
    """
    del size
    flipped, kind = jnp.moveaxis(uniforms(keys, 2), -1, 0)
    x = jnp.where((flipped < shares) & (kind < 2 / 3), -1.0, 1.0)
    y = jnp.where((flipped < shares) & (kind >= 1 / 3), -1.0, 1.0)
    return affine_maps([[x, None, None], [None, y, None]])


def warp(
    images: Float32[Array, "B H W C"], matrices: Float32[Array, "B 3 3"]
) -> Float32[Array, "B H W C"]:
    """Looks every output pixel up at its position in the input.

    Bilinear with Pillow's edge rule, as `Image.transform(..., AFFINE, ..., BILINEAR)`: black
    outside, and no blending with the black at the border.

    Args:
      images: any range.
      matrices: the maps of the module's functions, or products of them.
    """
    batch, height, width, channels = images.shape
    columns = jnp.arange(width, dtype=jnp.float32)[None, None, :] + (0.5 - width / 2)
    rows = jnp.arange(height, dtype=jnp.float32)[None, :, None] + (0.5 - height / 2)
    (a, b, c), (d, e, f) = (
        [matrices[:, row, column, None, None] for column in range(3)] for row in range(2)
    )
    x = a * columns + b * rows + (c + width / 2)
    y = d * columns + e * rows + (f + height / 2)
    inside = _within(x, width) & _within(y, height)
    x, y = x - 0.5, y - 0.5  # from positions to pixel centres
    left, top = jnp.floor(x), jnp.floor(y)
    right_share, bottom_share = (x - left)[..., None], (y - top)[..., None]
    flat = images.reshape(batch, height * width, channels)

    def pixels(column: Float32[Array, "B H W"], row: Float32[Array, "B H W"]) -> Array:
        column = jnp.clip(column, 0, width - 1).astype(jnp.int32)
        row = jnp.clip(row, 0, height - 1).astype(jnp.int32)
        positions: Int32[Array, "B N 1"] = (row * width + column).reshape(batch, -1, 1)
        return jnp.take_along_axis(flat, positions, axis=1).reshape(images.shape)

    def line(row: Float32[Array, "B H W"]) -> Array:
        first = pixels(left, row)
        return first + (pixels(left + 1, row) - first) * right_share

    upper = line(top)
    blended = upper + (line(top + 1) - upper) * bottom_share
    return jnp.where(inside[..., None], blended, 0.0)


def affine_maps(rows: list[list[Float32[Array, " B"] | None]]) -> Float32[Array, "B 3 3"]:
    """Maps from their entries.

    Args:
      rows: the first two of each matrix, `[[a, b, c], [d, e, f]]`; None is 0.
    """
    entries = [entry for row in rows for entry in row]
    zero = jnp.zeros_like(next(entry for entry in entries if entry is not None))
    filled = [zero if entry is None else entry for entry in entries]
    stacked = jnp.stack([*filled, zero, zero, zero + 1], axis=-1)
    return stacked.reshape(-1, 3, 3)


def _within(positions: Float32[Array, "B H W"], size: int) -> Bool[Array, "B H W"]:
    """Whether positions are in [0, size), the ends as they are without float32's rounding."""
    return (positions > -_ROUNDING) & (positions < size - _ROUNDING)
