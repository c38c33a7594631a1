"""Shapes and textures of head phantoms, as arrays over a grid of positions.

Lengths are in head units: 1 is half of the head's longer extent. A *depth* is an approximate
signed distance to a contour, positive inside.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float32

Field = Float32[np.ndarray, "H W"]
Point = tuple[float, float]

_SPLINE_VARIANCE = 151 / 315  # mean over a cell of the sum of squared cubic B-spline weights


def ellipse(x: Field, y: Field, centre: Point, radii: Point, tilt: float = 0.0) -> Field:
    """Depth inside an ellipse rotated by `tilt` radians."""
    along, across = _rotate(x - centre[0], y - centre[1], tilt)
    return (1 - np.hypot(along / radii[0], across / radii[1])) * min(radii)


def capsule(x: Field, y: Field, start: Point, end: Point, radius: float) -> Field:
    """Depth inside a thick line from `start` to `end`."""
    (x0, y0), (x1, y1) = start, end
    dx, dy, length = x1 - x0, y1 - y0, (x1 - x0) ** 2 + (y1 - y0) ** 2
    share = np.clip(((x - x0) * dx + (y - y0) * dy) / length, 0, 1)
    return radius - np.hypot(x - x0 - share * dx, y - y0 - share * dy)


def blob(
    x: Field,
    y: Field,
    centre: Point,
    radius: float,
    *,
    stretch: float = 1.0,
    tilt: float = 0.0,
    harmonics: Float32[np.ndarray, "K 2"] | None = None,
) -> Field:
    """Depth inside a round shape whose radius varies with the direction.

    Args:
      x: positions.
      y: positions.
      centre: of the shape.
      radius: mean radius.
      stretch: ratio of its axes; the area is kept.
      tilt: direction of the longer axis, in radians.
      harmonics: relative amplitudes of the cosine and sine of 2θ, 3θ, …; a circle if None.
    """
    along, across = _rotate(x - centre[0], y - centre[1], tilt)
    along, across = along / stretch**0.5, across * stretch**0.5
    contour = np.ones_like(x)
    if harmonics is not None:
        theta = np.arctan2(across, along)
        for order, (cosine, sine) in enumerate(harmonics, start=2):
            contour += cosine * np.cos(order * theta) + sine * np.sin(order * theta)
    return radius * contour - np.hypot(along, across)


def inside(depth: Field, softness: float) -> Field:
    """Coverage, rising from 0 to 1 over a band of width `softness` around the contour."""
    return np.clip(depth / softness + 0.5, 0, 1)


def paint(canvas: Field, opacity: Field, value: Field | float) -> None:
    """Blends `value` into the canvas, in place."""
    canvas += opacity * (value - canvas)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> Field:
    """Gaussian noise of mean 0 and variance about 1 that varies over 1 / `cells` of the image.

    A cubic B-spline surface over a grid of independent normal numbers.
    """
    rows, columns = _spline_basis(shape[0], cells), _spline_basis(shape[1], cells)
    knots = rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    return rows @ knots @ columns.T / _SPLINE_VARIANCE


def _rotate(dx: Field, dy: Field, angle: float) -> tuple[Field, Field]:
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    return cos * dx + sin * dy, cos * dy - sin * dx


@functools.lru_cache(maxsize=256)
def _spline_basis(length: int, cells: int) -> Float32[np.ndarray, "L K"]:
    """Weights of the `cells + 3` knots at `length` evenly spaced positions."""
    from scipy.interpolate import BSpline

    knots = np.arange(-3, cells + 4, dtype=float)
    positions = (np.arange(length) + 0.5) * cells / length
    return BSpline.design_matrix(positions, knots, 3).toarray().astype(np.float32)
