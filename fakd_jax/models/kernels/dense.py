"""Dense convolutions.

1×1 convolutions are matrix products, whose kernel gradient contracts batch and positions directly
where autodiff would transpose one operand first. Some k×k convolutions run faster on CPU in a form
other than XLA's, in bfloat16 most of them (:mod:`~fakd_jax.models.kernels.narrow`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from fakd_jax.models.kernels.narrow import (
    narrow_conv_gradients,
    narrow_pointwise_gradients,
    prefers_narrow,
)
from fakd_jax.models.kernels.taps import output_size, pad, patches, window
from fakd_jax.models.kernels.winograd import winograd_conv

# Where the map is smaller than the kernel (ResNet's last stage on 64-pixel images: 2×2), XLA's
# convolution on CPU is a naive loop, up to 200 times slower than a matrix product over patches.
# Up to this many positions the product is never slower.
_SMALL_MAP = 16
# Up to this product of channels (MobileNetV3's stem: 3 in, 16 out), plain multiplications and
# additions, which fuse with what follows, run twice as fast as laying out windows.
_FEW_CHANNELS = 64
# From this many channels in and out, and as many positions, the products that Winograd's algorithm
# saves outweigh its additions: 10 to 30 % of the time.
_MANY = 128


@jax.custom_vjp
def pointwise_conv(
    x: Float[Array, "B H W I"], kernel: Float[Array, "I O"]
) -> Float[Array, "B H W O"]:
    """Maps the channels of every position: a 1×1 convolution as a matrix product."""
    return jnp.dot(x, kernel)


def _pointwise_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return pointwise_conv(x, kernel), (x, kernel)


def _pointwise_backward(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    if prefers_narrow(x, min(kernel.shape)):
        return lax.platform_dependent(
            x, kernel, dy, cpu=narrow_pointwise_gradients, default=_pointwise_gradients
        )
    return _pointwise_gradients(x, kernel, dy)


pointwise_conv.defvjp(_pointwise_forward, _pointwise_backward)


def _pointwise_gradients(x: Array, kernel: Array, dy: Array) -> tuple[Array, Array]:
    dx = jnp.dot(dy, kernel.T)
    rows, row_cotangents = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    return dx, lax.dot_general(rows, row_cotangents, (((0,), (0,)), ((), ())))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def dense_conv(
    x: Float[Array, "B H W I"], kernel: Float[Array, "k k I O"], stride: int = 1
) -> Float[Array, "B h w O"]:
    """Convolves with a k×k kernel, padded by (k-1)//2 on each side.

    As `torch.nn.Conv2d(I, O, k, stride, padding=(k - 1) // 2, bias=False)`.

    Args:
      x: Images or feature maps.
      kernel: The filters, k odd, of the dtype of `x`.
      stride: Step in both directions.

    Returns:
      Feature maps of the dtype of `x`; `h = (H - 1) // stride + 1`, likewise `w`.
    """
    return _convolve(x, kernel, stride=stride)


def _dense_forward(x: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return dense_conv(x, kernel, stride), (x, kernel)


def _dense_backward(stride: int, residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    if prefers_narrow(x, kernel.shape[2]):
        return lax.platform_dependent(
            x,
            kernel,
            dy,
            cpu=partial(narrow_conv_gradients, stride=stride),
            default=partial(_dense_gradients, stride=stride),
        )
    return _dense_gradients(x, kernel, dy, stride=stride)


dense_conv.defvjp(_dense_forward, _dense_backward)


def _dense_gradients(x: Array, kernel: Array, dy: Array, *, stride: int) -> tuple[Array, Array]:
    if stride == 1:  # a convolution too, with the kernel rotated by 180° and its channels swapped
        dx = _convolve(dy, kernel[::-1, ::-1].swapaxes(2, 3), stride=1)
    else:
        (dx,) = jax.vjp(lambda x: _convolve(x, kernel, stride=stride), x)[1](dy)
    (dkernel,) = jax.vjp(lambda kernel: plain_conv(x, kernel, stride=stride), kernel)[1](dy)
    return dx, dkernel


def _convolve(x: Array, kernel: Array, *, stride: int) -> Array:
    on_cpu, plain = _fastest_on_cpu(x, kernel, stride), partial(plain_conv, stride=stride)
    if on_cpu is None:
        return plain(x, kernel)
    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=plain)


def _fastest_on_cpu(x: Array, kernel: Array, stride: int) -> Callable[..., Array] | None:
    """The form that beats XLA's convolution on CPU; None if XLA's is the fastest."""
    size, _, channels, features = kernel.shape
    positions = x.size // channels
    if x.shape[1] * x.shape[2] <= _SMALL_MAP or prefers_narrow(x, channels):
        return partial(_conv_by_patches, stride=stride)
    if size <= 3 and channels * features <= _FEW_CHANNELS:
        return partial(_conv_by_scalars, stride=stride)
    many = min(channels, features) >= _MANY and _surely(lambda: positions >= channels)
    wide = jnp.finfo(x.dtype).bits >= 32  # narrower formats would round every partial product
    return winograd_conv if size == 3 and stride == 1 and many and wide else None


def _surely(comparison: Callable[[], bool]) -> bool:
    """Whether it holds for every batch size, where that is left open (`jax.export`)."""
    try:
        return comparison()
    except jax.core.InconclusiveDimensionOperation:
        return False


def _conv_by_scalars(x: Array, kernel: Array, *, stride: int) -> Array:
    """Adds up, tap by tap and channel by channel, the input times a vector of weights."""
    k, _, channels, _ = kernel.shape
    wide = jnp.promote_types(x.dtype, jnp.float32)
    padded, weights = pad(x.astype(wide), (k - 1) // 2), kernel.astype(wide)
    size = output_size(x, stride)
    total = sum(
        window(padded, (i, j), size, stride)[..., channel : channel + 1] * weights[i, j, channel]
        for i in range(k)
        for j in range(k)
        for channel in range(channels)
    )
    return jnp.asarray(total, x.dtype)


def _conv_by_patches(x: Array, kernel: Array, *, stride: int) -> Array:
    """Lays the k×k taps of every window side by side and multiplies by the kernel as a matrix."""
    k, _, _, features = kernel.shape
    return jnp.dot(patches(x, k, stride), kernel.reshape(-1, features))


def plain_conv(x: Array, kernel: Array, *, stride: int, groups: int = 1) -> Array:
    """XLA's own convolution, with the padding of :func:`dense_conv`."""
    margin = (kernel.shape[0] - 1) // 2
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=((margin, margin),) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
