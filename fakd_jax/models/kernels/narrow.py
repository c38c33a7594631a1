"""Convolutions in bfloat16 on CPU, all of them as matrix products.

From JAX 0.12 on, XLA hands bfloat16 products to YNNPACK, which on a CPU with instructions for them
(AMX, AVX-512 BF16) runs them several times faster than float32's. It takes a product of row-major
matrices only, contracted over the last axis of the left and the first of the right one, and XLA
would rather turn a transposition into another layout or axis than write it out. Where an operand
has to be transposed, its layout is therefore constrained. Anything else falls back to a loop at the
speed of float32 or less, convolutions among them, so a convolution is a product over patches here.

Each product accumulates in float32 and is rounded to bfloat16 once; sums over products are taken in
float32.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, BFloat16, Float32

from fakd_jax.models.kernels.taps import output_size, pad, sum_over_windows, window

_IS_FAST = jax.__version_info__ >= (0, 12)
# Below, a patch is too short for a product: ResNet's stem, 3 channels, is faster as it is.
_FEW_CHANNELS = 16
# Positions that are transposed at a time. Such a tile stays in the second-level cache.
_TILE = 2048


def prefers_narrow(x: Array, channels: int) -> bool:
    """Whether these forms are the faster ones on CPU, for maps of so many channels."""
    return _IS_FAST and x.dtype == jnp.bfloat16 and channels >= _FEW_CHANNELS


def narrow_pointwise_gradients(
    x: BFloat16[Array, "B H W I"], kernel: BFloat16[Array, "I O"], dy: BFloat16[Array, "B H W O"]
) -> tuple[BFloat16[Array, "B H W I"], BFloat16[Array, "I O"]]:
    """The gradients of a 1×1 convolution by its input and its kernel."""
    return _product(dy, kernel.T), _kernel_gradient(x, dy).astype(kernel.dtype)


def narrow_conv(
    x: BFloat16[Array, "B H W I"], kernel: BFloat16[Array, "k k I O"], *, stride: int
) -> BFloat16[Array, "B h w O"]:
    """Convolves as :func:`~fakd_jax.models.kernels.dense.dense_conv` does."""
    size, features = kernel.shape[0], kernel.shape[-1]
    return _product(_patches(x, size, stride), kernel.reshape(-1, features))


def narrow_conv_gradients(
    x: BFloat16[Array, "B H W I"],
    kernel: BFloat16[Array, "k k I O"],
    dy: BFloat16[Array, "B h w O"],
    *,
    stride: int,
) -> tuple[BFloat16[Array, "B H W I"], BFloat16[Array, "k k I O"]]:
    """The gradients of a k×k convolution by its input and its kernel."""
    size = kernel.shape[0]
    if stride == 1:  # a convolution too, with the kernel rotated by 180° and its channels swapped
        dx = narrow_conv(dy, kernel[::-1, ::-1].swapaxes(2, 3), stride=1)
    else:
        dx = _strided_input_gradient(kernel, dy, x.shape[1:3], stride)
    dkernel = _kernel_gradient(_patches(x, size, stride), dy)
    return dx, dkernel.reshape(kernel.shape).astype(kernel.dtype)


def _strided_input_gradient(kernel: Array, dy: Array, shape: tuple[int, ...], stride: int) -> Array:
    """Multiplies by every tap once, and adds up what the windows over each position contribute."""
    k = kernel.shape[0]
    by_tap = [[pad(_product(dy, kernel[i, j].T), k) for j in range(k)] for i in range(k)]
    dx = sum_over_windows(
        lambda i, j, cut: cut(by_tap[i][j]).astype(jnp.float32), k=k, size=shape, stride=stride
    )
    return dx.astype(dy.dtype)


def _patches(x: Array, k: int, stride: int) -> Array:
    """The k×k taps of every window side by side `[B, h, w, k·k·I]`."""
    padded, size = pad(x, (k - 1) // 2), output_size(x, stride)
    taps = [window(padded, (i, j), size, stride) for i in range(k) for j in range(k)]
    return _row_major(jnp.concatenate(taps, axis=-1))


def _product(x: Array, kernel: Array) -> Array:
    return jnp.dot(x, _row_major(kernel))


def _kernel_gradient(x: Array, dy: Array) -> Float32[Array, "I O"]:
    """Σ over b, h, w of the outer products of `x` and `dy`: a product with one side transposed.

    The side with fewer channels is, tile by tile, each of whole images.
    """
    if dy.shape[-1] < x.shape[-1]:
        return _kernel_gradient(dy, x).T
    left, right = _tiles(x).swapaxes(1, 2), _tiles(dy)
    by_tile = lax.dot_general(_row_major(left), _row_major(right), (((2,), (1,)), ((0,), (0,))))
    return _row_major(by_tile).astype(jnp.float32).sum(axis=0)


def _tiles(x: Array) -> Array:
    """Lays positions one below the other `[tiles, positions, C]`, as many as fit a tile."""
    batch, positions = x.shape[0], x.shape[1] * x.shape[2]
    images = max(
        n for n in range(1, batch + 1) if batch % n == 0 and (n == 1 or n * positions <= _TILE)
    )
    return x.reshape(batch // images, images * positions, x.shape[-1])


def _row_major(x: Array) -> Array:
    """Has XLA write an array out with its last axis contiguous."""
    return with_layout_constraint(x, Layout(tuple(range(x.ndim))))
