"""Which candidates are copies: pixels compared after laying one picture over the other.

Neighbouring slices of one head, and heads of one scanner, correlate up to 0.94 as a whole, for
their skulls agree; but somewhere inside they differ. A copy agrees everywhere. So a copy must
correlate as a whole *and* in nearly every part of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from fakd_jax.audit.matching.candidates import Candidates, unit_rows
from fakd_jax.audit.matching.orientations import ORIENTATIONS
from fakd_jax.audit.matching.registration import IDENTITY, between_boxes, overlay, register

LEAST_WHOLE = 0.90
LEAST_PARTS = 0.78
PARTS = 7
"""The picture is compared in 7 × 7 parts."""

LIVELY = 0.05
"""Parts with less than this share of the liveliest part's contrast are background."""

DISAGREEING = 0.1
"""Share of the parts that may disagree: an annotation, a cut corner."""

WORTH_REGISTERING = 0.85
MAX_SCALING = 1.3
MAX_STRETCHING = 1.2
MAX_SHIFT = 0.15
CHUNK = 2048


@dataclass(frozen=True)
class Comparison:
    """How well the pictures of some pairs agree.

    Attributes:
      whole: correlation over the whole overlap.
      parts: the correlation that all but `DISAGREEING` of the parts reach.
      placement: at which the second was laid over the first (:mod:`.registration`).
    """

    whole: Float[np.ndarray, " P"]
    parts: Float[np.ndarray, " P"]
    placement: Float32[np.ndarray, "P 4"]

    def is_copy(self) -> Bool[np.ndarray, " P"]:
        """Whether each pair is a picture and its copy."""
        return (self.whole >= LEAST_WHOLE) & (self.parts >= LEAST_PARTS)


def compare_as_they_are(contrasts: Float32[np.ndarray, "N S S"], pairs: Candidates) -> Comparison:
    """Compares the pictures of every pair in the pair's orientation, without moving them.

    Args:
      contrasts: of all images, fine.
      pairs: the pairs.

    Returns:
      One entry a pair. Where the whole is far from `LEAST_WHOLE` the parts are not looked at and
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
            close = whole[at] >= LEAST_WHOLE
            parts[at[close]] = agreement_of_parts(one[close], other[close])
    return Comparison(whole, parts, np.tile(IDENTITY, (len(pairs), 1)))


def compare_laid_over(
    coarse: Float32[np.ndarray, "N C C"],
    fine: Float32[np.ndarray, "N S S"],
    boxes: Int[np.ndarray, "N 4"],
    pairs: Candidates,
) -> Comparison:
    """Compares the pictures of every pair after laying the second over the first.

    Begins at the identity and at the placement that carries one head's box into the other's,
    on the coarse pictures; the better one is improved on the fine pictures.

    Args:
      coarse: contrasts of all images at half the side of `fine`.
      fine: contrasts of all images.
      boxes: of the heads, in pixels of `fine`.
      pairs: the pairs.

    Returns:
      One entry a pair; a pair that never comes near to agreeing counts as -1.
    """
    whole, parts = np.full(len(pairs), -1.0), np.full(len(pairs), -1.0)
    placement = np.tile(IDENTITY, (len(pairs), 1))
    for start in range(0, len(pairs), CHUNK):
        part = pairs.take(np.arange(start, min(start + CHUNK, len(pairs))))
        one, other = coarse[part.first], _oriented(coarse, part)
        side = fine.shape[-1]
        carried = between_boxes(boxes[part.first], _oriented_boxes(boxes, part, side), side)
        trials = [
            register(one, other, begin)
            for begin in (np.tile(IDENTITY, (len(part), 1)), carried.astype(np.float32))
        ]
        better = trials[1][0] > trials[0][0]
        correlation = np.where(better, trials[1][0], trials[0][0])
        found = np.where(better[:, None], trials[1][1], trials[0][1])
        near = np.flatnonzero((correlation >= WORTH_REGISTERING) & _plausible(found))
        close = part.take(near)
        one, other = fine[close.first], _oriented(fine, close)
        at = start + near
        whole[at], placement[at] = register(one, other, found[near], steps=2)
        moved, inside = overlay(other, placement[at])
        parts[at] = agreement_of_parts(one * inside, moved * inside)
    return Comparison(whole, parts, placement)


def agreement_of_parts(
    one: Float32[np.ndarray, "P S S"], other: Float32[np.ndarray, "P S S"]
) -> Float[np.ndarray, " P"]:
    """The correlation that all but a tenth of the pictures' lively parts reach.

    Args:
      one: pictures.
      other: laid over them.

    Returns:
      One value a pair, in [-1, 1]; 0 for pictures without contrast.
    """
    count, side = len(one), one.shape[-1]
    length = side // PARTS
    window = (count, PARTS, length, PARTS, length)

    def centred(images: np.ndarray) -> np.ndarray:
        tiles = images[:, : PARTS * length, : PARTS * length].reshape(window)
        return tiles - tiles.mean(axis=(2, 4), keepdims=True)

    a, b = centred(one), centred(other)
    strength = np.sqrt((a * a).sum(axis=(2, 4)) * (b * b).sum(axis=(2, 4)))
    lively = strength > LIVELY * strength.max(axis=(1, 2), keepdims=True)
    correlation = (a * b).sum(axis=(2, 4)) / np.maximum(strength, 1e-9)
    sorted_parts = np.sort(np.where(lively, correlation, np.inf).reshape(count, PARTS**2), axis=1)
    number = lively.sum(axis=(1, 2))
    place = np.floor(DISAGREEING * number).astype(int)
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


def _plausible(placement: Float32[np.ndarray, "P 4"]) -> Bool[np.ndarray, " P"]:
    """Whether a copy may have been moved so far: beyond that, anything fits anything."""
    scales, shifts = placement[:, :2], np.abs(placement[:, 2:])
    scaling = np.maximum(scales, 1 / np.maximum(scales, 1e-3)).max(axis=1)
    stretching = scales.max(axis=1) / np.maximum(scales.min(axis=1), 1e-3)
    moderate = (scales.min(axis=1) > 0) & (scaling <= MAX_SCALING)
    return moderate & (stretching <= MAX_STRETCHING) & (shifts.max(axis=1) <= MAX_SHIFT)
