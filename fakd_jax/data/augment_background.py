"""Another background: what says nothing of the lesion is replaced or changed at random.

A network can tell collections of images apart by their background, by the skull and by uneven
brightness. As in "noise or signal" (Xiao et al. 2021, arXiv:2006.09994), none of them is then worth
learning.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Key

from fakd_jax.shifts.draws import per_image, uniforms
from fakd_jax.shifts.filters import filter_separably, gaussian_weights

BRIGHTEST = 0.3
"""Of the new background, on the scale of 0 to 1."""

INSIDE = 0.3
"""Largest logarithm of the field that changes the inside of the head away from the lesion."""

SKULL = 0.7
"""Largest logarithm of the factor that changes the rim of the head."""

_COARSE = 8  # points of a random field along a side
_WIDTH = 1 / 24  # of the filter that smooths the head's outline, of the side
_REACH = 4.0  # standard deviations after which the filter is cut off
_HEAD, _RIM = 0.4, 0.8  # smoothed brightness at the head's outline, and inside its rim


def randomise_background(
    keys: Key[Array, " B"], pictures: Float32[Array, "B H W C"], probability: float
) -> Float32[Array, "B H W C"]:
    """Replaces or changes, in some of the images, whatever lies away from the lesion.

    Outside of the head: a smooth random field instead. The head's rim, where the skull is: its
    brightness times a random factor. The inside: its brightness times a smooth random field. On
    the lesion nothing changes, and around it changes set in gradually. Images without an outline
    are changed everywhere in the same way, lest the change itself show whether there is a tumour.

    The head is what is brighter than the image's mean, smoothed so that its dark parts belong to
    it.

    Args:
      keys: one per image.
      pictures: in [0, 1]; of four channels the fourth is the lesion's mask, which stays.
      probability: per image.

    Returns:
      In [0, 1].
    """
    images, masks = pictures[..., :3], pictures[..., 3:]
    size = (images.shape[1], images.shape[2])
    grey = jnp.mean(images, axis=-1, keepdims=True)
    mean = jnp.mean(grey, axis=(1, 2), keepdims=True)
    brightness = _smoothed((grey > mean).astype(jnp.float32))
    head = _ramp(brightness, _HEAD - 0.1, _HEAD + 0.1)
    rim = head * (1 - _ramp(brightness, _RIM - 0.1, _RIM + 0.1))

    own = jax.vmap(lambda key: jax.random.split(key, 4))(keys)
    chosen, level, bone = (per_image(draw) for draw in jnp.moveaxis(uniforms(own[:, 0], 3), 1, 0))
    field = jnp.exp(INSIDE * (2 * _random_field(own[:, 1], size) - 1))
    skull = jnp.exp(SKULL * (2 * bone - 1))
    background = BRIGHTEST * level * _random_field(own[:, 2], size)

    changed = images * (field + rim * (skull - field))
    changed = background + head * (changed - background)
    away = jnp.ones_like(grey)
    if masks.shape[-1]:
        near = _smoothed((masks > 0).astype(jnp.float32))
        away = jnp.where(masks > 0, 0.0, 1 - jnp.minimum(2 * near, 1))
    away = jnp.where(chosen < probability, away, 0.0)
    images = jnp.clip(images + away * (changed - images), 0, 1)
    return jnp.concatenate([images, masks], axis=-1) if masks.shape[-1] else images


def _random_field(keys: Key[Array, " B"], size: tuple[int, int]) -> Float32[Array, "B H W 1"]:
    """Smooth fields in [0, 1]: uniform draws on a coarse grid, with bilinear values in between."""
    coarse = uniforms(keys, _COARSE * _COARSE).reshape(-1, _COARSE, _COARSE, 1)
    return jax.image.resize(coarse, (len(coarse), *size, 1), "linear")


def _smoothed(values: Float32[Array, "B H W 1"]) -> Float32[Array, "B H W 1"]:
    """Gaussian means, wide enough to close the head over its dark parts."""
    batch, height, width, _ = values.shape
    sigma = max(height, width) * _WIDTH
    weights = gaussian_weights(jnp.full((batch,), sigma), int(_REACH * sigma) + 1)
    return filter_separably(values, weights, weights)


def _ramp(values: Array, low: float, high: float) -> Array:
    """0 up to `low`, 1 from `high` on, linear in between."""
    return jnp.clip((values - low) / (high - low), 0, 1)
