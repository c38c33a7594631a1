"""Batch norms merged into the convolutions before them, for inference in float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from fakd_jax.models.layers import BatchNorm, Conv, Depthwise, Pointwise


class FoldedNetwork(NamedTuple):
    """A network for inference, split so that a compiled program can take other weights.

    Attributes:
      variables: Its weights; a list enters a compiled program several times faster than a State.
      structure: Of the variables' pytree.
      graphdef: The network without its variables.
    """

    variables: list[jax.Array]
    structure: jax.tree_util.PyTreeDef
    graphdef: nnx.GraphDef[Any]

    @classmethod
    def of(cls, model: nnx.Module) -> FoldedNetwork:
        """Folds and splits a network, which is left as it is.

        A network that computes in bfloat16 keeps its batch norms: folded weights round to other
        values than those that it was trained and validated with, which moves the logits by 1 %.
        """
        half = any(jnp.finfo(norm.dtype).bits < 32 for _, _, norm in _batch_norms(model))
        graphdef, state = nnx.split(model if half else fold_batch_norms(model))
        variables, structure = jax.tree.flatten(state)
        return cls(variables, structure, graphdef)

    def merge(self, variables: list[jax.Array]) -> nnx.Module:
        """The network with these variables, for use inside a compiled program."""
        return nnx.merge(self.graphdef, jax.tree.unflatten(self.structure, variables), copy=True)


class Shift(nnx.Module):
    """Adds a bias to each channel: what is left of a folded batch norm.

    Args:
      bias: Stored as float32.
      dtype: Of the result.
    """

    def __init__(self, bias: Float[np.ndarray, " C"], *, dtype: DTypeLike):
        self.bias = nnx.Param(jax.device_put(np.asarray(bias, np.float32)))
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Adds the bias."""
        return (x + self.bias[...]).astype(self.dtype)


def fold_batch_norms(model: nnx.Module) -> nnx.Module:
    """Merges every batch norm into its convolution: W' = W · γ/σ, b' = β - μ · γ/σ.

    The copy it returns computes what `model` computes in evaluation, up to rounding, and cannot
    be trained. The convolution of the batch norm `bn` (or `bn1`, …) is the attribute `conv`
    (`conv1`, …) of the same module.

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
