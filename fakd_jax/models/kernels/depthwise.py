"""Depthwise convolution, written the way each platform runs it fast.

XLA on CPU lowers a grouped convolution to a slow generic loop, and its automatic weight
gradient to k² separate reductions. A depthwise convolution is also a sum of k² shifted, weighted
copies of its input, which XLA fuses into one loop; the input gradient is the same kind of sum
over the cotangent, with the taps flipped; and the k² entries of the weight gradient come from
*variadic* reductions that read the input once for several. Other platforms keep XLA's own
grouped convolution, which their libraries run well. The choice is made when the program is
lowered, so that the same traced function serves every platform.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from fakd_jax.models.kernels.reduction import sum_together
from fakd_jax.models.kernels.taps import collect, pad, window

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise_conv(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k 1 C"], stride: int = 1
) -> Float[Array, "B h w C"]:
    """Convolves every channel with its own k×k kernel, padded by (k-1)//2 on each side.

    As in `torch.nn.Conv2d(C, C, k, stride, padding=(k - 1) // 2, groups=C, bias=False)`. Sums
    are taken in float32 whatever the dtype of the arguments.

    Args:
      x: Images or feature maps.
      kernel: One k×k filter a channel, k odd, of the same dtype as `x`.
      stride: Step in both directions.

    Returns:
      Feature maps of the dtype of `x`; `h = (H - 1) // stride + 1`, likewise `w`.
    """
    return lax.platform_dependent(
        x, kernel, cpu=partial(_shifted, stride=stride), default=partial(_grouped, stride=stride)
    )


def _forward(x: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return depthwise_conv(x, kernel, stride), (x, kernel)


def _backward(stride: int, residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    return lax.platform_dependent(
        x,
        kernel,
        dy,
        cpu=partial(_shifted_gradients, stride=stride),
        default=partial(_grouped_gradients, stride=stride),
    )


depthwise_conv.defvjp(_forward, _backward)


def _grouped(x: Array, kernel: Array, *, stride: int) -> Array:
    padding = (kernel.shape[0] - 1) // 2
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=((padding, padding),) * 2,
        dimension_numbers=_DIMENSIONS,
        feature_group_count=x.shape[-1],
    )


def _grouped_gradients(x: Array, kernel: Array, dy: Array, *, stride: int) -> tuple[Array, Array]:
    _, pullback = jax.vjp(partial(_grouped, stride=stride), x, kernel)
    dx, dkernel = pullback(dy)
    return dx, dkernel


def _shifted(x: Array, kernel: Array, *, stride: int) -> Array:
    k = kernel.shape[0]
    padding = (k - 1) // 2
    height, width = (_output_size(size, k, stride) for size in x.shape[1:3])
    padded = pad(_accumulable(x), padding)
    taps = _accumulable(kernel)
    total = sum(
        window(padded, (i, j), (height, width), stride) * taps[i, j, 0]
        for i in range(k)
        for j in range(k)
    )
    return jnp.asarray(total, x.dtype)


def _shifted_gradients(x: Array, kernel: Array, dy: Array, *, stride: int) -> tuple[Array, Array]:
    return (
        _shifted_input_gradient(kernel, dy, x.shape[1:3], stride=stride).astype(x.dtype),
        _reduced_kernel_gradient(x, kernel, dy, stride=stride).astype(kernel.dtype),
    )


def _shifted_input_gradient(
    kernel: Array, dy: Array, size: tuple[int, ...], *, stride: int
) -> Array:
    """dx[m] = Σᵢ kernel[i] · dy[(m + (k-1)//2 - i) / stride], over the taps i that divide."""
    k = kernel.shape[0]
    padded, taps = pad(_accumulable(dy), k), _accumulable(kernel)
    return collect(lambda i, j, cut: cut(padded) * taps[i, j, 0], k=k, size=size, stride=stride)


def _reduced_kernel_gradient(x: Array, kernel: Array, dy: Array, *, stride: int) -> Array:
    """dkernel[i, j] = Σ over b, h, w of x shifted by (i, j) times dy, several taps in a pass."""
    k = kernel.shape[0]
    padding = (k - 1) // 2
    padded = pad(_accumulable(x), padding)
    cotangent = _accumulable(dy)
    products = [
        window(padded, (i, j), cotangent.shape[1:3], stride) * cotangent
        for i in range(k)
        for j in range(k)
    ]
    return jnp.stack(sum_together(products)).reshape(kernel.shape)


def _accumulable(x: Array) -> Array:
    """Float32, or wider where the caller computes wider (the gradient checks use float64)."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _output_size(size: int, k: int, stride: int) -> int:
    return (size + 2 * ((k - 1) // 2) - k) // stride + 1
