"""Standardisation of logits and features, so that a student need not match its teacher's scale."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fakd_jax.distillation.rows import check_rows, kept_rows, mean_of_rows, pair_of_rows, wide

# What varies by less than this (its standard deviation) is constant but for rounding.
_CONSTANT = 1e-6


def standardise(
    values: Float[Array, " ..."], *, axis: int, mask: Bool[Array, " n"] | None = None
) -> Float[Array, " ..."]:
    r"""Shifts and scales to mean 0 and standard deviation 1 along an axis.

    $$\hat x_i = (x_i - \bar x) / s, \quad s^2 = \frac{1}{n - 1} \sum_i (x_i - \bar x)^2$$

    Args:
      values: of any shape.
      axis: along which.
      mask: `[n]` along the axis, False for entries that do not count.

    Returns:
      Of the shape of `values`; 0, without a gradient, where entries do not count and where they
      are constant.
    """
    shape = [1] * values.ndim
    shape[axis] = values.shape[axis]
    counted = jnp.ones(shape, bool) if mask is None else mask.reshape(shape)
    count = jnp.sum(counted)
    values = jnp.where(counted, values, 0)
    mean = jnp.sum(values, axis, keepdims=True) / jnp.maximum(count, 1)
    centred = jnp.where(counted, values - mean, 0)
    variance = jnp.sum(jnp.square(centred), axis, keepdims=True) / jnp.maximum(count - 1, 1)
    varies = variance > _CONSTANT**2
    return jnp.where(varies, centred * jax.lax.rsqrt(jnp.where(varies, variance, 1)), 0)


def standardise_logits(
    logits: Float[Array, "B C"], *, mask: Bool[Array, " B"] | None = None
) -> Float[Array, "B C"]:
    r"""The z-scores of each image's logits (Sun et al. 2024, arXiv:2403.01427).

    $$\hat z_{ic} = (z_{ic} - \bar z_i) / \sigma(z_i)$$

    In place of the logits in any loss that softens them, it leaves the student free in their range
    and variance. As the authors' code, σ divides by C - 1.

    Args:
      logits: `[B, C]`, any float dtype.
      mask: `[B]`, False for rows that do not count; they give 0.

    Returns:
      `[B, C]`, float32 at least; 0 for rows of equal logits.
    """
    return standardise(wide(kept_rows(logits, mask)), axis=1)


def correlation_alignment_loss(
    aligned: Float[Array, "B H W C"],
    teacher_features: Float[Array, "B H W C"],
    *,
    mask: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Feature alignment of standardised channels, PKD (Cao et al. 2022, arXiv:2207.02039).

    $$L_{FA} = \frac{1}{2 BHWC} \sum (\hat A(f^s) - \hat f^t)^2 \approx
    \frac{1}{C} \sum_c (1 - \rho_c)$$

    Each channel is standardised over all positions of the batch's images; ρ is Pearson's
    correlation of a channel of the student with the teacher's. Hence neither the scale of the
    teacher's features nor a few strong channels decide what the loss weighs against others.

    Args:
      aligned: `[B, H, W, C]`, any float dtype.
      teacher_features: `[B, H, W, C]`, any float dtype.
      mask: `[B]`, False for rows that do not count.

    Returns:
      A scalar in `[0, 2]`.

    Raises:
      ValueError: the shapes differ.
    """
    check_rows("teacher_features", teacher_features.shape, aligned.shape)
    batch, height, width, channels = aligned.shape
    positions = None if mask is None else jnp.repeat(mask, height * width)
    student, teacher = (
        standardise(maps.reshape(-1, channels), axis=0, mask=positions).reshape(batch, -1)
        for maps in pair_of_rows(aligned, teacher_features, mask)
    )
    return mean_of_rows(jnp.mean(jnp.square(student - teacher), axis=1), mask) / 2
