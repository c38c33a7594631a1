"""Max pooling, written the way each platform runs it fast.

XLA on CPU follows every window by itself, and finds where a gradient belongs by a reduction over
pairs of numbers and indices that it writes out first. The maximum of a window is also the maximum
of shifted copies of the input, which fuses into one loop over vectors, and so is the tap it came
from. Other platforms keep XLA's own operation.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, UInt8

from fakd_jax.models.kernels.taps import collect, pad, window

_SIZE, _STRIDE = 3, 2


@jax.custom_vjp
def max_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """Takes the maximum of 3×3 windows at stride 2, padded by one with -∞ (ResNet's stem).

    As in `torch.nn.MaxPool2d(3, 2, padding=1)`: of equal maxima the first in the window, row by
    row, gets the gradient.

    Args:
      x: Feature maps.

    Returns:
      Feature maps of the same dtype; `h = (H - 1) // 2 + 1`, likewise `w`.
    """
    return lax.platform_dependent(x, cpu=_largest_tap, default=_plain_pool)


def _forward(x: Array) -> tuple[Array, tuple[Array, Array]]:
    y = max_pool(x)
    return y, (x, y)


def _backward(residuals: tuple[Array, Array], dy: Array) -> tuple[Array]:
    return (lax.platform_dependent(*residuals, dy, cpu=_gradient_by_taps, default=_plain_gradient),)


max_pool.defvjp(_forward, _backward)


def _plain_pool(x: Array) -> Array:
    return lax.reduce_window(
        x,
        -jnp.inf,
        lax.max,
        window_dimensions=(1, _SIZE, _SIZE, 1),
        window_strides=(1, _STRIDE, _STRIDE, 1),
        padding=((0, 0), (1, 1), (1, 1), (0, 0)),
    )


def _plain_gradient(x: Array, y: Array, dy: Array) -> Array:
    del y
    (dx,) = jax.vjp(_plain_pool, x)[1](dy)
    return dx


def _taps(x: Array) -> list[Array]:
    """What each of a window's positions meets, row by row: nine arrays [B, h, w, C]."""
    padded = pad(x, 1, -jnp.inf)
    size = tuple((side - 1) // _STRIDE + 1 for side in x.shape[1:3])
    return [window(padded, (i, j), size, _STRIDE) for i in range(_SIZE) for j in range(_SIZE)]


def _largest_tap(x: Array) -> Array:
    first, *others = _taps(x)
    for tap in others:
        first = lax.max(first, tap)
    return first


def _gradient_by_taps(x: Array, y: Array, dy: Array) -> Array:
    source = pad(_source(x, y), _SIZE, _SIZE * _SIZE)
    padded = pad(dy, _SIZE)
    zero = jnp.zeros((), dy.dtype)
    return collect(
        lambda i, j, cut: jnp.where(cut(source) == _SIZE * i + j, cut(padded), zero),
        k=_SIZE,
        size=x.shape[1:3],
        stride=_STRIDE,
    )


def _source(x: Array, y: Array) -> UInt8[Array, "B h w C"]:
    """Which tap each maximum came from, the first of equal ones."""
    source = jnp.zeros(y.shape, jnp.uint8)
    for index, tap in reversed(list(enumerate(_taps(x)))):
        source = jnp.where(tap == y, jnp.uint8(index), source)
    return source
