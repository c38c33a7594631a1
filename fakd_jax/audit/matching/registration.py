"""Laying one picture over another: height, width and position by Gauss–Newton.

A copy that was cropped, padded or resized before it reached the data set differs from its
original by four numbers: two scales and two shifts. Resampling by them is separable, two matrix
products, so that thousands of pairs are laid over each other in seconds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int

STEPS = 6
MAX_STEP = 0.05
DAMPING = 1e-3
BATCH = 256

IDENTITY = np.array([1.0, 1.0, 0.0, 0.0], np.float32)
"""Vertical scale, horizontal scale, and shifts down and right in units of the side."""


def between_boxes(
    box: Int[np.ndarray, "P 4"], other: Int[np.ndarray, "P 4"], side: int
) -> Float32[np.ndarray, "P 4"]:
    """The placement that carries one box into the other.

    Args:
      box: (top, bottom, left, right) in the picture that stays.
      other: likewise in the picture that is laid over it.
      side: of both pictures, in pixels.

    Returns:
      Placements: see :func:`lay_over`.
    """
    box, other = box.astype(np.float32), other.astype(np.float32)
    placements = []
    for low, high in ((0, 1), (2, 3)):
        scale = (other[:, high] - other[:, low]) / (box[:, high] - box[:, low])
        centre = (box[:, low] + box[:, high] - side) / 2
        other_centre = (other[:, low] + other[:, high] - side) / 2
        placements.append((scale, (other_centre - centre * scale) / side))
    (tall, down), (wide, right) = placements
    return np.stack([tall, wide, down, right], axis=1)


def lay_over(
    image: Float[Array, "S S"], placement: Float[Array, " 4"]
) -> tuple[Float[Array, "S S"], Bool[Array, "S S"]]:
    """Resamples a picture bilinearly as a placement says.

    Row y of the result is taken at `c + (y - c) · scale + shift · S`, c being the centre; columns
    likewise.

    Args:
      image: the picture.
      placement: (vertical scale, horizontal scale, shift down, shift right).

    Returns:
      The resampled picture, and where it has values of the picture's own.
    """
    rows, rows_inside = _sampling(placement[0], placement[2], image.shape[0])
    columns, columns_inside = _sampling(placement[1], placement[3], image.shape[1])
    return rows @ image @ columns.T, rows_inside[:, None] & columns_inside[None]


def register(
    fixed: Float32[np.ndarray, "P S S"],
    moving: Float32[np.ndarray, "P S S"],
    placements: Float32[np.ndarray, "P 4"],
    *,
    steps: int = STEPS,
) -> tuple[Float32[np.ndarray, " P"], Float32[np.ndarray, "P 4"]]:
    """Lays each moving picture over its fixed one as well as it goes, from a first placement.

    Minimises the squared difference up to a factor of brightness by damped Gauss–Newton steps,
    and keeps the best placement met.

    Args:
      fixed: pictures that stay.
      moving: pictures that are resampled.
      placements: where to begin.
      steps: how often to improve them.

    Returns:
      The correlation over the overlap, and the placement of each pair.
    """
    return _in_batches(_improver(steps), fixed, moving, placements)


def overlay(
    moving: Float32[np.ndarray, "P S S"], placements: Float32[np.ndarray, "P 4"]
) -> tuple[Float32[np.ndarray, "P S S"], Bool[np.ndarray, "P S S"]]:
    """:func:`lay_over` for many pairs."""
    return _in_batches(_overlay_batch, moving, placements)


_overlay_batch = jax.jit(jax.vmap(lay_over))


def _in_batches(
    function: Callable[..., tuple[Array, Array]], *arrays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Applies a function of rows to `BATCH` rows at a time, so that it compiles once.

    The last batch is filled with copies of its last row; without any row, one of zeros
    tells the shapes of the results and is dropped.
    """
    total = len(arrays[0])
    if not total:
        arrays = tuple(np.zeros((1, *array.shape[1:]), array.dtype) for array in arrays)
    parts = []
    for start in range(0, max(total, 1), BATCH):
        rows = [array[start : start + BATCH] for array in arrays]
        count = min(len(rows[0]), total - start)
        room = BATCH - len(rows[0])
        filled = [np.pad(row, ((0, room), *[(0, 0)] * (row.ndim - 1)), mode="edge") for row in rows]
        parts.append(tuple(np.asarray(result)[:count] for result in function(*filled)))
    first, second = zip(*parts, strict=True)
    return np.concatenate(first), np.concatenate(second)


