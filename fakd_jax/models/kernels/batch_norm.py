"""Batch normalisation with both moments, and both sums of its gradient, in one pass each."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from fakd_jax.models.kernels.reduction import sum_together
from fakd_jax.models.layers import constant


class BatchNorm(nnx.Module):
    """Batch normalisation over batch, height and width, computed in float32.

    In training the moments are the batch's and the running ones follow with
    `new = momentum · old + (1 - momentum) · batch`: Flax's convention, one minus PyTorch's. The
    running variance is the *biased* one, as in Flax; PyTorch keeps the unbiased one, n/(n-1)
    times larger. In evaluation the two agree, since both then read what is stored.

    Attributes:
      scale: Float32 [features], PyTorch's `weight`.
      bias: Float32 [features].
      mean: Running mean, float32 [features].
      var: Running variance, float32 [features].
      use_running_average: Set by `model.eval()` and `model.train()`.

    Args:
      features: Number of channels.
      momentum: Weight of the old running statistics.
      epsilon: Added to the variance.
      dtype: The dtype of the result.
    """

    def __init__(
        self,
        features: int,
        *,
        momentum: float,
        epsilon: float,
        dtype: DTypeLike = jnp.float32,
    ):
        self.scale = nnx.Param(constant(features, 1.0))
        self.bias = nnx.Param(constant(features, 0.0))
        self.mean = nnx.BatchStat(constant(features, 0.0))
        self.var = nnx.BatchStat(constant(features, 1.0))
        self.momentum = momentum
        self.epsilon = epsilon
        self.dtype = dtype
        self.use_running_average = False

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Normalises feature maps; in training it also moves the running statistics."""
        scale, bias = self.scale[...], self.bias[...]
        if self.use_running_average:
            factor = scale * lax.rsqrt(self.var[...] + self.epsilon)
            return ((x - self.mean[...]) * factor + bias).astype(self.dtype)
        y, mean, var = normalise_batch(x, scale, bias, self.mean[...], self.epsilon)
        self._follow(self.mean, mean)
        self._follow(self.var, var)
        return y.astype(self.dtype)

    def _follow(self, running: nnx.BatchStat, batch: Array) -> None:
        old = running[...]
        new = self.momentum * old + (1.0 - self.momentum) * lax.stop_gradient(batch)
        running.set_value(new.astype(old.dtype))


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def normalise_batch(
    x: Float[Array, "B H W C"],
    scale: Float[Array, " C"],
    bias: Float[Array, " C"],
    shift: Float[Array, " C"],
    epsilon: float,
) -> tuple[Float[Array, "B H W C"], Float[Array, " C"], Float[Array, " C"]]:
    """Normalises by the batch's own moments.

    The moments come from one pass over the data, as sums of d and d² with d = x - shift. The
    variance E[d²] - E[d]² does not depend on the shift, but its rounding error does: it grows
    with (mean - shift)²/variance, which for the running mean as shift stays small even where
    plain E[x²] - E[x]² cancels catastrophically.

    Args:
      x: Feature maps.
      scale: Factor a channel.
      bias: Offset a channel.
      shift: A guess of the mean, such as the running one. No gradient flows to it.
      epsilon: Added to the variance.

    Returns:
      The normalised maps in the dtype of `x`, and the batch's mean and biased variance in
      float32, for the running statistics only: cotangents of the moments are ignored.
    """
    return _normalise_batch_forward(x, scale, bias, shift, epsilon)[0]


def _normalise_batch_forward(
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


def _normalise_batch_backward(
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


normalise_batch.defvjp(_normalise_batch_forward, _normalise_batch_backward)
