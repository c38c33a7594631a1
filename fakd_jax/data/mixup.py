"""Mixup: every image of a batch becomes a mixture of two (Zhang et al. 2018, arXiv:1710.09412)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped


def mixup(
    key: PRNGKeyArray, images: Float[Array, "B H W 3"], labels: Int[Array, " B"], alpha: float
) -> tuple[Float[Array, "B H W 3"], Int[Array, " B"], Float[Array, ""]]:
    r"""Mixes each image with the one before it in the batch, as torchvision's `v2.MixUp` does.

    $$x_i \leftarrow \lambda x_i + (1 - \lambda) x_{i-1}, \quad
    \lambda \sim \mathrm{Beta}(\alpha, \alpha)$$

    One λ is drawn per batch. The loss is mixed likewise: λ times that of the labels, plus 1 - λ
    times that of the labels returned. A teacher is given the same mixtures: it is to be matched as
    a function (Beyer et al. 2022, arXiv:2106.05237).

    Args:
      key: JAX random key.
      images: `[B, H, W, 3]`, in random order.
      labels: `[B]`, class indices.
      alpha: α > 0; 1 draws λ uniformly from [0, 1], less keeps most mixtures near one image.

    Returns:
      The mixtures, the labels of the images that were mixed in, and λ.
    """
    share = jax.random.beta(key, alpha, alpha)
    mixtures = share * images + (1 - share) * mixed_in(images)
    return mixtures, mixed_in(labels), share


def mixed_in(values: Shaped[Array, "B ..."]) -> Shaped[Array, "B ..."]:
    """For each image of a batch, the value of the one that :func:`mixup` mixes into it."""
    return jnp.roll(values, 1, axis=0)
