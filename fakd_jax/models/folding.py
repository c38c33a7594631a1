"""Batch norms merged into the convolutions before them, for inference."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from fakd_jax.models.kernels.batch_norm import BatchNorm
from fakd_jax.models.layers import Conv, Depthwise, Pointwise


class Shift(nnx.Module):
    """Adds a number to each channel: what is left of a folded batch norm.

    Attributes:
      bias: Float32 [features].

    Args:
      bias: Its value.
      dtype: The dtype of the result.
    """

    def __init__(self, bias: Float[np.ndarray, " C"], *, dtype: DTypeLike):
        self.bias = nnx.Param(jax.device_put(np.asarray(bias, np.float32)))
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Shifts feature maps; the result is in the layer's `dtype`."""
        return (x + self.bias[...]).astype(self.dtype)


def fold_batch_norms(model: nnx.Module) -> nnx.Module:
    """Merges every batch norm into its convolution: W' = W · γ/σ, b' = β - μ · γ/σ.

    The result computes what the network computes in evaluation, up to rounding, with half the
    variables and one operation less a layer. A batch norm's convolution is the attribute of the
    same module that is named `conv` where the norm is named `bn`.

    Args:
      model: A network; it stays as it is.

    Returns:
      The network for inference. It cannot be trained: there are no batch statistics left.

    Raises:
      TypeError: A batch norm has no such convolution, or one with a bias of its own.
    """
    folded = nnx.clone(model)
    for module, name, norm in list(_batch_norms(folded)):
        conv = getattr(module, name.replace("bn", "conv"), None)
        if (
            not isinstance(conv, Conv | Depthwise | Pointwise)
            or getattr(conv, "bias", None) is not None
        ):
            raise TypeError(f"{type(module).__name__}.{name} has no convolution without bias")
        scale, bias, mean, var = (
            np.asarray(variable[...], np.float64)
            for variable in (norm.scale, norm.bias, norm.mean, norm.var)
        )
        factor = scale / np.sqrt(var + norm.epsilon)
        kernel = np.asarray(conv.kernel[...], np.float64) * factor
        conv.kernel.set_value(jax.device_put(np.asarray(kernel, np.float32)))
        setattr(module, name, Shift(bias - mean * factor, dtype=norm.dtype))
    return folded


def _batch_norms(model: nnx.Module) -> Iterator[tuple[nnx.Module, str, BatchNorm]]:
    for _, module in nnx.iter_graph(model):
        if isinstance(module, nnx.Module):
            for name, value in vars(module).items():
                if isinstance(value, BatchNorm):
                    yield module, name, value
