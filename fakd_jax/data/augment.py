"""The paper's augmentation on the device: flip and rotate a uint8 batch inside jit.

It maps pixels exactly as torchvision's `RandomHorizontalFlip` and `RandomRotation` do on PIL
images. :func:`augment_host` is PIL itself, kept to prove that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from fakd_jax.errors import UserError

_INTERPOLATIONS = ("nearest", "bilinear")
_FIXED_POINT_BITS = 16  # Pillow's nearest rotation steps in 16.16 fixed point


@dataclass(frozen=True)
class Augmentation:
    """What is drawn for each image of a batch; the defaults are the paper's.

    Attributes:
      flip_probability: of a left-right flip, in [0, 1].
      rotation_degrees: d; the angle is drawn from U(-d, d), counter-clockwise.
      rotation_interpolation: `nearest` (torchvision's default, hence the paper's) or `bilinear`.
    """

    flip_probability: float = 0.5
    rotation_degrees: float = 15.0
    rotation_interpolation: str = "nearest"

    def __post_init__(self) -> None:
        if not 0 <= self.flip_probability <= 1:
            raise UserError(f"flip_probability is {self.flip_probability}; give 0 to 1")
        if not 0 <= self.rotation_degrees <= 180:
            raise UserError(f"rotation_degrees is {self.rotation_degrees}; give 0 to 180")
        if self.rotation_interpolation not in _INTERPOLATIONS:
            raise UserError(
                f"rotation_interpolation {self.rotation_interpolation!r} is not known; "
                f"use one of {', '.join(_INTERPOLATIONS)}"
            )


def augment_batch(
    key: PRNGKeyArray,
    images: UInt8[Array | np.ndarray, "B H W 3"],
    augmentation: Augmentation,
) -> UInt8[Array, "B H W 3"]:
    """Flips and rotates each image of a batch by its own draw.

    Args:
      key: JAX random key; the same key gives the same batch.
      images: uint8 [B, H, W, 3].
      augmentation: probabilities and ranges; static under jit.

    Returns:
      uint8 [B, H, W, 3]; black where a rotation uncovers nothing.
    """
    flip_key, angle_key = jax.random.split(key)
    batch, limit = images.shape[0], augmentation.rotation_degrees
    flips = jax.random.bernoulli(flip_key, float(augmentation.flip_probability), (batch,))
    angles = jax.random.uniform(angle_key, (batch,), minval=-limit, maxval=limit)
    return flip_and_rotate(images, flips, angles, interpolation=augmentation.rotation_interpolation)


def flip_and_rotate(
    images: UInt8[Array | np.ndarray, "B H W 3"],
    flips: Bool[Array | np.ndarray, " B"],
    angles: Float[Array | np.ndarray, " B"],
    *,
    interpolation: str = "nearest",
) -> UInt8[Array, "B H W 3"]:
    """Flips left-right where `flips`, then rotates about the centre and fills with black.

    Every output pixel looks up its place in the input; the flip only mirrors that place, so
    both cost one gather. The places are those of PIL's `Image.rotate(angle, expand=False)`:
    `nearest` in its fixed-point steps (pixels differ only where float32 rounds a step
    otherwise), `bilinear` with its edge rule (no blending with the black outside).

    Args:
      images: uint8 [B, H, W, 3]; H and W below 32,768.
      flips: bool [B].
      angles: float [B], degrees counter-clockwise.
      interpolation: `nearest` or `bilinear`.

    Returns:
      uint8 [B, H, W, 3].
    """
    if interpolation not in _INTERPOLATIONS:
        raise ValueError(f"interpolation {interpolation!r} is none of {_INTERPOLATIONS}")
    images, flips = jnp.asarray(images), jnp.asarray(flips)
    radians = -jnp.asarray(angles, jnp.float32) * (math.pi / 180)
    rotate = _rotate_nearest if interpolation == "nearest" else _rotate_bilinear
    return rotate(images, flips, jnp.cos(radians), jnp.sin(radians))


def _rotate_nearest(
    images: UInt8[Array, "B H W 3"],
    flips: Bool[Array, " B"],
    cos: Float[Array, " B"],
    sin: Float[Array, " B"],
) -> UInt8[Array, "B H W 3"]:
    """Pillow's `affine_fixed`: places in 16.16 fixed point, so int32 reproduces its choice."""
    height, width = images.shape[1:3]
    x0, y0 = _first_place(cos, sin, height, width)
    step = [_fixed_point(value)[:, None, None] for value in (cos, sin, -sin)]
    columns, rows = jnp.arange(width)[None, None, :], jnp.arange(height)[None, :, None]
    x = _fixed_point(x0)[:, None, None] + step[0] * columns + step[1] * rows
    y = _fixed_point(y0)[:, None, None] + step[2] * columns + step[0] * rows
    x, y = x >> _FIXED_POINT_BITS, y >> _FIXED_POINT_BITS
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return jnp.where(inside[..., None], _look_up(images, flips, x, y), jnp.uint8(0))


