"""Confirms which candidates are duplicates, by comparing pixels after registration.

Neighbouring slices of one head, and heads from one scanner, correlate up to 0.94 as a whole, since
their skulls agree; but they differ somewhere inside. A duplicate agrees everywhere, so it must
correlate as a whole *and* in nearly every part of the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

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
from fakd_jax.runtime.mapping import HERE, Mapper

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
CHUNK = 1024
"""Pairs that are compared by one call, a multiple of the batches' size."""


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


def compare_directly(
    contrasts: Float[np.ndarray, "N S S"], pairs: Candidates, mapper: Mapper = HERE
) -> Comparison:
    """Compares the pictures of every pair in the pair's orientation, without moving them.

    Args:
      contrasts: of all images, fine.
      pairs: the pairs. Where a pair's whole is below `MIN_WHOLE` its parts are not compared and
        count as -1.
      mapper: compares chunks of pairs.
    """
    whole, parts = np.full((2, len(pairs)), -1.0)
    _collect((whole, parts), mapper.map(_compare, _chunks(pairs, (contrasts,))))
    return Comparison(whole, parts, np.tile(IDENTITY, (len(pairs), 1)))


def _compare(
    contrasts: Float[np.ndarray, "n S S"], pairs: Candidates
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    one, other = _of(contrasts, pairs.first), _oriented(contrasts, pairs)
    whole = np.einsum("pi,pi->p", unit_rows(one), unit_rows(other)).astype(float)
    parts = np.full(len(pairs), -1.0)
    close = whole >= MIN_WHOLE
    parts[close] = correlation_of_parts(one[close], other[close])
    return whole, parts


def register_coarsely(
    coarse: Float[np.ndarray, "N C C"],
    boxes: Int[np.ndarray, "N 4"],
    side: int,
    pairs: Candidates,
    steps: int = STEPS,
    mapper: Mapper = HERE,
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
      mapper: registers chunks of pairs.
      progress: called with the number of pairs done.

    Returns:
      The correlation and the transform of the better result; the correlation is -1 where the
      transform is implausible.
    """
    correlation, transform = np.full(len(pairs), -1.0), np.tile(IDENTITY, (len(pairs), 1))
    chunks = _chunks(pairs, (coarse, boxes), (), side, steps)
    done = mapper.map(_register, chunks, threaded=False)
    _collect((correlation, transform), done, progress)
    return correlation, transform


def _register(
    coarse: Float[np.ndarray, "n C C"],
    boxes: Int[np.ndarray, "n 4"],
    pairs: Candidates,
    side: int,
    steps: int,
) -> tuple[Float[np.ndarray, " p"], Float32[np.ndarray, "p 4"]]:
    one, other = _of(coarse, pairs.first), _oriented(coarse, pairs)
    between = transform_between_boxes(boxes[pairs.first], _oriented_boxes(boxes, pairs, side), side)
    starts = (np.tile(IDENTITY, (len(pairs), 1)), between.astype(np.float32))
    tried = [register(one, other, begin, steps=steps) for begin in starts]
    better = tried[1][0] > tried[0][0]
    transform = np.where(better[:, None], tried[1][1], tried[0][1])
    reached = np.where(better, tried[1][0], tried[0][0])
    return np.where(_plausible(transform), reached, -1.0), transform


def compare_registered(
    fine: Float[np.ndarray, "N S S"],
    pairs: Candidates,
    transform: Float32[np.ndarray, "P 4"],
    promising: float = -1.0,
    mapper: Mapper = HERE,
    progress: Callable[[int], object] = lambda done: None,
) -> Comparison:
    """Compares the pictures of every pair after refining the registration of the second.

    Two Gauss–Newton steps; with `promising`, pairs that correlate less after one end there.

    Args:
      fine: contrasts of all images.
      pairs: the pairs.
      transform: of each second picture, see :func:`register_coarsely`.
      promising: see above; the parts of a pair that ends early are not compared and count as -1.
      mapper: compares chunks of pairs.
      progress: called with the number of pairs done.
    """
    whole, parts = np.full((2, len(pairs)), -1.0)
    refined = np.empty_like(transform)
    chunks = _chunks(pairs, (fine,), (transform,), promising)
    done = mapper.map(_refine, chunks, threaded=False)
    _collect((whole, parts, refined), done, progress)
    return Comparison(whole, parts, refined)


def _refine(
    fine: Float[np.ndarray, "n S S"],
    pairs: Candidates,
    transform: Float32[np.ndarray, "p 4"],
    promising: float,
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"], Float32[np.ndarray, "p 4"]]:
    whole, parts = np.full((2, len(pairs)), -1.0)
    transform, at = transform.copy(), np.arange(len(pairs))
    one, other = _of(fine, pairs.first), _oriented(fine, pairs)
    if promising > -1:
        whole[at], transform[at] = register(one, other, transform, steps=1)
        at = np.flatnonzero(whole >= promising)
        one, other = one[at], other[at]
    whole[at], transform[at] = register(one, other, transform[at], steps=2)
    moved, inside = warp_all(other, transform[at])
    parts[at] = correlation_of_parts(one * inside, moved * inside)
    return whole, parts, transform


def _chunks(
    pairs: Candidates,
    of_images: tuple[np.ndarray, ...],
    of_pairs: tuple[np.ndarray, ...] = (),
    *others: Any,
) -> Iterator[tuple[Any, ...]]:
    """Arguments for `CHUNK` pairs at a time, with no more images than those need.

    Args:
      pairs: the pairs.
      of_images: arrays with a row per image.
      of_pairs: arrays with a row per pair.
      others: the same for all chunks.

    Returns:
      Rows of `of_images`, the pairs with numbers of those rows, rows of `of_pairs`, and `others`.
    """
    for start in range(0, len(pairs), CHUNK):
        at = slice(start, start + CHUNK)
        part = pairs.take(at)
        needed, rows = np.unique([part.first, part.second], return_inverse=True)
        first, second = rows.reshape(2, -1)
        yield (
            *(np.asarray(array[needed]) for array in of_images),
            Candidates(first, second, part.orientation, part.correlation),
            *(array[at] for array in of_pairs),
            *others,
        )


def _collect(
    columns: tuple[np.ndarray, ...],
    chunks: Iterator[tuple[np.ndarray, ...]],
    progress: Callable[[int], object] = lambda done: None,
) -> None:
    """Writes results of chunks, in order, into arrays of all pairs."""
    done = 0
    for chunk in chunks:
        at = slice(done, done + len(chunk[0]))
        for column, values in zip(columns, chunk, strict=True):
            column[at] = values
        done = at.stop
        progress(done)


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
