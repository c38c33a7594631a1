"""3×3 convolution at stride 1 with 4 multiplications per position instead of 9.

Winograd's F(2×2, 3×3), Lavin & Gray, "Fast algorithms for convolutional neural networks",
arXiv:1509.09308, section 4.1. With g the kernel, every tile d of 4×4 inputs gives 2×2 outputs

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A

Summed over the channels, ⊙ is one matrix product for each of a tile's 16 positions. The transforms
only add and halve, so the result is as exact as a plain convolution (larger tiles are not).
"""

from __future__ import annotations

import functools
import operator

import jax.numpy as jnp
from jaxtyping import Array, Float

from fakd_jax.models.kernels.taps import pad, window

_Row = tuple[float | int, ...]
_Matrix = tuple[_Row, ...]
_Tiles = list[list[Array]]

_INPUT: _Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))  # Bᵀ
_KERNEL: _Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))  # G
_OUTPUT: _Matrix = ((1, 1, 1, 0), (0, 1, -1, -1))  # Aᵀ


def winograd_conv(
    x: Float[Array, "B H W I"], kernel: Float[Array, "3 3 I O"]
) -> Float[Array, "B H W O"]:
    """Convolves with a 3×3 kernel at stride 1, padded by 1 on each side."""
    batch, height, width, _ = x.shape
    down, right = (-(-side // 2) for side in (height, width))
    padded = pad(x, 1, 2)  # one more than needed where the side is even
    inputs = [[window(padded, (i, j), (down, right), 2) for j in range(4)] for i in range(4)]
    taps = [[kernel[i, j] for j in range(3)] for i in range(3)]
    products = [
        [jnp.dot(tile, tap) for tile, tap in zip(tiles, taps, strict=True)]
        for tiles, taps in zip(_transform(_INPUT, inputs), _transform(_KERNEL, taps), strict=True)
    ]
    outputs = _transform(_OUTPUT, products)
    whole = jnp.stack([jnp.stack(row, axis=3) for row in outputs], axis=2)
    return whole.reshape(batch, 2 * down, 2 * right, -1)[:, :height, :width]


def _transform(matrix: _Matrix, tiles: _Tiles) -> _Tiles:
    """M · T · Mᵀ, the entries of T being arrays."""
    return [[_weighted_sum(row, column, tiles) for column in matrix] for row in matrix]


def _weighted_sum(row: _Row, column: _Row, tiles: _Tiles) -> Array:
    terms = [
        tile if (weight := down * right) == 1 else tile * weight
        for down, line in zip(row, tiles, strict=True)
        for right, tile in zip(column, line, strict=True)
        if down and right
    ]
    return functools.reduce(operator.add, terms)
