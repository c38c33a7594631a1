"""Batch normalisation that reads its input once for its moments and once for its gradient."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from fakd_jax.models.kernels.reduction import sum_together


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def normalise_batch(
    x: Float[Array, "B H W C"],
    scale: Float[Array, " C"],
    bias: Float[Array, " C"],
    shift: Float[Array, " C"],
    epsilon: float,
) -> tuple[Float[Array, "B H W C"], Float[Array, " C"], Float[Array, " C"]]:
    """Normalises feature maps by the moments of the batch.

    Both moments come from one pass, as the means of d and d² with d = x - shift:
    var = E[d²] - E[d]². The shift does not change the value but the rounding error, which grows
    with (mean - shift)²/var; with the running mean as shift it stays small.

    Args:
      x: Feature maps.
      scale: Factor per channel.
      bias: Offset per channel.
      shift: An estimate of the mean, such as the running mean. No gradient flows to it.
      epsilon: Added to the variance.

    Returns:
      The normalised maps in the dtype of `x`, and the batch's mean and biased variance in
      float32. The moments are for the running statistics: their cotangents are ignored.
    """
    return _forward(x, scale, bias, shift, epsilon)[0]


def _forward(
    x: Array, scale: Array, bias: Array, shift: Array, epsilon: float
) -> tuple[tuple[Array, Array, Array], tuple[Array, ...]]:
    count = x.size // x.shape[-1]
    distance = x - shift  # promotes bfloat16 to float32
    total, total_of_squares = sum_together([distance, distance * distance])
    offset = total / count
    mean = shift + offset
    var = jnp.maximum(total_of_squares / count - offset * offset, 0.0)
    inverse = lax.rsqrt(var + epsilon)
    y = (x - mean) * (inverse * scale) + bias
    return (y.astype(x.dtype), mean, var), (x, scale, mean, inverse)


def _backward(
    epsilon: float, residuals: tuple[Array, ...], cotangents: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array, Array]:
    """With x̂ the normalised x: dx = scale/σ · (dy - E[dy] - x̂ · E[dy · x̂])."""
    del epsilon
    x, scale, mean, inverse = residuals
    count = x.size // x.shape[-1]
    dy = cotangents[0].astype(jnp.promote_types(x.dtype, jnp.float32))
    centred = x - mean
    dbias, along = sum_together([dy, dy * centred])
    dscale = along * inverse
    dx = (inverse * scale) * (dy - dbias / count - centred * (inverse * dscale / count))
    return dx.astype(x.dtype), dscale, dbias, jnp.zeros_like(mean)


normalise_batch.defvjp(_forward, _backward)
