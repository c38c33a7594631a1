"""Depthwise convolution.

XLA on CPU lowers a grouped convolution to a slow generic loop, and the gradient of its kernel to
k² separate reductions. On CPU we write it as the sum of k² shifted, weighted copies of the input,
which XLA fuses into one loop; the input gradient is the same kind of sum over the cotangent with
the taps flipped, and the kernel gradient is read off in variadic reductions. Other platforms keep
XLA's grouped convolution. The choice falls when the program is lowered, so one traced function
serves every platform.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from fakd_jax.models.kernels.dense import plain_conv
from fakd_jax.models.kernels.reduction import sum_together
from fakd_jax.models.kernels.taps import output_size, pad, sum_over_windows, window


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise_conv(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k 1 C"], stride: int = 1
) -> Float[Array, "B h w C"]:
    """Convolves every channel with its own k×k kernel, padded by (k-1)//2 on each side.

    As `torch.nn.Conv2d(C, C, k, stride, padding=(k - 1) // 2, groups=C, bias=False)`. Sums are
    taken in float32 at least.

    Args:
      x: Images or feature maps.
      kernel: One k×k filter per channel, k odd, of the dtype of `x`.
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
    return lax.platform_dependent(
        *residuals,
        dy,
        cpu=partial(_shifted_gradients, stride=stride),
        default=partial(_grouped_gradients, stride=stride),
    )


depthwise_conv.defvjp(_forward, _backward)


def _grouped(x: Array, kernel: Array, *, stride: int) -> Array:
    return plain_conv(x, kernel, stride=stride, groups=x.shape[-1])


def _grouped_gradients(x: Array, kernel: Array, dy: Array, *, stride: int) -> tuple[Array, Array]:
    dx, dkernel = jax.vjp(partial(_grouped, stride=stride), x, kernel)[1](dy)
    return dx, dkernel


def _shifted(x: Array, kernel: Array, *, stride: int) -> Array:
    k, size = kernel.shape[0], output_size(x, stride)
    padded, taps = pad(_wide(x), (k - 1) // 2), _wide(kernel)
    total = sum(
        window(padded, (i, j), size, stride) * taps[i, j, 0] for i in range(k) for j in range(k)
    )
    return jnp.asarray(total, x.dtype)


def _shifted_gradients(x: Array, kernel: Array, dy: Array, *, stride: int) -> tuple[Array, Array]:
    """Sums over the taps.

    dx[m] = Σᵢ kernel[i] · dy[(m + (k-1)//2 - i) / stride], over the taps i that divide;
    dkernel[i, j] = Σ over b, h, w of x shifted by (i, j) times dy.
    """
    k = kernel.shape[0]
    padded_dy, taps = pad(_wide(dy), k), _wide(kernel)
    dx = sum_over_windows(
        lambda i, j, cut: cut(padded_dy) * taps[i, j, 0], k=k, size=x.shape[1:3], stride=stride
    ).astype(x.dtype)
    padded, cotangent = pad(_wide(x), (k - 1) // 2), _wide(dy)
    products = [
        window(padded, (i, j), cotangent.shape[1:3], stride) * cotangent
        for i in range(k)
        for j in range(k)
    ]
    dkernel = jnp.stack(sum_together(products)).reshape(kernel.shape)
    return dx, dkernel.astype(kernel.dtype)


def _wide(x: Array) -> Array:
    """Float32, or wider if the input is (the gradient checks use float64)."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
