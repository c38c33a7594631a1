"""The layers that the networks are made of, with PyTorch's conventions and XLA's fast forms.

Parameters and statistics are float32; every layer computes in its `dtype`. Padding is explicit,
(k-1)//2 on each side as torchvision's, never 'SAME' (which differs at stride 2).
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32

from fakd_jax.models.kernels.dense import dense_conv, pointwise_conv
from fakd_jax.models.kernels.depthwise import depthwise_conv

# Normal values are drawn in chunks of this one length, so that XLA compiles one program for all
# layers: one a shape would make drawing a network's parameters take ten seconds and more.
_CHUNK = 1 << 16


@jax.jit
def _normal_chunk(key: Array) -> Array:
    return jax.random.normal(key, (_CHUNK,), jnp.float32)


def scaled_normal(key: Array, shape: tuple[int, ...], scale: float) -> Float32[Array, "*shape"]:
    """Draws N(0, scale²) in float32.

    Args:
      key: Random key.
      shape: Shape of the result.
      scale: Standard deviation.

    Returns:
      An array of that shape.
    """
    # Cut and scaled in NumPy, which compiles nothing, unless under a transformation; and put on
    # the device as it is, where `jnp.asarray` would compile a program for every shape.
    xp: Any = jnp if isinstance(key, jax.core.Tracer) else np
    count = math.prod(shape)
    keys = [jax.random.fold_in(key, index) for index in range(-(-count // _CHUNK))]
    values = xp.concatenate([xp.asarray(_normal_chunk(chunk_key)) for chunk_key in keys])
    return jax.device_put(values[:count].reshape(shape) * np.float32(scale))


def kaiming_normal_fan_out(
    key: Array, shape: tuple[int, int, int, int]
) -> Float32[Array, "k k I O"]:
    """PyTorch's `kaiming_normal_(mode='fan_out', nonlinearity='relu')`: N(0, 2/(k²·out)).

    Args:
      key: Random key.
      shape: Of the kernel, [k, k, in, out]. PyTorch takes no account of groups either: for a
        depthwise kernel [k, k, 1, C] it divides by k² · C.

    Returns:
      The kernel.
    """
    return scaled_normal(key, shape, math.sqrt(2.0 / (shape[0] * shape[1] * shape[3])))


def constant(features: int, value: float) -> Float32[Array, " C"]:
    """A vector of one value, made on the host, which compiles nothing."""
    return jax.device_put(np.full(features, value, np.float32))


class Conv(nnx.Module):
    """A k×k convolution without bias: `torch.nn.Conv2d(..., padding=(k-1)//2, bias=False)`.

    Attributes:
      kernel: Float32 [k, k, in, out].
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        shape = (kernel_size, kernel_size, in_features, out_features)
        self.kernel = nnx.Param(kaiming_normal_fan_out(rngs.params(), shape))
        self.stride = stride
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w O"]:
        """Convolves feature maps; the result is in the layer's `dtype`."""
        return dense_conv(x.astype(self.dtype), self.kernel[...].astype(self.dtype), self.stride)


