"""Shapes and textures that head phantoms are drawn with, as arrays over a grid of places.

Lengths are in head units: 1 is half of the head's longer extent. A *depth* is an approximate
signed distance to a contour, positive inside.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float32

Field = Float32[np.ndarray, "H W"]

_SPLINE_VARIANCE = 151 / 315  # mean over a cell of the sum of squared cubic B-spline weights


def ellipse(
    x: Field, y: Field, centre: tuple[float, float], radii: tuple[float, float], tilt: float = 0.0
) -> Field:
    """Depth inside an ellipse, turned by `tilt` radians."""
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    if tilt:
        cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
        dx, dy = cos * dx + sin * dy, cos * dy - sin * dx
    rho = np.hypot(dx / np.float32(radii[0]), dy / np.float32(radii[1]))
    return (1 - rho) * np.float32(min(radii))


def capsule(
    x: Field, y: Field, start: tuple[float, float], end: tuple[float, float], radius: float
) -> Field:
    """Depth inside a thick line from `start` to `end`."""
    along = np.subtract(end, start, dtype=np.float32)
    dx, dy = x - np.float32(start[0]), y - np.float32(start[1])
    share = np.clip((dx * along[0] + dy * along[1]) / np.float32(along @ along), 0, 1)
    return np.float32(radius) - np.hypot(dx - share * along[0], dy - share * along[1])


def blob(
    x: Field,
    y: Field,
    centre: tuple[float, float],
    radius: float,
    *,
    stretch: float = 1.0,
    tilt: float = 0.0,
    harmonics: Float32[np.ndarray, "K 2"] | None = None,
) -> Field:
    """Depth inside a round shape whose radius varies with the direction.

    Args:
      x: places.
      y: places.
      centre: of the shape.
      radius: mean radius.
      stretch: ratio of its axes; the area is kept.
      tilt: direction of the longer axis, in radians.
      harmonics: relative amplitude of the cosine and sine of 2θ, 3θ, …; a circle if None.
    """
    cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    root = np.float32(np.sqrt(stretch))
    along, across = (cos * dx + sin * dy) / root, (cos * dy - sin * dx) * root
    contour = np.ones_like(x)
    if harmonics is not None:
        theta = np.arctan2(across, along)
        for order, (cosine, sine) in enumerate(harmonics, start=2):
            contour += cosine * np.cos(order * theta) + sine * np.sin(order * theta)
    return np.float32(radius) * contour - np.hypot(along, across)


def inside(depth: Field, softness: float) -> Field:
    """How much of each place is inside: 0 to 1 over a band of width `softness`."""
    return np.clip(depth / np.float32(softness) + np.float32(0.5), 0, 1)


def paint(canvas: Field, share: Field, value: Field | float) -> None:
    """Lays `value` over the canvas, in place, where `share` is 1; blends where it is less."""
    canvas += share * (value - canvas)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> Field:
    """Gaussian noise of mean 0 and variance about 1 that varies over 1 / `cells` of the image.

    A cubic B-spline surface over a grid of independent normal numbers.
    """
    rows, columns = _spline_basis(shape[0], cells), _spline_basis(shape[1], cells)
    knots = rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    return rows @ knots @ columns.T / np.float32(_SPLINE_VARIANCE)


@functools.lru_cache(maxsize=256)
def _spline_basis(length: int, cells: int) -> Float32[np.ndarray, "L K"]:
    """Weights of the `cells + 3` knots at `length` evenly spaced places."""
    places = (np.arange(length) + 0.5) * cells / length
    first = places.astype(int)
    t = places - first
    weights = np.stack(
        [
            (1 - t) ** 3,
            3 * t**3 - 6 * t**2 + 4,
            -3 * t**3 + 3 * t**2 + 3 * t + 1,
            t**3,
        ],
        axis=1,
    )
    basis = np.zeros((length, cells + 3), np.float32)
    np.put_along_axis(basis, first[:, None] + np.arange(4), weights / 6, axis=1)
    return basis
