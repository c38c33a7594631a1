"""The layers that the networks are made of, with PyTorch's conventions.

Parameters and statistics are float32; every layer computes in its `dtype`. Padding is explicit,
(k-1)//2 on each side as torchvision's, and not XLA's 'SAME', which differs at stride 2: that is
TensorFlow's, and has to be asked for (`padding="tensorflow"`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from fakd_jax.models.initial_values import (
    Initial,
    constant,
    kaiming_normal_fan_out,
    scaled_uniform,
)
from fakd_jax.models.kernels import (
    dense_conv,
    depthwise_conv,
    max_pool,
    normalise_batch,
    pointwise_conv,
)

__all__ = [
    "BatchNorm",
    "Conv",
    "Depthwise",
    "LayerNorm",
    "Linear",
    "Patches",
    "Pointwise",
    "add_relu",
    "check_images",
    "drop",
    "global_average_pool",
    "max_pool",
    "sow",
    "sown_names",
    "stochastic_depth",
]

PADDINGS = ("symmetric", "tensorflow")
"""(k-1)//2 on each side; or one less in front at stride 2, where the maps have an even side."""


class Conv(nnx.Module):
    """A k×k convolution without bias: `torch.nn.Conv2d(..., padding=(k-1)//2, bias=False)`.

    Attributes:
      kernel: Float32 `[k, k, in, out]`.
      padding: One of :data:`PADDINGS`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: str = "symmetric",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        _check_padding(padding, stride)
        shape = (kernel_size, kernel_size, in_features, out_features)
        self.kernel = nnx.Param(kaiming_normal_fan_out(rngs.params(), shape))
        self.stride = stride
        self.padding = padding
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w O"]:
        """Convolves feature maps; the result is in `dtype`."""
        kernel = self.kernel[...].astype(self.dtype)
        return _padded(dense_conv, x.astype(self.dtype), kernel, self.stride, self.padding)


def _padded(
    conv: Callable[[Array, Array, int], Array], x: Array, kernel: Array, stride: int, padding: str
) -> Array:
    """Convolves with one of :data:`PADDINGS`, by means of a function that pads symmetrically.

    At stride 2, TensorFlow pads a side of even length by one less in front than behind, which moves
    every window by one position. With a row more in front, the windows are TensorFlow's, preceded
    by one that it does not have.
    """
    if padding == "symmetric" or stride == 1:
        return conv(x, kernel, stride)
    down, right = (1 - side % 2 for side in x.shape[1:3])
    wider = jnp.pad(x, ((0, 0), (down, 0), (right, 0), (0, 0)))
    return conv(wider, kernel, stride)[:, down:, right:]


def _check_padding(padding: str, stride: int) -> None:
    if padding not in PADDINGS:
        raise ValueError(f"padding={padding!r} must be one of {', '.join(PADDINGS)}")
    if padding != "symmetric" and stride > 2:
        raise ValueError(f"padding={padding!r} is written for strides 1 and 2, not {stride}")


class Pointwise(nnx.Module):
    """A 1×1 convolution as a matrix product over channels, 2 to 3 times faster on CPU.

    Attributes:
      kernel: Float32 `[1, 1, in, out]`.
      bias: Float32 `[out]`, or None.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        stride: int = 1,
        use_bias: bool = False,
        initial: Initial = kaiming_normal_fan_out,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        shape = (1, 1, in_features, out_features)
        self.kernel = nnx.Param(initial(rngs.params(), shape))
        self.bias = nnx.Param(constant(out_features, 0.0)) if use_bias else None
        self.stride = stride
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w O"]:
        """Maps the channels of every `stride`-th position; the result is in `dtype`."""
        if self.stride > 1:
            x = lax.slice(x, (0,) * 4, x.shape, (1, self.stride, self.stride, 1))
        y = pointwise_conv(x.astype(self.dtype), self.kernel[0, 0].astype(self.dtype))
        return y if self.bias is None else y + self.bias[...].astype(self.dtype)


