"""3×3 max pooling at stride 2.

XLA on CPU visits every window by itself and routes gradients by an index reduction that it writes
out first. The maximum of nine strided slices, and the tap that it came from, fuse into one
vectorised loop instead. Other platforms keep XLA's operation.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, UInt8

from fakd_jax.models.kernels.taps import output_size, pad, sum_over_windows, window

_SIZE, _STRIDE = 3, 2


@jax.custom_vjp
def max_pool(x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """Takes the maximum of 3×3 windows at stride 2, padded by one with -∞ (ResNet's stem).

    As `torch.nn.MaxPool2d(3, 2, padding=1)`: of equal maxima, the first in the window, row by
    row, receives the gradient.
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
    """The nine positions of all windows, row by row: arrays [B, h, w, C]."""
    padded, size = pad(x, 1, value=-jnp.inf), output_size(x, _STRIDE)
    return [window(padded, (i, j), size, _STRIDE) for i in range(_SIZE) for j in range(_SIZE)]


def _largest_tap(x: Array) -> Array:
    return functools.reduce(lax.max, _taps(x))


def _gradient_by_taps(x: Array, y: Array, dy: Array) -> Array:
    source = pad(_source(x, y), _SIZE, value=_SIZE * _SIZE)
    padded = pad(dy, _SIZE)
    zero = jnp.zeros((), dy.dtype)
    return sum_over_windows(
        lambda i, j, cut: jnp.where(cut(source) == _SIZE * i + j, cut(padded), zero),
        k=_SIZE,
        size=x.shape[1:3],
        stride=_STRIDE,
    )


def _source(x: Array, y: Array) -> UInt8[Array, "B h w C"]:
    """The tap that each maximum came from, the first of equal ones."""
    source = jnp.zeros(y.shape, jnp.uint8)
    for index, tap in reversed(list(enumerate(_taps(x)))):
        source = jnp.where(tap == y, jnp.uint8(index), source)
    return source
