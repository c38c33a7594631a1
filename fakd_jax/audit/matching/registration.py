"""Registration of one picture to another: height, width and position by Gauss–Newton.

A duplicate that was cropped, padded or resized before it reached the data set differs from its
original by a transform of four numbers: two scales and two shifts. Resampling by them is separable,
two matrix products, so that thousands of pairs are registered in seconds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int

from fakd_jax.inference.batching import map_batches

STEPS = 6
MAX_STEP = 0.05
DAMPING = 1e-3
BATCH = 256

IDENTITY = np.array([1.0, 1.0, 0.0, 0.0], np.float32)
"""Vertical scale, horizontal scale, and shifts down and right in units of the side."""


def transform_between_boxes(
    box: Int[np.ndarray, "P 4"], other: Int[np.ndarray, "P 4"], side: int
) -> Float32[np.ndarray, "P 4"]:
    """Returns the transform that maps one box onto the other.

    Args:
      box: (top, bottom, left, right) in the fixed picture.
      other: likewise in the moving picture.
      side: of both pictures, in pixels.

    Returns:
      Transforms: see :func:`warp`.
    """
    box, other = box.astype(np.float32), other.astype(np.float32)
    transforms = []
    for low, high in ((0, 1), (2, 3)):
        scale = (other[:, high] - other[:, low]) / (box[:, high] - box[:, low])
        centre = (box[:, low] + box[:, high] - side) / 2
        other_centre = (other[:, low] + other[:, high] - side) / 2
        transforms.append((scale, (other_centre - centre * scale) / side))
    (tall, down), (wide, right) = transforms
    return np.stack([tall, wide, down, right], axis=1)


def warp(
    image: Float[Array | np.ndarray, "S S"], transform: Float[Array, " 4"]
) -> tuple[Float[Array, "S S"], Bool[Array, "S S"]]:
    """Resamples a picture bilinearly by a transform.

    Row y of the result is taken at `c + (y - c) · scale + shift · S`, where c is the centre;
    columns likewise.

    Args:
      image: the picture.
      transform: (vertical scale, horizontal scale, shift down, shift right).

    Returns:
      The resampled picture, and where it lies inside the original.
    """
    rows, rows_inside = _sampling(transform[0], transform[2], image.shape[0])
    columns, columns_inside = _sampling(transform[1], transform[3], image.shape[1])
    return rows @ image @ columns.T, rows_inside[:, None] & columns_inside[None]


def register(
    fixed: Float32[np.ndarray, "P S S"],
    moving: Float32[np.ndarray, "P S S"],
    transforms: Float32[np.ndarray, "P 4"],
    *,
    steps: int = STEPS,
) -> tuple[Float32[np.ndarray, " P"], Float32[np.ndarray, "P 4"]]:
    """Registers each moving picture to its fixed one, starting from a transform.

    Minimises the squared difference up to a gain in brightness by damped Gauss–Newton steps, and
    keeps the best transform visited.

    Args:
      fixed: pictures that stay.
      moving: pictures that are resampled.
      transforms: the starting points.
      steps: number of Gauss–Newton steps.

    Returns:
      The correlation over the overlap, and the transform of each pair.
    """
    return _in_batches(_improver(steps), fixed, moving, transforms)


def warp_all(
    moving: Float32[np.ndarray, "P S S"], transforms: Float32[np.ndarray, "P 4"]
) -> tuple[Float32[np.ndarray, "P S S"], Bool[np.ndarray, "P S S"]]:
    """:func:`warp` for many pairs."""
    return _in_batches(_warp_batch, moving, transforms)


_warp_batch = jax.jit(jax.vmap(warp))


def _in_batches(
    function: Callable[..., tuple[Array, Array]], *arrays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Applies a function to `BATCH` rows of several arrays at a time, so that it compiles once."""
    numbers = np.arange(len(arrays[0]))
    # Padding of the last batch is number 0: its row is computed again, and dropped.
    parts = map_batches(lambda at: function(*(array[at] for array in arrays)), numbers, BATCH)
    first, second = (np.concatenate(part)[: len(numbers)] for part in zip(*parts, strict=True))
    return first, second


@functools.cache
def _improver(steps: int) -> Callable[..., tuple[Array, Array]]:
    def improve(
        fixed: Float[Array, "S S"], moving: Float[Array, "S S"], transform: Float[Array, " 4"]
    ) -> tuple[Float[Array, ""], Float[Array, " 4"]]:
        best, correlation = transform, _correlation(fixed, *warp(moving, transform))
        for _ in range(steps):
            transform = _gauss_newton(fixed, moving, transform)
            new = _correlation(fixed, *warp(moving, transform))
            best = jnp.where(new > correlation, transform, best)
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
    fixed: Float[Array, "S S"], moving: Float[Array, "S S"], transform: Float[Array, " 4"]
) -> Float[Array, " 4"]:
    """One step of least squares on `fixed - gain · moved`, linear in the transform."""
    side = fixed.shape[0]
    moved, inside = warp(moving, transform)
    edge = jnp.zeros_like(fixed).at[1:-1, 1:-1].set(1)  # no differences at the border
    weight = inside * edge
    gain = (fixed * moved * weight).sum() / ((moved * moved * weight).sum() + 1e-9)
    # Slopes of the moving picture itself, hence divided by the scale at which it is sampled.
    slope_down = (jnp.roll(moved, -1, 0) - jnp.roll(moved, 1, 0)) / (2 * transform[0])
    slope_right = (jnp.roll(moved, -1, 1) - jnp.roll(moved, 1, 1)) / (2 * transform[1])
    offset = (jnp.arange(side) - (side - 1) / 2) / side
    slopes = jnp.stack(
        [slope_down * offset[:, None], slope_right * offset[None], slope_down, slope_right]
    )
    jacobian = (gain * side * slopes * weight).reshape(4, -1)
    normal = jacobian @ jacobian.T
    damping = DAMPING * jnp.trace(normal) / 4 + 1e-9
    residual = ((fixed - gain * moved) * weight).ravel()
    step = jnp.linalg.solve(normal + damping * jnp.eye(4), jacobian @ residual)
    return transform + jnp.clip(step, -MAX_STEP, MAX_STEP)
