"""Candidate duplicates: every pair of images compared, coarsely, in every orientation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from fakd_jax.audit.matching.orientations import ORIENTATIONS

LEAST_CORRELATION = 0.75
BLOCK = 1024


@dataclass(frozen=True)
class Candidates:
    """Pairs (first < second) and the orientation in which the second resembles the first.

    Attributes:
      first: index of an image.
      second: index of another.
      orientation: index into `ORIENTATIONS`, to be applied to the second.
      correlation: of the two in that orientation.
    """

    first: Int[np.ndarray, " P"]
    second: Int[np.ndarray, " P"]
    orientation: Int[np.ndarray, " P"]
    correlation: Float[np.ndarray, " P"]

    def __len__(self) -> int:
        return len(self.first)

    def columns(self) -> tuple[np.ndarray, ...]:
        """All arrays, in the order of the attributes."""
        return self.first, self.second, self.orientation, self.correlation

    def take(self, chosen: np.ndarray | slice) -> Candidates:
        """Those at an index array, a slice, or under a mask."""
        return Candidates(*(column[chosen] for column in self.columns()))


def find_candidates(
    contrasts: Float32[np.ndarray, "N S S"], least: float = LEAST_CORRELATION
) -> Candidates:
    """Finds every pair that correlates in some orientation.

    All N² pairs are compared, as matrix products: 7,000 images of 56² pixels in eight
    orientations are 2.5·10¹² multiplications, seconds on two cores.

    Args:
      contrasts: see :func:`fakd_jax.audit.matching.appearance.local_contrast`.
      least: smallest correlation at which a pair is kept.

    Returns:
      The pairs; a pair may occur in several orientations.
    """
    plain = unit_rows(contrasts)
    found = []
    for number, orientation in enumerate(ORIENTATIONS):
        other = unit_rows(orientation.apply(contrasts))
        for start in range(0, len(plain), BLOCK):
            # From `start` on is enough: pairs are wanted once, with the smaller index first.
            block = plain[start : start + BLOCK] @ other[start:].T
            rows, columns = np.nonzero(block >= least)
            kept = rows < columns
            rows, columns = rows[kept], columns[kept]
            numbers = np.full(len(rows), number)
            found.append((rows + start, columns + start, numbers, block[rows, columns]))
    return Candidates(*(np.concatenate(column) for column in zip(*found, strict=True)))


def merge_candidates(one: Candidates, other: Candidates) -> Candidates:
    """The pairs of both, each once per orientation with the greater correlation."""
    both = Candidates(*map(np.concatenate, zip(one.columns(), other.columns(), strict=True)))
    order = np.lexsort((-both.correlation, both.orientation, both.second, both.first))
    ordered = both.take(order)
    keys = np.stack(ordered.columns()[:3])
    new = np.ones(len(order), bool)
    new[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    return ordered.take(new)


def among_best(
    pairs: Candidates, values: Float[np.ndarray, " P"], most: int
) -> Bool[np.ndarray, " P"]:
    """Whether each pair's value is among the `most` greatest of its first or its second image."""
    images = np.concatenate([pairs.first, pairs.second])
    order = np.lexsort((-np.tile(values, 2), images))
    ordered = images[order]
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    of_first, of_second = np.split(rank, 2)
    return (of_first < most) | (of_second < most)


def unit_rows(images: Float32[np.ndarray, "N S S"]) -> Float32[np.ndarray, "N S*S"]:
    """Each image as a row of mean 0 and length 1, so that products are correlations.

    An image without contrast results in zeros and correlates with no other.
    """
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 1e-6, length, np.inf)
