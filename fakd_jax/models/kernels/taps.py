"""Shifted windows over feature maps: a k×k window has k² taps, each a strided slice of the maps."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial, reduce

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped


def pad(
    x: Shaped[Array, "B H W C"], before: int, after: int | None = None, *, value: float | int = 0
) -> Shaped[Array, "B h w C"]:
    """Adds rows and columns of `value`: `before` on top and left, `after` below and right.

    `after` defaults to `before`.
    """
    around = (before, before if after is None else after, 0)
    return lax.pad(x, jnp.asarray(value, x.dtype), ((0, 0, 0), around, around, (0, 0, 0)))


def window(
    x: Shaped[Array, "B H W C"], start: tuple[int, int], size: tuple[int, ...], stride: int
) -> Shaped[Array, "B h w C"]:
    """Every `stride`-th row and column from `start` on: `size` of them, what one tap reads."""
    stop = [first + stride * (length - 1) + 1 for first, length in zip(start, size, strict=True)]
    return lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[3]), (1, stride, stride, 1))


def output_size(x: Shaped[Array, "B H W C"], stride: int) -> tuple[int, int]:
    """Height and width after k×k windows padded by (k-1)//2, k odd."""
    return (x.shape[1] - 1) // stride + 1, (x.shape[2] - 1) // stride + 1


def patches(x: Shaped[Array, "B H W C"], k: int, stride: int) -> Shaped[Array, "B h w kkC"]:
    """The k×k taps of every window side by side, row by row, padded by (k-1)//2 with zeros."""
    padded, size = pad(x, (k - 1) // 2), output_size(x, stride)
    taps = [window(padded, (i, j), size, stride) for i in range(k) for j in range(k)]
    return jnp.concatenate(taps, axis=-1)


def sum_over_windows(
    contribution: Callable[[int, int, Callable[[Array], Array]], Array],
    *,
    k: int,
    size: tuple[int, ...],
    stride: int,
) -> Float[Array, "B H W C"]:
    """Sums at each input position what the k×k windows over it contribute: an input gradient.

    Tap i of window p reads position m = stride · p + i - (k-1)//2, so positions with the same
    remainder by the stride are read by the same taps. Summing by remainder and interleaving costs
    a quarter, at stride 2, of the textbook form (stride 1 over a cotangent dilated with zeros).

    Args:
      contribution: Computes the contribution of tap (i, j) from a function that slices the
        windows in question out of arrays `[B, h, w, C]` over all windows, padded by k.
      k: Size of the windows, odd; they are padded by (k-1)//2.
      size: Height and width of the input.
      stride: Stride of the windows.
    """
    part = tuple(-(-whole // stride) for whole in size)

    def of_remainder(row: int, column: int) -> Array:
        parts = [
            contribution(i, j, partial(window, start=(k + down, k + right), size=part, stride=1))
            for i, down in _taps_reading(row, k, stride)
            for j, right in _taps_reading(column, k, stride)
        ]
        # A stride larger than the window skips positions.
        return reduce(operator.add, parts) if parts else jnp.zeros_like(of_remainder(0, 0))

    remainders = range(stride)
    rows = [jnp.stack([of_remainder(r, c) for c in remainders], axis=3) for r in remainders]
    whole = jnp.stack(rows, axis=2)
    batch, features = whole.shape[0], whole.shape[-1]
    whole = whole.reshape(batch, stride * part[0], stride * part[1], features)
    return whole[:, : size[0], : size[1]]


def _taps_reading(remainder: int, k: int, stride: int) -> list[tuple[int, int]]:
    """Taps i with (remainder + (k-1)//2 - i) divisible by the stride, and the quotient for each."""
    reach = remainder + (k - 1) // 2
    return [(i, (reach - i) // stride) for i in range(k) if (reach - i) % stride == 0]
