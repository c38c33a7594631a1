"""Random crops around the lesion, as affine maps that compose with those of other geometry."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float32, Key

from fakd_jax.shifts.draws import uniforms
from fakd_jax.shifts.geometry import affine_maps

SMALLEST = 0.4
"""Share of the side that is kept at least; a larger lesion stays whole nevertheless."""

STAND_IN = 0.2
"""Side of the box that takes the lesion's place, anywhere, in an image without one."""


def crop_maps(
    keys: Key[Array, " B"],
    lesions: Float32[Array, "B H W"],
    probabilities: Float32[Array, " B"],
) -> Float32[Array, "B 3 3"]:
    """Draws for some of the images a crop that has the whole lesion in it, enlarged to the frame.

    The side is drawn from U(`SMALLEST`, 1), height and width alike, and the place uniformly from
    all that have the lesion and lie within the image. Images without a lesion are cropped by the
    same law about a box at a random place: were they not, a close view would mean a tumour.

    Args:
      keys: one per image.
      lesions: above 0 on the lesion.
      probabilities: of a crop; should be 0 where there may be a lesion that is not outlined: it
        would be cut off.

    Returns:
      Maps of :func:`fakd_jax.shifts.geometry.warp`.
    """
    height, width = lesions.shape[1:]
    chosen, size, across, down, x, y = jnp.moveaxis(uniforms(keys, 6), 1, 0)
    has_lesion = jnp.any(lesions > 0, axis=(1, 2))
    left, right = _extent(jnp.any(lesions > 0, axis=1), has_lesion, across)
    top, bottom = _extent(jnp.any(lesions > 0, axis=2), has_lesion, down)
    side = jnp.maximum(SMALLEST + (1 - SMALLEST) * size, jnp.maximum(right - left, bottom - top))
    column, row = _centre(left, right, side, x), _centre(top, bottom, side, y)
    cropped = chosen < probabilities
    side = jnp.where(cropped, side, 1.0)
    dx = jnp.where(cropped, (column - 0.5) * width, 0.0)
    dy = jnp.where(cropped, (row - 0.5) * height, 0.0)
    return affine_maps([[side, None, dx], [None, side, dy]])


def _extent(
    lines: Array, has_lesion: Array, place: Float32[Array, " B"]
) -> tuple[Float32[Array, " B"], Float32[Array, " B"]]:
    """Where the lesion, or the box in its place, begins and ends along an axis, in [0, 1].

    Args:
      lines: bool `[B, N]`, whether a row or column has a pixel of the lesion.
      has_lesion: bool `[B]`.
      place: of the box, in [0, 1].
    """
    count = lines.shape[1]
    first = jnp.argmax(lines, axis=1) / count
    last = 1 - jnp.argmax(lines[:, ::-1], axis=1) / count
    start = place * (1 - STAND_IN)
    return jnp.where(has_lesion, first, start), jnp.where(has_lesion, last, start + STAND_IN)


def _centre(
    first: Float32[Array, " B"],
    last: Float32[Array, " B"],
    side: Float32[Array, " B"],
    place: Float32[Array, " B"],
) -> Float32[Array, " B"]:
    """The middle of a crop that has [first, last] in it and lies within [0, 1]."""
    lowest = jnp.maximum(last - side / 2, side / 2)
    highest = jnp.minimum(first + side / 2, 1 - side / 2)
    return lowest + place * (highest - lowest)