@functools.cache
def _improver(steps: int) -> Callable[..., tuple[Array, Array]]:
    def improve(
        fixed: Float[Array, "S S"], moving: Float[Array, "S S"], placement: Float[Array, " 4"]
    ) -> tuple[Float[Array, ""], Float[Array, " 4"]]:
        best, correlation = placement, _correlation(fixed, *lay_over(moving, placement))
        for _ in range(steps):
            placement = _gauss_newton(fixed, moving, placement)
            new = _correlation(fixed, *lay_over(moving, placement))
            best = jnp.where(new > correlation, placement, best)
            correlation = jnp.maximum(new, correlation)
        return correlation, best

    return jax.jit(jax.vmap(improve))


def _sampling(
    scale: Float[Array, ""], shift: Float[Array, ""], side: int
) -> tuple[Float[Array, "S S"], Bool[Array, " S"]]:
    """The matrix of one axis's bilinear resampling, and which of its rows lie inside."""
    centre = (side - 1) / 2
    places = centre + (jnp.arange(side) - centre) * scale + shift * side
    weights = jnp.maximum(0, 1 - jnp.abs(places[:, None] - jnp.arange(side)[None]))
    return weights, (places >= 0) & (places <= side - 1)


def _correlation(
    fixed: Float[Array, "S S"], moved: Float[Array, "S S"], inside: Bool[Array, "S S"]
) -> Float[Array, ""]:
    count = jnp.maximum(inside.sum(), 1)
    one = (fixed - (fixed * inside).sum() / count) * inside
    other = (moved - (moved * inside).sum() / count) * inside
    return (one * other).sum() / jnp.sqrt((one * one).sum() * (other * other).sum() + 1e-12)


def _gauss_newton(
    fixed: Float[Array, "S S"], moving: Float[Array, "S S"], placement: Float[Array, " 4"]
) -> Float[Array, " 4"]:
    """One step of least squares on `fixed - gain · moved`, linear in the placement."""
    side = fixed.shape[0]
    moved, inside = lay_over(moving, placement)
    edge = jnp.zeros_like(fixed).at[1:-1, 1:-1].set(1)  # differences at the rim are none
    weight = inside * edge
    gain = (fixed * moved * weight).sum() / ((moved * moved * weight).sum() + 1e-9)
    # Slopes of the moving picture itself, hence divided by the scale at which it is sampled.
    slope_down = (jnp.roll(moved, -1, 0) - jnp.roll(moved, 1, 0)) / (2 * placement[0])
    slope_right = (jnp.roll(moved, -1, 1) - jnp.roll(moved, 1, 1)) / (2 * placement[1])
    offset = (jnp.arange(side) - (side - 1) / 2) / side
    slopes = jnp.stack(
        [slope_down * offset[:, None], slope_right * offset[None], slope_down, slope_right]
    )
    jacobian = (gain * side * slopes * weight).reshape(4, -1)
    normal = jacobian @ jacobian.T
    damping = DAMPING * jnp.trace(normal) / 4 + 1e-9
    residual = ((fixed - gain * moved) * weight).ravel()
    step = jnp.linalg.solve(normal + damping * jnp.eye(4), jacobian @ residual)
    return placement + jnp.clip(step, -MAX_STEP, MAX_STEP)
