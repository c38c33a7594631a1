"""Convolutions in bfloat16 on CPU as matrix products: where that pays, and the gradients.

From JAX 0.12 on, XLA hands products of bfloat16 matrices to YNNPACK, which runs them several times
faster than float32 ones on a CPU with instructions for them (AMX, AVX-512 BF16). YNNPACK takes
row-major matrices only, contracted over the last axis of the left and the first of the right one.
All else stays at the speed of float32 or below: convolutions, and products of a transposed matrix,
since XLA rewrites a transposition as another layout or another axis. So convolutions are products
over patches here, and constraints keep every operand and result in the layout that it has.

Each product accumulates in float32 and is rounded to bfloat16 once; sums over products are taken in
float32.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, BFloat16, Float32

from fakd_jax.models.kernels.taps import pad, patches, sum_over_windows

_IS_FAST = jax.__version_info__ >= (0, 12)
# With fewer, a patch is too short for a product: ResNet's stem, 3 channels, is faster as it is.
_ENOUGH_CHANNELS = 16
# Positions transposed at a time, so that a tile stays in the second-level cache. Where the number
# of positions has no divisor in between, they are transposed at once.
_SMALLEST_TILE, _LARGEST_TILE = 256, 2048


def prefers_narrow(x: Array, channels: int) -> bool:
    """Whether products are the faster form on CPU, for maps with this many channels."""
    is_known = all(isinstance(side, int) for side in x.shape)  # `jax.export` may leave sides open
    return _IS_FAST and is_known and x.dtype == jnp.bfloat16 and channels >= _ENOUGH_CHANNELS


def narrow_pointwise_gradients(
    x: BFloat16[Array, "B H W I"], kernel: BFloat16[Array, "I O"], dy: BFloat16[Array, "B H W O"]
) -> tuple[BFloat16[Array, "B H W I"], BFloat16[Array, "I O"]]:
    """The gradients of a 1×1 convolution by its input and its kernel."""
    return jnp.dot(dy, _row_major(kernel.T)), _kernel_gradient(x, dy).astype(kernel.dtype)


def narrow_conv_gradients(
    x: BFloat16[Array, "B H W I"],
    kernel: BFloat16[Array, "k k I O"],
    dy: BFloat16[Array, "B h w O"],
    *,
    stride: int,
) -> tuple[BFloat16[Array, "B H W I"], BFloat16[Array, "k k I O"]]:
    """The gradients of a k×k convolution, padded by (k-1)//2, by its input and its kernel."""
    k, _, channels, _ = kernel.shape
    if stride == 1:  # a convolution too, with the kernel rotated by 180° and its channels swapped
        rotated = kernel[::-1, ::-1].swapaxes(2, 3).reshape(-1, channels)
        dx = jnp.dot(patches(dy, k, 1), _row_major(rotated))
    else:
        dx = _strided_input_gradient(kernel, dy, x.shape[1:3], stride)
    dkernel = _kernel_gradient(patches(x, k, stride), dy)
    return dx, dkernel.reshape(kernel.shape).astype(kernel.dtype)


def _strided_input_gradient(kernel: Array, dy: Array, size: tuple[int, ...], stride: int) -> Array:
    """Multiplies by every tap once, and adds up what the windows over each position contribute."""
    k = kernel.shape[0]
    taps = _row_major(kernel.swapaxes(2, 3))
    by_tap = [[pad(jnp.dot(dy, taps[i, j]), k) for j in range(k)] for i in range(k)]
    dx = sum_over_windows(
        lambda i, j, cut: cut(by_tap[i][j]).astype(jnp.float32), k=k, size=size, stride=stride
    )
    return dx.astype(dy.dtype)


def _kernel_gradient(x: Array, dy: Array) -> Float32[Array, "I O"]:
    """Σ over b, h, w of the outer products of `x` and `dy`.

    As products with the narrower side transposed, tile by tile.
    """
    if dy.shape[-1] < x.shape[-1]:
        return _kernel_gradient(dy, x).T
    left, right = _row_major(_tiles(x).swapaxes(1, 2)), _row_major(_tiles(dy))
    by_tile = lax.dot_general(left, right, (((2,), (1,)), ((0,), (0,))))
    return _row_major(by_tile).astype(jnp.float32).sum(axis=0)


def _tiles(x: Array) -> Array:
    """Cuts the positions of a batch into tiles of one size: `[tiles, positions, C]`."""
    positions = x.size // x.shape[-1]
    sizes = range(_LARGEST_TILE, _SMALLEST_TILE - 1, -1)
    tile = next((size for size in sizes if positions % size == 0), positions)
    return x.reshape(positions // tile, tile, x.shape[-1])


def _row_major(x: Array) -> Array:
    """Has XLA write an array out with its last axis contiguous."""
    return with_layout_constraint(x, Layout(tuple(range(x.ndim))))
