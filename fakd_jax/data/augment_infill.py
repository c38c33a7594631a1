"""Evidence given and taken away: lesions blurred, and everything but them.

The counterfactual and factual images of Chang, Adam & Goldenberg 2021, "Towards Robust
Classification Model by Counterfactual and Invariant Data Generation", arXiv:2106.01127: a network
that decides by the lesion changes its mind without it, and needs nothing else.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, Key

from fakd_jax.data.augment_some import change_some
from fakd_jax.shifts.draws import per_image, uniforms
from fakd_jax.shifts.filters import blur_coarsely

REFUTED, FACTUAL = 0.4, 0.4
"""Shares of the infills, in images with a lesion, that take the lesion, and all but the lesion."""

SMALLEST_BOX, LARGEST_BOX = 0.15, 0.4
"""Sides of the box that is blurred instead, or left, where there is no lesion; of the image's."""

_EDGE = 1 / 28  # standard deviation of a region's edge, of the side
_BLUR = (1 / 28, 1 / 12)  # of the infill


def infill_some(
    keys: Key[Array, " B"],
    images: Float32[Array, "B H W 3"],
    lesions: Float32[Array, "B H W 1"],
    probabilities: Float32[Array, " B"],
) -> tuple[Float32[Array, "B H W 3"], Bool[Array, " B"]]:
    """Blurs a region of some of the images beyond recognition.

    The region is the lesion, all that lies off it, or a box at a random place off it. In an image
    without a lesion, it is the box or, as often, all but the box: the blur itself must not show
    whether there is a tumour.

    Args:
      keys: one per image.
      images: in [0, 1].
      lesions: above 0 on the lesion.
      probabilities: of an infill; should be 0 where there may be a lesion that is not outlined.

    Returns:
      The images in [0, 1], and whether an image's lesion was taken, so that its label is refuted.
    """
    chosen, kind = jnp.moveaxis(uniforms(keys, 2), 1, 0)
    is_chosen, outlined = chosen < probabilities, jnp.any(lesions > 0, axis=(1, 2, 3))
    refuted = is_chosen & outlined & (kind < REFUTED)
    inverted = jnp.where(outlined, (kind >= REFUTED) & (kind < REFUTED + FACTUAL), kind < 0.5)

    def infilled(numbers: Int32[Array, " n"], some: Float32[Array, "n H W 3"]) -> Array:
        own = jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys[numbers])
        draws = uniforms(own, 5)
        lesion, box = _soft(lesions[numbers] > 0), _soft(_boxes(draws[:, :4], some.shape))
        takes_lesion, is_inverted = per_image(refuted[numbers]), per_image(inverted[numbers])
        region = jnp.where(per_image(outlined[numbers]), lesion, box)
        region = jnp.where(is_inverted, 1 - region, box * (1 - lesion))
        region = jnp.where(takes_lesion, lesion, region)
        least, most = _BLUR
        blurred = blur_coarsely(some, least + (most - least) * draws[:, 4], most)
        return some + region * (blurred - some)

    return change_some(images, is_chosen, infilled), refuted


def _boxes(draws: Float32[Array, "n 4"], shape: tuple[int, ...]) -> Bool[Array, "n H W 1"]:
    """Boxes of random sides at random places within the image."""
    sides = SMALLEST_BOX + (LARGEST_BOX - SMALLEST_BOX) * draws[:, :2]
    starts = draws[:, 2:] * (1 - sides)

    def inside(size: int, axis: int) -> Bool[Array, "n N"]:
        positions = (jnp.arange(size) + 0.5) / size
        start, side = starts[:, axis, None], sides[:, axis, None]
        return (positions >= start) & (positions < start + side)

    return (inside(shape[1], 0)[:, :, None] & inside(shape[2], 1)[:, None, :])[..., None]


def _soft(region: Bool[Array, "n H W 1"]) -> Float32[Array, "n H W 1"]:
    """1 in a region, and around it down to 0 within a few pixels."""
    near = blur_coarsely(region.astype(jnp.float32), jnp.full((len(region),), _EDGE), _EDGE)
    return jnp.where(region, 1.0, jnp.minimum(2 * near, 1))