def _rotate_bilinear(
    images: UInt8[Array, "B H W 3"],
    flips: Bool[Array, " B"],
    cos: Float[Array, " B"],
    sin: Float[Array, " B"],
) -> UInt8[Array, "B H W 3"]:
    """Pillow's `bilinear_filter`: neighbours outside repeat the edge; fractions are cut off."""
    height, width = images.shape[1:3]
    x0, y0 = _first_place(cos, sin, height, width)
    columns, rows = jnp.arange(width)[None, None, :], jnp.arange(height)[None, :, None]
    cos, sin = cos[:, None, None], sin[:, None, None]
    x = x0[:, None, None] + cos * columns + sin * rows
    y = y0[:, None, None] - sin * columns + cos * rows
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x - 0.5, y - 0.5  # from places to pixel centres
    left, top = jnp.floor(x).astype(jnp.int32), jnp.floor(y).astype(jnp.int32)
    right_share, bottom_share = (x - left)[..., None], (y - top)[..., None]

    def row(line: Int[Array, "B H W"]) -> Float[Array, "B H W 3"]:
        first = _look_up(images, flips, left, line).astype(jnp.float32)
        second = _look_up(images, flips, left + 1, line).astype(jnp.float32)
        return first + (second - first) * right_share

    upper = row(top)
    blended = upper + (row(top + 1) - upper) * bottom_share
    return jnp.where(inside[..., None], blended, 0).astype(jnp.uint8)


def _first_place(
    cos: Float[Array, " B"], sin: Float[Array, " B"], height: int, width: int
) -> tuple[Float[Array, " B"], Float[Array, " B"]]:
    """Where the centre of the output's first pixel lies in the input, as (x, y)."""
    dx, dy = 0.5 - width / 2, 0.5 - height / 2
    return width / 2 + cos * dx + sin * dy, height / 2 - sin * dx + cos * dy


def _fixed_point(values: Float[Array, " B"]) -> Int[Array, " B"]:
    return jnp.floor(values * 2**_FIXED_POINT_BITS + 0.5).astype(jnp.int32)


def _look_up(
    images: UInt8[Array, "B H W 3"],
    flips: Bool[Array, " B"],
    x: Int[Array, "B H W"],
    y: Int[Array, "B H W"],
) -> UInt8[Array, "B H W 3"]:
    """Pixels (x, y) of the flipped images; places outside give the nearest edge pixel."""
    batch, height, width, channels = images.shape
    x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
    x = jnp.where(flips[:, None, None], width - 1 - x, x)
    places = (y * width + x).reshape(batch, -1, 1)
    flat = images.reshape(batch, -1, channels)
    return jnp.take_along_axis(flat, places, axis=1).reshape(images.shape)


def augment_host(
    image: UInt8[np.ndarray, "H W 3"], *, flip: bool, angle: float, interpolation: str = "nearest"
) -> UInt8[np.ndarray, "H W 3"]:
    """PIL's flip and rotation of one image: what torchvision calls; for parity tests.

    Args:
      image: uint8 [H, W, 3].
      flip: mirror left-right first.
      angle: degrees counter-clockwise.
      interpolation: `nearest` or `bilinear`.

    Returns:
      uint8 [H, W, 3].
    """
    from PIL import Image

    picture = Image.fromarray(image)
    if flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    resample = Image.Resampling[interpolation.upper()]
    return np.array(picture.rotate(angle, resample, expand=False, fillcolor=(0, 0, 0)))
