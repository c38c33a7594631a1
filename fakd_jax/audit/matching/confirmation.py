"""Confirms which candidates are duplicates, by comparing pixels after registration.

Neighbouring slices of one head, and heads from one scanner, correlate up to 0.94 as a whole, since
their skulls agree; but they differ somewhere inside. A duplicate agrees everywhere, so it must
correlate as a whole *and* in nearly every part of the picture.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from fakd_jax.audit.matching.candidates import Candidates, unit_rows
from fakd_jax.audit.matching.orientations import ORIENTATIONS
from fakd_jax.audit.matching.registration import (
    IDENTITY,
    STEPS,
    register,
    transform_between_boxes,
    warp_all,
)

MIN_WHOLE = 0.90
MIN_PARTS = 0.78
PARTS = 7
"""The picture is compared in 7 × 7 parts."""

MIN_CONTRAST = 0.05
"""Parts with less than this share of the greatest contrast of any part are background."""

OUTLIERS = 0.1
"""Share of the parts that may disagree: an annotation, a cut corner."""

WORTH_REGISTERING = 0.85
MAX_SCALING = 1.3
MAX_STRETCHING = 1.2
MAX_SHIFT = 0.15
CHUNK = 2048


@dataclass(frozen=True)
class Comparison:
    """How well the pictures of P pairs agree.

    Attributes:
      whole: correlation over the whole overlap.
      parts: the correlation that all but `OUTLIERS` of the parts reach.
      transform: of the second picture onto the first (:mod:`.registration`).
    """

    whole: Float[np.ndarray, " P"]
    parts: Float[np.ndarray, " P"]
    transform: Float32[np.ndarray, "P 4"]

    def is_duplicate(self) -> Bool[np.ndarray, " P"]:
        """Whether each pair are duplicates."""
        return (self.whole >= MIN_WHOLE) & (self.parts >= MIN_PARTS)


def compare_directly(contrasts: Float[np.ndarray, "N S S"], pairs: Candidates) -> Comparison:
    """Compares the pictures of every pair in the pair's orientation, without moving them.

    Args:
      contrasts: of all images, fine.
      pairs: the pairs. Where a pair's whole is below `MIN_WHOLE` its parts are not compared and
        count as -1.
    """
    whole, parts = np.full(len(pairs), -1.0), np.full(len(pairs), -1.0)

    def compare(number: int, at: Int[np.ndarray, " chunk"]) -> None:
        one = _of(contrasts, pairs.first[at])
        other = ORIENTATIONS[number].apply(_of(contrasts, pairs.second[at]))
        whole[at] = np.einsum("pi,pi->p", unit_rows(one), unit_rows(other))
        close = whole[at] >= MIN_WHOLE
        parts[at[close]] = correlation_of_parts(one[close], other[close])

    chosen = [np.flatnonzero(pairs.orientation == number) for number in range(len(ORIENTATIONS))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [
            pool.submit(compare, number, places[start : start + CHUNK])
            for number, places in enumerate(chosen)
            for start in range(0, len(places), CHUNK)
        ]
        for job in jobs:
            job.result()
    return Comparison(whole, parts, np.tile(IDENTITY, (len(pairs), 1)))


def register_coarsely(
    coarse: Float[np.ndarray, "N C C"],
    boxes: Int[np.ndarray, "N 4"],
    side: int,
    pairs: Candidates,
    steps: int = STEPS,
    progress: Callable[[int], object] = lambda done: None,
) -> tuple[Float[np.ndarray, " P"], Float32[np.ndarray, "P 4"]]:
    """Registers the second picture of every pair to the first, at low resolution.

    Starts at the identity and at the transform between the heads' boxes.

    Args:
      coarse: contrasts of all images.
      boxes: of the heads, in pixels of a picture with sides of `side`.
      side: see `boxes`.
      pairs: the pairs.
      steps: of Gauss–Newton.
      progress: called with the number of pairs done.

    Returns:
      The correlation and the transform of the better result; the correlation is -1 where the
      transform is implausible.
    """
    correlation, transform = np.full(len(pairs), -1.0), np.tile(IDENTITY, (len(pairs), 1))
    for start in range(0, len(pairs), CHUNK):
        at = slice(start, start + CHUNK)
        part = pairs.take(at)
        one, other = _of(coarse, part.first), _oriented(coarse, part)
        between = transform_between_boxes(
            boxes[part.first], _oriented_boxes(boxes, part, side), side
        )
        starts = (np.tile(IDENTITY, (len(part), 1)), between.astype(np.float32))
        tried = [register(one, other, begin, steps=steps) for begin in starts]
        better = tried[1][0] > tried[0][0]
        transform[at] = np.where(better[:, None], tried[1][1], tried[0][1])
        reached = np.where(better, tried[1][0], tried[0][0])
        correlation[at] = np.where(_plausible(transform[at]), reached, -1.0)
        progress(start + len(part))
    return correlation, transform


def compare_registered(
    fine: Float[np.ndarray, "N S S"],
    pairs: Candidates,
    transform: Float32[np.ndarray, "P 4"],
    promising: float = -1.0,
    progress: Callable[[int], object] = lambda done: None,
) -> Comparison:
    """Compares the pictures of every pair after refining the registration of the second.

    Two Gauss–Newton steps; with `promising`, pairs that correlate less after one end there.

    Args:
      fine: contrasts of all images.
      pairs: the pairs.
      transform: of each second picture, see :func:`register_coarsely`.
      promising: see above; the parts of a pair that ends early are not compared and count as -1.
      progress: called with the number of pairs done.
    """
    whole, parts = np.full(len(pairs), -1.0), np.full(len(pairs), -1.0)
    transform = transform.copy()
    for start in range(0, len(pairs), CHUNK):
        at = np.arange(start, min(start + CHUNK, len(pairs)))
        part = pairs.take(at)
        one, other = _of(fine, part.first), _oriented(fine, part)
        if promising > -1:
            whole[at], transform[at] = register(one, other, transform[at], steps=1)
            kept = whole[at] >= promising
            at, one, other = at[kept], one[kept], other[kept]
        whole[at], transform[at] = register(one, other, transform[at], steps=2)
        moved, inside = warp_all(other, transform[at])
        parts[at] = correlation_of_parts(one * inside, moved * inside)
        progress(start + len(part))
    return Comparison(whole, parts, transform)


def correlation_of_parts(
    one: Float[np.ndarray, "P S S"], other: Float[np.ndarray, "P S S"]
) -> Float[np.ndarray, " P"]:
    """Returns the correlation that all but a tenth of the parts with contrast reach.

    Returns:
      Values in [-1, 1]; 0 for pictures without contrast.
    """
    count, side = len(one), one.shape[-1]
    length = side // PARTS
    window = (count, PARTS, length, PARTS, length)

    def centred(images: np.ndarray) -> np.ndarray:
        tiles = images[:, : PARTS * length, : PARTS * length].reshape(window)
        return tiles - tiles.mean(axis=(2, 4), keepdims=True)

    a, b = centred(one), centred(other)
    strength = np.sqrt((a * a).sum(axis=(2, 4)) * (b * b).sum(axis=(2, 4)))
    textured = strength > MIN_CONTRAST * strength.max(axis=(1, 2), keepdims=True)
    correlation = (a * b).sum(axis=(2, 4)) / np.maximum(strength, 1e-9)
    sorted_parts = np.sort(np.where(textured, correlation, np.inf).reshape(count, PARTS**2), axis=1)
    number = textured.sum(axis=(1, 2))
    place = np.floor(OUTLIERS * number).astype(int)
    reached = sorted_parts[np.arange(count), np.minimum(place, PARTS**2 - 1)]
    return np.where(np.isfinite(reached), reached, 0.0)


def _of(images: Float[np.ndarray, "N S S"], at: np.ndarray) -> Float32[np.ndarray, "P S S"]:
    """Pictures by their indices, out of memory or of a scratch file of half precision."""
    return np.asarray(images[at], np.float32)


def _oriented(
    images: Float[np.ndarray, "N S S"], pairs: Candidates
) -> Float32[np.ndarray, "P S S"]:
    """The second picture of every pair, in the pair's orientation."""
    oriented = np.empty((len(pairs), *images.shape[1:]), np.float32)
    for number, orientation in enumerate(ORIENTATIONS):
        chosen = pairs.orientation == number
        oriented[chosen] = orientation.apply(_of(images, pairs.second[chosen]))
    return oriented


