"""Another background: what says nothing of the lesion is replaced or changed at random.

A network can recognise collections of images by their background, by the skull and by uneven
brightness. As in "noise or signal" (Xiao et al. 2021, arXiv:2006.09994), none of them is then worth
learning.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, Key

from fakd_jax.data.augment_some import change_some
from fakd_jax.shifts.draws import per_image, uniforms
from fakd_jax.shifts.filters import blur_coarsely

BRIGHTEST = 0.3
"""Of the new background, on the scale of 0 to 1."""

INSIDE = 0.3
"""Largest logarithm of the field that changes the inside of the head away from the lesion."""

SKULL = 0.7
"""Largest logarithm of the factor that changes the rim of the head."""

_FIELD = 8  # points of a random field along a side
_WIDTH = 1 / 24  # of the filter that smooths the outline, of the side
_HEAD, _RIM = 0.4, 0.8  # smoothed brightness at the head's outline, and inside its rim


def randomise_background(
    keys: Key[Array, " B"],
    images: Float32[Array, "B H W 3"],
    masks: Float32[Array, "B H W 1"] | None,
    probability: float,
) -> Float32[Array, "B H W 3"]:
    """Replaces or changes, in some of the images, whatever lies away from the lesion.

    Outside of the head: a smooth random field instead. The head's rim, where the skull is: its
    brightness times a random factor. The inside: its brightness times a smooth random field. On
    the lesion nothing changes, and around it changes set in gradually. Images without an outline
    are changed everywhere in the same way, lest the change itself show whether there is a tumour.

    The head is what is brighter than the image's mean, smoothed so that its dark parts belong to
    it.

    Args:
      keys: one per image.
      images: in [0, 1].
      masks: of the lesions, above 0 on them; None if no lesion is known.
      probability: per image.

    Returns:
      In [0, 1].
    """

    def changed(numbers: Int32[Array, " n"], some: Float32[Array, "n H W 3"]) -> Array:
        own = keys[numbers]
        return _change(own, some, None if masks is None else masks[numbers])

    chosen = uniforms(keys, 1)[:, 0] < probability
    return change_some(images, chosen, changed)


def _change(
    keys: Key[Array, " n"],
    images: Float32[Array, "n H W 3"],
    masks: Float32[Array, "n H W 1"] | None,
) -> Float32[Array, "n H W 3"]:
    size = (images.shape[1], images.shape[2])
    grey = jnp.mean(images, axis=-1, keepdims=True)
    mean = jnp.mean(grey, axis=(1, 2), keepdims=True)
    brightness = _smoothed(grey > mean)
    head = _ramp(brightness, _HEAD - 0.1, _HEAD + 0.1)
    rim = head * (1 - _ramp(brightness, _RIM - 0.1, _RIM + 0.1))

    own = jax.vmap(lambda key: jax.random.split(key, 3))(keys)
    level, bone = (per_image(draw) for draw in jnp.moveaxis(uniforms(own[:, 0], 2), 1, 0))
    field = jnp.exp(INSIDE * (2 * _random_field(own[:, 1], size) - 1))
    skull = jnp.exp(SKULL * (2 * bone - 1))
    background = BRIGHTEST * level * _random_field(own[:, 2], size)

    factor = field + rim * (skull - field)
    changed = jnp.clip(background + head * (images * factor - background), 0, 1)
    if masks is None:
        return changed
    near = _smoothed(masks > 0)
    away = jnp.where(masks > 0, 0.0, 1 - jnp.minimum(2 * near, 1))
    return images + away * (changed - images)


def _random_field(keys: Key[Array, " n"], size: tuple[int, int]) -> Float32[Array, "n H W 1"]:
    """Smooth fields in [0, 1]: uniform draws on a coarse grid, with bilinear values in between."""
    coarse = uniforms(keys, _FIELD * _FIELD).reshape(-1, _FIELD, _FIELD, 1)
    return jax.image.resize(coarse, (len(coarse), *size, 1), "linear")


def _smoothed(inside: Bool[Array, "n H W 1"]) -> Float32[Array, "n H W 1"]:
    """Gaussian means, wide enough to close the head over its dark parts."""
    return blur_coarsely(inside.astype(jnp.float32), jnp.full((len(inside),), _WIDTH), _WIDTH)


def _ramp(values: Array, low: float, high: float) -> Array:
    """0 up to `low`, 1 from `high` on, linear in between."""
    return jnp.clip((values - low) / (high - low), 0, 1)
