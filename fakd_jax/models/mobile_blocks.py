"""What MobileNetV3's and EfficientNet's blocks are made of, named as torchvision names it."""

from __future__ import annotations

from collections.abc import Callable

from flax import nnx
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from fakd_jax.models.layers import BatchNorm, Conv, Depthwise, Pointwise, global_average_pool

Activation = Callable[[Array], Array]


def make_divisible(value: int, divisor: int = 8) -> int:
    """Rounds to a multiple of `divisor`, never down by more than a tenth, as torchvision does."""
    rounded = max(divisor, (value + divisor // 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


class ConvNormActivation(nnx.Module):
    """A convolution of any kind, batch norm, and an optional activation."""

    def __init__(
        self, conv: Conv | Pointwise | Depthwise, norm: BatchNorm, activation: Activation | None
    ):
        self.conv = conv
        self.bn = norm
        self.activation = activation

    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w O"]:
        """Maps feature maps; the stride is the convolution's."""
        y = self.bn(self.conv(x))
        return y if self.activation is None else self.activation(y)


class SqueezeExcitation(nnx.Module):
    """Scales channels by a gate computed from their means."""

    def __init__(
        self,
        features: int,
        squeezed: int,
        *,
        activation: Activation,
        gate: Activation,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        self.fc1 = Pointwise(features, squeezed, use_bias=True, dtype=dtype, rngs=rngs)
        self.fc2 = Pointwise(squeezed, features, use_bias=True, dtype=dtype, rngs=rngs)
        self.activation = activation
        self.gate = gate

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Scales the channels of every image."""
        squeezed = self.activation(self.fc1(global_average_pool(x)))
        return x * self.gate(self.fc2(squeezed))