class Pointwise(nnx.Module):
    """A 1×1 convolution as a matrix product over channels, 2–3 times faster on CPU.

    Attributes:
      kernel: Float32 [1, 1, in, out].
      bias: Float32 [out], or None.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        stride: int = 1,
        use_bias: bool = False,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        shape = (1, 1, in_features, out_features)
        self.kernel = nnx.Param(kaiming_normal_fan_out(rngs.params(), shape))
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
    """A depthwise k×k convolution without bias: `torch.nn.Conv2d(..., groups=C, bias=False)`.

    Attributes:
      kernel: Float32 [k, k, 1, features].
    """

    def __init__(
        self,
        features: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        shape = (kernel_size, kernel_size, 1, features)
        self.kernel = nnx.Param(kaiming_normal_fan_out(rngs.params(), shape))
        self.stride = stride
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
        """Convolves every channel with its own filter; the result is in `dtype`."""
        return depthwise_conv(
            x.astype(self.dtype), self.kernel[...].astype(self.dtype), self.stride
        )


class Linear(nnx.Module):
    """A fully connected layer with bias: `torch.nn.Linear`, its weight transposed.

    Attributes:
      kernel: Float32 [in, out].
      bias: Float32 [out].

    Args:
      in_features: Length of the input vectors.
      out_features: Length of the output vectors.
      normal_scale: Standard deviation of normally drawn weights with zero bias, as torchvision
        draws MobileNetV3's; None for PyTorch's default, U(-1/√in, 1/√in) for both.
      dtype: Compute dtype.
      rngs: Source of the initial values.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        normal_scale: float | None = None,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        shape = (in_features, out_features)
        if normal_scale is None:
            bound = 1.0 / math.sqrt(in_features)
            kernel = jax.random.uniform(rngs.params(), shape, jnp.float32, -bound, bound)
            bias = jax.random.uniform(rngs.params(), shape[1:], jnp.float32, -bound, bound)
        else:
            kernel = scaled_normal(rngs.params(), shape, normal_scale)
            bias = constant(out_features, 0.0)
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(bias)
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B I"]) -> Float[Array, "B O"]:
        """Maps vectors; the result is in the layer's `dtype`."""
        y = jnp.dot(x.astype(self.dtype), self.kernel[...].astype(self.dtype))
        return y + self.bias[...].astype(self.dtype)


@jax.custom_vjp
def add_relu(x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """max(x + y, 0), a residual block's end, as an operation that XLA computes once.

    Written as max(x, -y) + y, which is the same number to the last bit. XLA copies a program's
    *unary* end, such as a ReLU, into all who read it, and what it depends on with it: the
    outputs of a stage's blocks, each the sum of all before it, were read and added up again in
    every block. An end with two operands is computed and stored.

    Args:
      x: An array.
      y: Another of the same shape and dtype.

    Returns:
      Their rectified sum. Its gradient at 0 is 0, as a ReLU's.
    """
    return lax.max(x, -y) + y


def _add_relu_forward(x: Array, y: Array) -> tuple[Array, Array]:
    total = add_relu(x, y)
    return total, total


def _add_relu_backward(total: Array, cotangent: Array) -> tuple[Array, Array]:
    gradient = lax.select(total > 0, cotangent, jnp.zeros_like(cotangent))
    return gradient, gradient


add_relu.defvjp(_add_relu_forward, _add_relu_backward)


def global_average_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B 1 1 C"]:
    """Averages over height and width in float32; the result has the dtype of `x`."""
    return jnp.mean(x, axis=(1, 2), keepdims=True, dtype=_at_least_float32(x)).astype(x.dtype)


def _at_least_float32(x: Array) -> jnp.dtype:
    return jnp.promote_types(x.dtype, jnp.float32)


def sow(module: nnx.Module, name: str, value: Array) -> Array:
    """Records an intermediate for whoever runs the module under `nnx.capture`; else does nothing.

    A capture that brings perturbations (`nnx.Perturbation`) has them added to what goes on, which
    makes it possible to differentiate with respect to the intermediate.

    `Module.sow` outside of a capture would add a variable to the module, which costs memory,
    changes its state's structure and, for a name such as `layer1`, meets the submodule of that
    name.

    Args:
      module: Whose intermediate it is.
      name: Under which it is recorded.
      value: The intermediate.

    Returns:
      What the module must go on with: the very value, unless it is perturbed.
    """
    if not hasattr(module, "__captures__"):
        return value
    value = module.perturb(name, value)
    module.sow(nnx.Intermediate, name, value)
    return value


def sown_names(module: nnx.Module) -> tuple[str, ...]:
    """The names under which a module has sown in the capture it runs under, first come first."""
    records = [
        record for record in vars(module)["__captures__"] if type(record) is nnx.Intermediate
    ]
    # The raw dictionary keeps the order; `get_value` copies it as JAX does, sorted as text.
    return tuple(name for record in records for name in record.get_raw_value())


def check_images(images: Array) -> None:
    """Raises if images are not a floating-point batch [B, H, W, 3].

    Raises:
      ValueError: For another number of dimensions or channels.
      TypeError: For integers, which would be pixels nobody has normalised yet.
    """
    if images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"images must have the shape [B, H, W, 3], not {images.shape}")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(f"images must be normalised floats, not {images.dtype}")
