"""Relational knowledge distillation, RKD (Park et al. 2019, arXiv:1904.05068).

What is distilled are distances and angles between the images of a batch, not the features
themselves: the numbers of channels may differ. Of Park's weights 25 is the distance's and 50 the
angle's.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from fakd_jax.distillation.rows import check_rows, pair_of_rows

# Squared distances below this share of the squared lengths are rounding errors of float32.
_SAME = 1e-6


def rkd_distance_loss(
    student: Float[Array, "B c"],
    teacher: Float[Array, "B C"],
    *,
    mask: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Distances between images, relative to their mean.

    $$L_{RKD-D} = \frac{1}{B^2} \sum_{i,j} h(\psi^s_{ij} - \psi^t_{ij}), \quad
    \psi_{ij} = \|x_i - x_j\|_2 / \mu$$

    μ is the mean distance of different images, h Huber's loss with δ = 1 (eqs. 5 to 8).

    Args:
      student: `[B, c]`, one vector per image, any float dtype.
      teacher: `[B, C]`, likewise.
      mask: `[B]`, False for rows that do not count.

    Returns:
      A scalar ≥ 0; 0 if fewer than two rows count.

    Raises:
      ValueError: the numbers of rows differ.
    """
    pairs = _pairs(student, teacher, mask)

    def relative(distances: Float[Array, "B B"]) -> Float[Array, "B B"]:
        mean = jnp.sum(jnp.where(pairs.different, distances, 0)) / jnp.maximum(
            jnp.sum(pairs.different), 1
        )
        return jnp.where(mean > 0, distances / jnp.where(mean > 0, mean, 1), 0)

    losses = optax.losses.huber_loss(
        relative(pairs.student.distances), relative(pairs.teacher.distances)
    )
    return jnp.sum(jnp.where(pairs.different, losses, 0)) / jnp.maximum(pairs.number**2, 1)


def rkd_angle_loss(
    student: Float[Array, "B c"],
    teacher: Float[Array, "B C"],
    *,
    mask: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Angles of the triangles between images.

    $$L_{RKD-A} = \frac{1}{B^3} \sum_{i,j,k} h(\cos^s_{jik} - \cos^t_{jik})$$

    The angle at image i between images j and k (eqs. 9 to 11), 0 where two of them are the same;
    h is Huber's loss with δ = 1. Time and memory grow with B³: 64 MiB per array at B = 256.

    Args:
      student: `[B, c]`, one vector per image, any float dtype.
      teacher: `[B, C]`, likewise.
      mask: `[B]`, False for rows that do not count.

    Returns:
      A scalar ≥ 0; 0 if fewer than three rows count.

    Raises:
      ValueError: the numbers of rows differ.
    """
    pairs = _pairs(student, teacher, mask)
    losses = optax.losses.huber_loss(_cosines(pairs.student), _cosines(pairs.teacher))
    triples = pairs.different[:, :, None] & pairs.different[:, None, :]
    return jnp.sum(jnp.where(triples, losses, 0)) / jnp.maximum(pairs.number**3, 1)


class _Geometry(NamedTuple):
    """Scalar products of the centred vectors, and distances with their inverses, 0 where same."""

    products: Float[Array, "B B"]
    distances: Float[Array, "B B"]
    inverse_distances: Float[Array, "B B"]


class _Pairs(NamedTuple):
    student: _Geometry
    teacher: _Geometry
    different: Bool[Array, "B B"]
    number: Float[Array, ""]


def _pairs(
    student: Float[Array, "B c"], teacher: Float[Array, "B C"], mask: Bool[Array, " B"] | None
) -> _Pairs:
    """The geometry of both batches, the pairs of different counted images, and their number."""
    check_rows("teacher", teacher.shape[:1], student.shape[:1])
    one, two = pair_of_rows(student, teacher, mask)
    counted = jnp.ones(len(student), bool) if mask is None else mask
    different = counted[:, None] & counted[None] & ~jnp.eye(len(student), dtype=bool)
    number = jnp.sum(counted, dtype=one.dtype)
    return _Pairs(_geometry(one, counted), _geometry(two, counted), different, number)


def _geometry(vectors: Float[Array, "B c"], counted: Bool[Array, " B"]) -> _Geometry:
    mean = jnp.sum(vectors, axis=0) / jnp.maximum(jnp.sum(counted), 1)
    centred = jnp.where(counted[:, None], vectors - mean, 0)  # keeps the products small
    products = jnp.matmul(centred, centred.T, precision=jax.lax.Precision.HIGHEST)
    lengths = jnp.diagonal(products)
    sums = lengths[:, None] + lengths[None]
    squares = sums - 2 * products
    apart = squares > _SAME * sums
    distances = jnp.sqrt(jnp.where(apart, squares, 1))
    return _Geometry(products, jnp.where(apart, distances, 0), jnp.where(apart, 1 / distances, 0))


def _cosines(geometry: _Geometry) -> Float[Array, "B B B"]:
    """[i, j, k]: the cosine of the angle at i between j and k."""
    products = geometry.products
    at = jnp.diagonal(products)[:, None, None] - products[:, :, None] - products[:, None, :]
    scale = geometry.inverse_distances[:, :, None] * geometry.inverse_distances[:, None, :]
    return (at + products[None]) * scale
