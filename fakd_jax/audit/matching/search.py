"""Finds every image that is a copy of another: files, mirrored, re-encoded, brightened, moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from fakd_jax.audit.matching.appearance import (
    COARSE_SIDE,
    Thumbnails,
    crop_to,
    halve,
    head_boxes,
    local_contrast,
)
from fakd_jax.audit.matching.candidates import Candidates, find_candidates, merge_candidates
from fakd_jax.audit.matching.confirmation import Comparison, compare_as_they_are, compare_laid_over
from fakd_jax.audit.matching.orientations import ORIENTATIONS

MOVED_SCALE = 0.01
MOVED_SHIFT = 0.005
SAME_LEVELS = 1.5
"""Mean difference of grey levels, of 255, up to which a copy counts as re-encoded only."""

IDENTICAL, REENCODED, LEVELS, MOVED = (
    "identical file",
    "re-encoded",
    "other grey levels",
    "moved or resized",
)
ALTERATIONS = (IDENTICAL, REENCODED, LEVELS, MOVED)
DIFFERENT = "different pictures"


@dataclass(frozen=True)
class Copy:
    """Two images of which one is a copy of the other, or both of a third.

    Attributes:
      first: index of the image with the smaller index.
      second: index of the other.
      orientation: name of what turns the second into the first.
      alteration: one of `ALTERATIONS`: what else differs.
      whole: correlation of the two pictures, 1 for identical files.
      parts: see :class:`fakd_jax.audit.matching.confirmation.Comparison`.
    """

    first: int
    second: int
    orientation: str
    alteration: str
    whole: float
    parts: float


@dataclass(frozen=True)
class Search:
    """What a search for copies found.

    Attributes:
      copies: confirmed pairs; of pairs that other pairs connect already not all are looked at.
      rejected: pairs compared and found different, the most alike first.
      groups: of every image the number of its group of copies; an image without copies is a
        group of its own.
    """

    copies: tuple[Copy, ...]
    rejected: tuple[Copy, ...]
    groups: Int[np.ndarray, " N"]


REJECTED_KEPT = 2000


def find_copies(thumbnails: Thumbnails, log: Callable[[str], object] = print) -> Search:
    """Compares every image with every other.

    Args:
      thumbnails: of all images.
      log: told what is going on.

    Returns:
      Confirmed copies, the nearest rejected pairs, and the groups.
    """
    grey = thumbnails.grey
    boxes = head_boxes(grey)
    fine = local_contrast(grey, inner=1.0, outer=3.0, floor=0.2)
    coarse = local_contrast(halve(grey), inner=0.7, outer=3.0, floor=0.1)
    heads = local_contrast(crop_to(grey, boxes, COARSE_SIDE), inner=0.7, outer=3.0, floor=0.1)
    log(f"audit: comparing {len(grey):,} images, each with each, turned and mirrored")
    pairs = merge_candidates(find_candidates(coarse), find_candidates(heads))
    del heads
    log(f"audit: {len(pairs):,} pairs are alike at a glance; looking closer")
    direct = compare_as_they_are(fine, pairs)
    copies = _copies(thumbnails, pairs, direct) + _identical_files(thumbnails.digests)
    groups = connect(len(grey), [(copy.first, copy.second) for copy in copies])
    # What is connected already needs no second look; the others may be moved or resized.
    apart = pairs.take(groups[pairs.first] != groups[pairs.second])
    log(f"audit: laying {len(apart):,} pairs over each other")
    moved = compare_laid_over(coarse, fine, boxes, apart)
    copies = _best_of_each_pair([*copies, *_copies(thumbnails, apart, moved)])
    groups = connect(len(grey), [(copy.first, copy.second) for copy in copies])
    return Search(tuple(copies), tuple(_nearest_rejected(apart, moved, groups)), groups)


def connect(count: int, pairs: Iterable[tuple[int, int]]) -> Int[np.ndarray, " N"]:
    """Numbers the connected components of a graph by their first member.

    Args:
      count: of the nodes.
      pairs: edges.

    Returns:
      Of every node its component, numbered from 0 in the order of the components' first nodes.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.array(list(pairs), np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    components = connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(components, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _identical_files(digests: Sequence[str]) -> list[Copy]:
    """Pairs of equal files, each with the first of its kind: even pictures without contrast."""
    first_of: dict[str, int] = {}
    return [
        Copy(first_of[digest], index, ORIENTATIONS[0].name, IDENTICAL, 1.0, 1.0)
        for index, digest in enumerate(digests)
        if first_of.setdefault(digest, index) != index
    ]


def _copies(thumbnails: Thumbnails, pairs: Candidates, compared: Comparison) -> list[Copy]:
    """The confirmed pairs, with what makes each differ."""
    return [
        _describe(pairs, compared, number, _alteration(thumbnails, pairs, compared, number))
        for number in map(int, np.flatnonzero(compared.is_copy()))
    ]


def _alteration(
    thumbnails: Thumbnails, pairs: Candidates, compared: Comparison, number: int
) -> str:
    first, second = int(pairs.first[number]), int(pairs.second[number])
    orientation = ORIENTATIONS[int(pairs.orientation[number])]
    same_bytes = thumbnails.digests[first] == thumbnails.digests[second]
    if same_bytes and orientation is ORIENTATIONS[0]:
        return IDENTICAL
    down_and_right, scales = compared.placement[number][2:], compared.placement[number][:2]
    if np.abs(scales - 1).max() > MOVED_SCALE or np.abs(down_and_right).max() > MOVED_SHIFT:
        return MOVED
    difference = thumbnails.grey[first] - orientation.apply(thumbnails.grey[second])
    return REENCODED if float(np.abs(difference).mean()) <= SAME_LEVELS else LEVELS


def _describe(pairs: Candidates, compared: Comparison, number: int, alteration: str) -> Copy:
    return Copy(
        first=int(pairs.first[number]),
        second=int(pairs.second[number]),
        orientation=ORIENTATIONS[int(pairs.orientation[number])].name,
        alteration=alteration,
        whole=round(float(compared.whole[number]), 4),
        parts=round(float(compared.parts[number]), 4),
    )


def _best_of_each_pair(copies: Sequence[Copy]) -> list[Copy]:
    """One entry a pair: a symmetric head may be found as it is and mirrored."""
    best: dict[tuple[int, int], Copy] = {}
    for copy in sorted(copies, key=closeness):
        best.setdefault((copy.first, copy.second), copy)
    return [best[pair] for pair in sorted(best)]


def closeness(copy: Copy) -> tuple[bool, float, float, str]:
    """A key that sorts the closest copy first: identical files, then by correlation."""
    return copy.alteration != IDENTICAL, -copy.whole, -copy.parts, copy.orientation


def _nearest_rejected(
    pairs: Candidates, compared: Comparison, groups: Int[np.ndarray, " N"]
) -> list[Copy]:
    """The pairs of different groups that agree best, one entry for each pair of groups."""
    best: dict[tuple[int, int], Copy] = {}
    for number in np.argsort(-compared.whole, kind="stable"):
        if compared.whole[number] < 0 or len(best) == REJECTED_KEPT:
            break
        copy = _describe(pairs, compared, int(number), DIFFERENT)
        one, other = sorted((int(groups[copy.first]), int(groups[copy.second])))
        if one != other:
            best.setdefault((one, other), copy)
    return list(best.values())
