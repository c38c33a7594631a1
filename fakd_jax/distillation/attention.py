"""Attention transfer, AT (Zagoruyko & Komodakis 2017, arXiv:1612.03928)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fakd_jax.distillation.rows import check_rows, mean_of_rows, pair_of_rows

# Maps with a smaller sum of squares are black; the square of the authors' 1e-12.
_BLACK = 1e-24


def attention_loss(
    student_features: Float[Array, "B h w c"],
    teacher_features: Float[Array, "B H W C"],
    *,
    mask: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Squared distance of the normalised attention maps: where the networks' features are strong.

    $$L_{AT} = \frac{1}{B} \sum_i \left\| \frac{Q^s_i}{\|Q^s_i\|_2}
    - \frac{Q^t_i}{\|Q^t_i\|_2} \right\|_2^2, \quad Q = \sum_c A_c^2$$

    The sum of eq. 2 for one pair of layers, squared as in the authors' code; that takes the mean
    over the positions, here it is their sum, so that the weight does not depend on the maps' size.
    The numbers of channels may differ. Along a side of different lengths, the longer one is
    averaged to the shorter as by PyTorch's `adaptive_avg_pool2d`.

    Args:
      student_features: `[B, h, w, c]`, any float dtype.
      teacher_features: `[B, H, W, C]`, any float dtype.
      mask: `[B]`, False for rows that do not count.

    Returns:
      A scalar in `[0, 2]`.

    Raises:
      ValueError: the numbers of rows differ.

    >>> features = jnp.arange(12.0).reshape(1, 2, 2, 3)
    >>> attention_loss(features, 5 * features).item() < 1e-12
    True
    """
    check_rows("teacher_features", teacher_features.shape[:1], student_features.shape[:1])
    student, teacher = pair_of_rows(student_features, teacher_features, mask)
    height, width = map(min, student.shape[1:3], teacher.shape[1:3])
    maps = [_attention(features, (height, width)) for features in (student, teacher)]
    return mean_of_rows(jnp.sum(jnp.square(maps[0] - maps[1]), axis=(1, 2)), mask)


def _attention(features: Float[Array, "B h w c"], size: tuple[int, int]) -> Float[Array, "B H W"]:
    """The mean square over the channels of the averaged features, as a unit vector per image."""
    attention = jnp.mean(jnp.square(averaged(features, size)), axis=-1)
    square = jnp.sum(jnp.square(attention), axis=(1, 2), keepdims=True)
    bright = square > _BLACK
    return jnp.where(bright, attention * jax.lax.rsqrt(jnp.where(bright, square, 1)), 0)


def averaged(features: Float[Array, "B h w c"], size: tuple[int, int]) -> Float[Array, "B H W c"]:
    """Averages maps to a smaller size, as PyTorch's `adaptive_avg_pool2d` does.

    Args:
      features: `[B, h, w, c]`, any float dtype.
      size: (H, W), at most (h, w).
    """
    for axis, new in enumerate(size, start=1):
        if features.shape[axis] != new:
            averages = jnp.asarray(averaging_matrix(features.shape[axis], new), features.dtype)
            means = jnp.tensordot(
                averages, features, axes=(1, axis), precision=jax.lax.Precision.HIGHEST
            )
            features = jnp.moveaxis(means, 0, axis)
    return features


def averaging_matrix(old: int, new: int) -> np.ndarray:
    """The matrix `[new, old]` in float64 that averages a line of `old` values to `new` ≤ `old`.

    Row i averages the values from ⌊i·old/new⌋ up to ⌈(i + 1)·old/new⌉, which is excluded.

    >>> averaging_matrix(3, 2).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    """
    matrix = np.zeros((new, old))
    for row in range(new):
        start, stop = row * old // new, -(-(row + 1) * old // new)
        matrix[row, start:stop] = 1 / (stop - start)
    return matrix
