"""Dense convolutions, written the way each platform runs them fast.

1×1 convolutions are matrix products; the gradient of their kernel contracts batch and positions of
the input with those of the cotangent as they lie, where autodiff's would transpose one of them
first. Of k×k convolutions, some sizes run faster on CPU in another form than XLA's own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from fakd_jax.models.kernels.taps import pad, window
from fakd_jax.models.kernels.winograd import winograd_conv

# Where the map is smaller than the kernel (ResNet's last stage on images of 64 pixels: 2×2), XLA's
# convolution on CPU is a naive loop, up to 200 times slower than a matrix product over patches. Up
# to this many positions the product is never slower, so that nobody needs to know the loop's rule.
_SMALL_MAP = 16
# With so few channels (MobileNetV3's stem: 3 in, 16 out) a convolution on CPU spends its time on
# laying out windows: up to this product of channels, plain multiplications and additions, which
# fuse with what follows, run twice as fast.
_FEW_CHANNELS = 64
# From so many channels in and out, and as many positions, the products that Winograd's algorithm
# saves outweigh its additions: 10 to 30 % of the time.
_MANY = 128


@jax.custom_vjp
def pointwise_conv(
    x: Float[Array, "B H W I"], kernel: Float[Array, "I O"]
) -> Float[Array, "B H W O"]:
    """Maps the channels of every position: a 1×1 convolution as a matrix product.

    Args:
      x: Feature maps.
      kernel: The matrix, of the same dtype.

    Returns:
      Feature maps of the same dtype.
    """
    return jnp.dot(x, kernel)


def _pointwise_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return pointwise_conv(x, kernel), (x, kernel)


def _pointwise_backward(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    return jnp.dot(dy, kernel.T), _over_positions(_positions(x), _positions(dy))


pointwise_conv.defvjp(_pointwise_forward, _pointwise_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def dense_conv(
    x: Float[Array, "B H W I"], kernel: Float[Array, "k k I O"], stride: int = 1
) -> Float[Array, "B h w O"]:
    """Convolves with a k×k kernel, padded by (k-1)//2 on each side.

    As in `torch.nn.Conv2d(I, O, k, stride, padding=(k - 1) // 2, bias=False)`.

    Args:
      x: Images or feature maps.
      kernel: The filters, k odd, of the same dtype.
      stride: Step in both directions.

    Returns:
      Feature maps of the same dtype; `h = (H - 1) // stride + 1`, likewise `w`.
    """
    return _convolve(x, kernel, stride=stride)


def _convolve(x: Array, kernel: Array, *, stride: int) -> Array:
    on_cpu = _fastest_on_cpu(x, kernel, stride)
    if on_cpu is _plain_conv:
        return _plain_conv(x, kernel, stride=stride)
    return lax.platform_dependent(
        x,
        kernel,
        cpu=partial(on_cpu, stride=stride),
        default=partial(_plain_conv, stride=stride),
    )


def _fastest_on_cpu(x: Array, kernel: Array, stride: int) -> Callable[..., Array]:
    size, _, channels, features = kernel.shape
    positions = x.size // channels
    if x.shape[1] * x.shape[2] <= _SMALL_MAP:
        return _conv_of_patches
    if size <= 3 and channels * features <= _FEW_CHANNELS:
        return _conv_by_scalars
    many = min(channels, features) >= _MANY and positions >= channels
    wide = jnp.finfo(x.dtype).bits >= 32  # in narrower formats sums of rounded products would show
    if size == 3 and stride == 1 and many and wide:
        return _conv_of_tiles
    return _plain_conv


def _conv_of_tiles(x: Array, kernel: Array, *, stride: int) -> Array:
    """Winograd's algorithm, which knows stride 1 alone."""
    del stride
    return winograd_conv(x, kernel)


def _conv_by_scalars(x: Array, kernel: Array, *, stride: int) -> Array:
    """Adds up, tap by tap and channel by channel, the input times a vector of weights."""
    k, _, channels, _ = kernel.shape
    wide = jnp.promote_types(x.dtype, jnp.float32)
    padded, weights = pad(x.astype(wide), (k - 1) // 2), kernel.astype(wide)
    size = tuple((side - 1) // stride + 1 for side in x.shape[1:3])
    total = sum(
        window(padded, (i, j), size, stride)[..., channel : channel + 1] * weights[i, j, channel]
        for i in range(k)
        for j in range(k)
        for channel in range(channels)
    )
    return jnp.asarray(total, x.dtype)


def _conv_of_patches(x: Array, kernel: Array, *, stride: int) -> Array:
    """Lays the k×k taps of every window side by side and multiplies by the kernel as a matrix."""
    k, _, _, features = kernel.shape
    padded = pad(x, (k - 1) // 2)
    size = tuple((side - 1) // stride + 1 for side in x.shape[1:3])
    taps = [window(padded, (i, j), size, stride) for i in range(k) for j in range(k)]
    return jnp.dot(jnp.concatenate(taps, axis=-1), kernel.reshape(-1, features))


def _plain_conv(x: Array, kernel: Array, *, stride: int) -> Array:
    margin = (kernel.shape[0] - 1) // 2
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=((margin, margin),) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _dense_forward(x: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return dense_conv(x, kernel, stride), (x, kernel)


def _dense_backward(stride: int, residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    if stride == 1:  # a convolution too, with the kernel turned by 180° and its channels exchanged
        dx = _convolve(dy, kernel[::-1, ::-1].swapaxes(2, 3), stride=1)
    else:
        (dx,) = jax.vjp(lambda x: _convolve(x, kernel, stride=stride), x)[1](dy)
    (dkernel,) = jax.vjp(lambda kernel: _plain_conv(x, kernel, stride=stride), kernel)[1](dy)
    return dx, dkernel


dense_conv.defvjp(_dense_forward, _dense_backward)


def _positions(x: Array) -> Array:
    """[B, H, W, C] as [B·H·W, C]."""
    return x.reshape(-1, x.shape[-1])


def _over_positions(x: Array, dy: Array) -> Array:
    """xᵀ · dy for [N, I] and [N, O], without a transposed copy."""
    return lax.dot_general(x, dy, (((0,), (0,)), ((), ())))
