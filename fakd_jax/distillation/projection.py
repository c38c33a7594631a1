"""The student's feature map in the shape of the teacher's, for feature alignment."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from fakd_jax.models.kernels import pointwise_conv


class Projection(nnx.Module):
    """A 1×1 convolution with bias, then bilinear resizing: student's features to teacher's shape.

    The paper upsamples first and then projects. Both maps are linear, the convolution acts on each
    position alone, and the interpolation weights sum to one, so the order does not matter, bias
    included; projecting first costs a quarter at 7×7 → 14×14.

    The initial values are those of PyTorch's `Conv2d`, `kaiming_uniform_(a=√5)`: U(-1/√n, 1/√n)
    with n = `in_features`, for kernel and bias. The projection serves training alone and is saved
    apart from the student.

    Attributes:
      kernel: `[1, 1, in_features, out_features]` (HWIO), float32.
      bias: `[out_features]`, float32.

    Args:
      in_features: channels of the student's feature map.
      out_features: channels of the teacher's feature map.
      dtype: of the convolution; parameters and result are float32.
      rngs: source of the initial values (stream `params`).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        dtype: jax.typing.DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        bound = 1 / math.sqrt(in_features)
        shape = (1, 1, in_features, out_features)
        self.kernel = nnx.Param(
            jax.random.uniform(rngs.params(), shape, jnp.float32, -bound, bound)
        )
        self.bias = nnx.Param(
            jax.random.uniform(rngs.params(), (out_features,), jnp.float32, -bound, bound)
        )
        self.dtype = dtype

    def __call__(
        self, student_features: Float[Array, "B h w c"], size: tuple[int, int]
    ) -> Float[Array, "B H W C"]:
        """Projects and resizes.

        Args:
          student_features: `[B, h, w, in_features]`, any float dtype.
          size: height and width of the teacher's feature map.

        Returns:
          `[B, *size, out_features]`, float32 (float64 when `dtype` is).

        Raises:
          ValueError: the features have another number of channels.
        """
        in_features = self.kernel.shape[2]
        if student_features.shape[-1] != in_features:
            raise ValueError(
                f"the features have {student_features.shape[-1]} channels, expected {in_features}"
            )
        kernel = self.kernel[...].reshape(in_features, -1).astype(self.dtype)
        projected = pointwise_conv(student_features.astype(self.dtype), kernel)
        wide = jnp.promote_types(self.dtype, jnp.float32)
        return upsample_bilinear(projected.astype(wide) + self.bias[...].astype(wide), size)


def upsample_bilinear(
    images: Float[Array, "B h w C"], size: tuple[int, int]
) -> Float[Array, "B H W C"]:
    """Resizes with `torch.nn.functional.interpolate(mode='bilinear', align_corners=False)`.

    Pixel centres lie at half-integers and shrinking does not smooth (no antialias), as in PyTorch
    and unlike `jax.image.resize`. The interpolation is separable: one small constant matrix for
    the rows and one for the columns.

    Args:
      images: `[B, h, w, C]`.
      size: the new height and width.

    Returns:
      `[B, *size, C]` in the dtype of `images`.

    Raises:
      ValueError: a side of `images` or of `size` is below 1.

    >>> upsample_bilinear(jnp.array([[[[0.0], [1.0]]]]), (1, 4)).ravel().tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    height, width = images.shape[1:3]
    wide = images.astype(jnp.promote_types(images.dtype, jnp.float32))
    # HIGHEST: a GPU would otherwise round both operands to TF32.
    highest = jax.lax.Precision.HIGHEST
    if size[0] != height:
        rows = jnp.asarray(interpolation_matrix(height, size[0]), wide.dtype)
        wide = jnp.einsum("Hh,bhwc->bHwc", rows, wide, precision=highest)
    if size[1] != width:
        columns = jnp.asarray(interpolation_matrix(width, size[1]), wide.dtype)
        wide = jnp.einsum("Ww,bhwc->bhWc", columns, wide, precision=highest)
    return wide.astype(images.dtype)


def interpolation_matrix(old: int, new: int) -> np.ndarray:
    """The matrix `[new, old]` in float64 that resizes a line of `old` values linearly to `new`.

    Row i has the weights of the two old values around (i + ½)·old/new - ½, clamped to the line's
    ends (PyTorch's `area_pixel_compute_source_index`); every row sums to 1.

    Raises:
      ValueError: a length is below 1.
    """
    if old < 1 or new < 1:
        raise ValueError(f"cannot resize from {old} to {new} pixels")
    position = np.maximum((np.arange(new) + 0.5) * (old / new) - 0.5, 0.0)
    lower = np.minimum(position.astype(np.int64), old - 1)
    upper = np.minimum(lower + 1, old - 1)
    weight = np.clip(position - lower, 0.0, 1.0)
    matrix = np.zeros((new, old))
    line = np.arange(new)
    matrix[line, lower] += 1 - weight
    matrix[line, upper] += weight
    return matrix