def _oriented_boxes(
    boxes: Int[np.ndarray, "N 4"], pairs: Candidates, side: int
) -> Int[np.ndarray, "P 4"]:
    """The box of every pair's second picture, in the pair's orientation."""
    oriented = boxes[pairs.second].copy()
    for number, orientation in enumerate(ORIENTATIONS):
        chosen = pairs.orientation == number
        top, bottom, left, right = oriented[chosen].T
        for _ in range(orientation.turns):  # counter-clockwise: the right side becomes the top
            top, bottom, left, right = side - right, side - left, top, bottom
        if orientation.mirrored:
            left, right = side - right, side - left
        oriented[chosen] = np.stack([top, bottom, left, right], axis=1)
    return oriented


def _plausible(transform: Float32[np.ndarray, "P 4"]) -> Bool[np.ndarray, " P"]:
    """Whether a duplicate may have been moved that far: beyond that, anything fits anything."""
    scales, shifts = transform[:, :2], np.abs(transform[:, 2:])
    scaling = np.maximum(scales, 1 / np.maximum(scales, 1e-3)).max(axis=1)
    stretching = scales.max(axis=1) / np.maximum(scales.min(axis=1), 1e-3)
    moderate = (scales.min(axis=1) > 0) & (scaling <= MAX_SCALING)
    return moderate & (stretching <= MAX_STRETCHING) & (shifts.max(axis=1) <= MAX_SHIFT)
