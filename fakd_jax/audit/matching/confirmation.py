"""Confirms which candidates are duplicates, by comparing pixels after registration.

Neighbouring slices of one head, and heads from one scanner, correlate up to 0.94 as a whole, since
their skulls agree; but they differ somewhere inside. A duplicate agrees everywhere, so it must
correlate as a whole *and* in nearly every part of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from fakd_jax.audit.matching.candidates import Candidates, unit_rows
from fakd_jax.audit.matching.orientations import ORIENTATIONS
from fakd_jax.audit.matching.registration import (
    IDENTITY,
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


def compare_directly(contrasts: Float32[np.ndarray, "N S S"], pairs: Candidates) -> Comparison:
    """Compares the pictures of every pair in the pair's orientation, without moving them.

    Args:
      contrasts: of all images, fine.
      pairs: the pairs. Where a pair's whole is below `MIN_WHOLE` its parts are not compared and
        count as -1.
    """
    whole, parts = np.full(len(pairs), -1.0), np.full(len(pairs), -1.0)
    for number, orientation in enumerate(ORIENTATIONS):
        chosen = np.flatnonzero(pairs.orientation == number)
        for start in range(0, len(chosen), CHUNK):
            at = chosen[start : start + CHUNK]
            one = contrasts[pairs.first[at]]
            other = orientation.apply(contrasts[pairs.second[at]])
            whole[at] = np.einsum("pi,pi->p", unit_rows(one), unit_rows(other))
            close = whole[at] >= MIN_WHOLE
            parts[at[close]] = correlation_of_parts(one[close], other[close])
    return Comparison(whole, parts, np.tile(IDENTITY, (len(pairs), 1)))


def compare_registered(
    coarse: Float32[np.ndarray, "N C C"],
    fine: Float32[np.ndarray, "N S S"],
    boxes: Int[np.ndarray, "N 4"],
    pairs: Candidates,
) -> Comparison:
    """Compares the pictures of every pair after registering the second to the first.

    Starts at the identity and at the transform between the heads' boxes on the coarse pictures;
    refines the better result on the fine pictures.

    Args:
      coarse: contrasts of all images at half the side of `fine`.
      fine: contrasts of all images.
      boxes: of the heads, in pixels of `fine`.
      pairs: the pairs; a pair that never comes close to agreeing counts as -1.
    """
    whole, parts = np.full(len(pairs), -1.0), np.full(len(pairs), -1.0)
    transform = np.tile(IDENTITY, (len(pairs), 1))
    side = fine.shape[-1]
    for start in range(0, len(pairs), CHUNK):
        part = pairs.take(np.arange(start, min(start + CHUNK, len(pairs))))
        one, other = coarse[part.first], _oriented(coarse, part)
        between = transform_between_boxes(
            boxes[part.first], _oriented_boxes(boxes, part, side), side
        )
        starts = (np.tile(IDENTITY, (len(part), 1)), between.astype(np.float32))
        tried = [register(one, other, begin) for begin in starts]
        better = tried[1][0] > tried[0][0]
        correlation = np.where(better, tried[1][0], tried[0][0])
        found = np.where(better[:, None], tried[1][1], tried[0][1])
        near = np.flatnonzero((correlation >= WORTH_REGISTERING) & _plausible(found))
        if not len(near):
            continue
        close = part.take(near)
        one, other = fine[close.first], _oriented(fine, close)
        at = start + near
        whole[at], transform[at] = register(one, other, found[near], steps=2)
        moved, inside = warp_all(other, transform[at])
        parts[at] = correlation_of_parts(one * inside, moved * inside)
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


def _oriented(images: np.ndarray, pairs: Candidates) -> np.ndarray:
    """The second picture of every pair, in the pair's orientation."""
    oriented = np.empty((len(pairs), *images.shape[1:]), images.dtype)
    for number, orientation in enumerate(ORIENTATIONS):
        chosen = pairs.orientation == number
        oriented[chosen] = orientation.apply(images[pairs.second[chosen]])
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