class Depthwise(nnx.Module):
    """A depthwise k×k convolution: `torch.nn.Conv2d(..., padding=(k-1)//2, groups=C)`.

    Attributes:
      kernel: Float32 `[k, k, 1, features]`.
      bias: Float32 `[features]`, or None.
      padding: One of :data:`PADDINGS`.
    """

    def __init__(
        self,
        features: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: str = "symmetric",
        use_bias: bool = False,
        initial: Initial = kaiming_normal_fan_out,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        _check_padding(padding, stride)
        shape = (kernel_size, kernel_size, 1, features)
        self.kernel = nnx.Param(initial(rngs.params(), shape))
        self.bias = nnx.Param(constant(features, 0.0)) if use_bias else None
        self.stride = stride
        self.padding = padding
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
        """Convolves every channel with its own filter; the result is in `dtype`."""
        kernel = self.kernel[...].astype(self.dtype)
        y = _padded(depthwise_conv, x.astype(self.dtype), kernel, self.stride, self.padding)
        return y if self.bias is None else y + self.bias[...].astype(self.dtype)


class Patches(nnx.Module):
    """Maps k×k patches side by side: `torch.nn.Conv2d(..., kernel_size=k, stride=k)`, with bias.

    Rows and columns that fill no patch are left out, as PyTorch does.

    Attributes:
      kernel: Float32 `[k, k, in, out]`.
      bias: Float32 `[out]`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        size: int,
        *,
        initial: Initial = kaiming_normal_fan_out,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        shape = (size, size, in_features, out_features)
        self.kernel = nnx.Param(initial(rngs.params(), shape))
        self.bias = nnx.Param(constant(out_features, 0.0))
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w O"]:
        """Maps every patch; the result is in `dtype`.

        Raises:
          ValueError: The maps are smaller than a patch.
        """
        batch, height, width, channels = x.shape
        size, _, _, features = self.kernel.shape
        rows, columns = height // size, width // size
        if not (rows and columns):
            raise ValueError(f"maps of {height} × {width} have no patch of {size} × {size}")
        x = x[:, : rows * size, : columns * size].astype(self.dtype)
        patches = x.reshape(batch, rows, size, columns, size, channels).swapaxes(2, 3)
        kernel = self.kernel[...].astype(self.dtype).reshape(-1, features)
        y = pointwise_conv(patches.reshape(batch, rows, columns, -1), kernel)
        return y + self.bias[...].astype(self.dtype)


class LayerNorm(nnx.Module):
    """Layer normalisation over the channels of every position, computed in float32.

    Attributes:
      scale: Float32 `[features]`, PyTorch's `weight`.
      bias: Float32 `[features]`.

    Args:
      features: Number of channels.
      epsilon: Added to the variance.
      dtype: The dtype of the result.
    """

    def __init__(self, features: int, *, epsilon: float, dtype: DTypeLike = jnp.float32):
        self.scale = nnx.Param(constant(features, 1.0))
        self.bias = nnx.Param(constant(features, 0.0))
        self.epsilon = epsilon
        self.dtype = dtype

    def __call__(self, x: Float[Array, "*B C"]) -> Float[Array, "*B C"]:
        """Normalises vectors; the result is in `dtype`."""
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        centred = wide - wide.mean(axis=-1, keepdims=True)
        variance = jnp.square(centred).mean(axis=-1, keepdims=True)
        y = centred * lax.rsqrt(variance + self.epsilon) * self.scale[...] + self.bias[...]
        return y.astype(self.dtype)


class BatchNorm(nnx.Module):
    """Batch normalisation over batch, height and width, computed in float32.

    In training the running moments follow the batch's by Flax's convention,
    `new = momentum · old + (1 - momentum) · batch`: `momentum` is one minus PyTorch's. The running
    variance is the *biased* one, as in Flax; PyTorch's is n/(n-1) times larger. In evaluation both
    libraries agree, since both use what is stored.

    Attributes:
      scale: Float32 `[features]`, PyTorch's `weight`.
      bias: Float32 `[features]`.
      mean: Running mean, float32 `[features]`.
      var: Running variance, float32 `[features]`.
      use_running_average: Set by `model.eval()` and `model.train()`.

    Args:
      features: Number of channels.
      momentum: Weight of the old running statistics.
      epsilon: Added to the variance.
      dtype: The dtype of the result.
    """

    def __init__(
        self, features: int, *, momentum: float, epsilon: float, dtype: DTypeLike = jnp.float32
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
        """Normalises feature maps; in training, also updates the running statistics."""
        scale, bias = self.scale[...], self.bias[...]
        if self.use_running_average:
            factor = scale * lax.rsqrt(self.var[...] + self.epsilon)
            return ((x - self.mean[...]) * factor + bias).astype(self.dtype)
        y, mean, var = normalise_batch(x, scale, bias, self.mean[...], self.epsilon)
        for running, batch in ((self.mean, mean), (self.var, var)):
            old = running[...]
            new = self.momentum * old + (1.0 - self.momentum) * lax.stop_gradient(batch)
            running.set_value(new.astype(old.dtype))
        return y.astype(self.dtype)


class Linear(nnx.Module):
    """A fully connected layer with bias: `torch.nn.Linear`, its weight transposed.

    Attributes:
      kernel: Float32 `[in, out]`.
      bias: Float32 `[out]`.

    Args:
      in_features: Length of the input vectors.
      out_features: Length of the output vectors.
      initial: Draws the weights, with zero bias; None for PyTorch's default, U(-1/√in, 1/√in) for
        both.
      dtype: Compute dtype.
      rngs: Source of the initial values.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        initial: Initial | None = None,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        shape = (in_features, out_features)
        if initial is None:
            bound = 1.0 / math.sqrt(in_features)
            kernel = scaled_uniform(rngs.params(), shape, bound)
            bias = scaled_uniform(rngs.params(), shape[1:], bound)
        else:
            kernel = initial(rngs.params(), shape)
            bias = constant(out_features, 0.0)
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(bias)
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B I"]) -> Float[Array, "B O"]:
        """Maps vectors; the result is in `dtype`."""
        y = jnp.dot(x.astype(self.dtype), self.kernel[...].astype(self.dtype))
        return y + self.bias[...].astype(self.dtype)


@jax.custom_vjp
def add_relu(x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """max(x + y, 0), the end of a residual block; its gradient at 0 is 0.

    Written as max(x, -y) + y, the same number to the last bit. XLA fuses a *unary* result such as
    a ReLU into everything that reads it, so that each block of a stage would add up all blocks
    before it again; a result with two operands is computed once and stored.
    """
    return lax.max(x, -y) + y


def _add_relu_forward(x: Array, y: Array) -> tuple[Array, Array]:
    total = add_relu(x, y)
    return total, total


def _add_relu_backward(total: Array, cotangent: Array) -> tuple[Array, Array]:
    gradient = lax.select(total > 0, cotangent, jnp.zeros_like(cotangent))
    return gradient, gradient


add_relu.defvjp(_add_relu_forward, _add_relu_backward)


@jax.jit  # so that an export finds it by its name
def global_average_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B 1 1 C"]:
    """Averages over height and width in float32; the result has the dtype of `x`."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    return jnp.mean(x, axis=(1, 2), keepdims=True, dtype=wide).astype(x.dtype)


def drop(dropout: nnx.Dropout, x: Array, rngs: nnx.Rngs | None) -> Array:
    """Applies dropout, or stochastic depth where it drops whole images.

    Args:
      dropout: The layer; does nothing in evaluation.
      x: Values `[B, ...]`.
      rngs: Source of the mask (stream `dropout`), needed in training only.

    Raises:
      ValueError: No `rngs` in training.
    """
    if rngs is None and dropout.rate > 0 and not dropout.deterministic:
        raise ValueError(
            "dropout in training needs a random key: pass dropout_key to `forward` (or rngs "
            "to the model), or call model.eval() first"
        )
    return dropout(x, rngs=rngs)


def stochastic_depth(rate: float) -> nnx.Dropout:
    """Drops a residual branch for whole images: torchvision's `StochasticDepth(rate, "row")`.

    Huang et al., "Deep networks with stochastic depth", arXiv:1603.09382. Branches that
    are kept are scaled by 1 / (1 - rate).
    """
    return nnx.Dropout(rate, broadcast_dims=(1, 2, 3))


def sow(module: nnx.Module, name: str, value: Array) -> Array:
    """Records an intermediate if the module runs under `nnx.capture`; does nothing otherwise.

    `Module.sow` outside of a capture would add a variable to the module, which costs memory,
    changes its state's structure and, for a name such as `layer1`, collides with the submodule.

    Args:
      module: The module that computes the intermediate.
      name: The name to record it under.
      value: The intermediate.

    Returns:
      The value to continue with: `value`, plus the perturbation (`nnx.Perturbation`) if the
      capture brings one, so that one can differentiate with respect to the intermediate.
    """
    if not hasattr(module, "__captures__"):
        return value
    value = module.perturb(name, value)
    module.sow(nnx.Intermediate, name, value)
    return value


def sown_names(module: nnx.Module) -> tuple[str, ...]:
    """The names under which a module has sown in the present capture, in that order."""
    records = [
        record for record in vars(module)["__captures__"] if type(record) is nnx.Intermediate
    ]
    # The raw dictionary keeps the order; `get_value` sorts it, as JAX does.
    return tuple(name for record in records for name in record.get_raw_value())


def check_images(images: Array) -> None:
    """Refuses anything but a floating-point batch `[B, H, W, 3]`.

    Raises:
      ValueError: Another number of dimensions or channels.
      TypeError: Integers, which are pixels that have not been normalised.
    """
    if images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"images must have the shape [B, H, W, 3], not {images.shape}")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(f"images must be normalised floats, not {images.dtype}")
