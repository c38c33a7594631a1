"""Finds every pair of duplicates: same files, mirrored, re-encoded, brightened, moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from fakd_jax.audit.matching.appearance import Thumbnails
from fakd_jax.audit.matching.candidates import (
    Candidates,
    among_best,
    find_candidates,
    merge_candidates,
)
from fakd_jax.audit.matching.confirmation import (
    WORTH_REGISTERING,
    Comparison,
    compare_directly,
    compare_registered,
    register_coarsely,
)
from fakd_jax.audit.matching.neighbours import find_neighbours
from fakd_jax.audit.matching.orientations import ORIENTATIONS
from fakd_jax.audit.matching.pairs import DIFFERENT, IDENTICAL, LEVELS, MOVED, REENCODED, Pair
from fakd_jax.audit.matching.progress import Progress
from fakd_jax.audit.matching.registration import STEPS
from fakd_jax.audit.matching.views import Views, describe_all, view_all
from fakd_jax.runtime.mapping import HERE, Mapper

MOVED_SCALE = 0.01
MOVED_SHIFT = 0.005
SAME_LEVELS = 1.5
"""Mean difference of grey levels, of 255, up to which a duplicate counts as re-encoded only."""


@dataclass(frozen=True)
class Search:
    """What a search for duplicates found.

    Attributes:
      pairs: confirmed duplicates; not every pair within a group is among them.
      rejected: pairs compared and found different, the most similar first.
      groups: the number of every image's duplicate group; an image without duplicates is a group
        of its own.
    """

    pairs: tuple[Pair[int], ...]
    rejected: tuple[Pair[int], ...]
    groups: Int[np.ndarray, " N"]


REJECTED_KEPT = 2000

SIMILAR_UNMOVED = 0.85
"""Least correlation, coarse, of candidates that an approximate search compares as they are."""

REGISTERED, REFINED = 8, 4
"""Pairs per image that an approximate search registers, coarsely and then finely."""

PROMISING = 0.75
"""Least correlation after one fine step of those that it takes further."""


def find_duplicates(
    thumbnails: Thumbnails,
    log: Callable[[str], object] = print,
    scratch: Path | None = None,
    mapper: Mapper = HERE,
    *,
    settled: Bool[np.ndarray, " N"] | None = None,
) -> Search:
    """Searches for duplicates among all images.

    Args:
      thumbnails: of the images.
      log: receives the progress.
      scratch: a folder for scratch files. Without one, every image is compared with every other,
        in time and memory that grow with the square of their number. With one, the search is
        approximate: each image is compared with its nearest neighbours.
      mapper: computes the expensive steps in chunks: views, comparisons and registrations.
      settled: images that are not compared with each other, only with the rest; None compares all.

    Raises:
      UserError: faiss, which an approximate search needs, is not installed; or there is no room in
        `scratch`.
    """
    if scratch is None:
        views, candidates = _compare_all(thumbnails.grey, mapper, log)
    else:
        views, candidates = _compare_neighbours(thumbnails, scratch, mapper, log)
    if settled is not None:
        candidates = candidates.take(~(settled[candidates.first] & settled[candidates.second]))
    if scratch is None:
        near, steps = np.ones(len(candidates), bool), STEPS
    else:
        near, steps = candidates.correlation >= SIMILAR_UNMOVED, 1
    log(f"audit: comparing {near.sum():,} candidate pairs in detail")
    unmoved = candidates.take(near)
    direct = compare_directly(views.fine, unmoved, mapper)
    found = _confirmed(thumbnails, unmoved, direct) + _identical_files(thumbnails)
    groups = _groups(len(thumbnails.grey), found)
    # Pairs within a group need no second look; the others may be moved or resized.
    apart = candidates.take(groups[candidates.first] != groups[candidates.second])
    if scratch is not None:
        apart = apart.take(_best(apart, apart.correlation, REGISTERED, "similar", log))
    log(f"audit: registering {len(apart):,} pairs")
    side = views.fine.shape[-1]
    correlation, transform = register_coarsely(
        *(views.coarse, views.boxes, side, apart, steps),
        *(mapper, Progress(log, "registered", len(apart))),
    )
    worth = np.flatnonzero(correlation >= WORTH_REGISTERING)
    if scratch is not None:
        worth = worth[_best(apart.take(worth), correlation[worth], REFINED, "registered", log)]
    apart = apart.take(worth)
    registered = compare_registered(
        *(views.fine, apart, transform[worth]),
        promising=-1.0 if scratch is None else PROMISING,
        mapper=mapper,
        progress=Progress(log, "refined", len(apart)),
    )
    found = _best_of_each_pair([*found, *_confirmed(thumbnails, apart, registered)])
    groups = _groups(len(thumbnails.grey), found)
    return Search(tuple(found), tuple(_nearest_rejected(apart, registered, groups)), groups)


def _best(
    pairs: Candidates,
    values: Float[np.ndarray, " P"],
    most: int,
    what: str,
    log: Callable[[str], object],
) -> Bool[np.ndarray, " P"]:
    """See :func:`among_best`; logs how many pairs are left out."""
    best = among_best(pairs, values, most)
    log(
        f"audit: {best.sum():,} of {len(best):,} {what} pairs are among the {most} best of an image"
    )
    return best


def _compare_all(
    grey: Shaped[np.ndarray, "N S S"], mapper: Mapper, log: Callable[[str], object]
) -> tuple[Views, Candidates]:
    """The views of all pictures, and the pairs that resemble each other."""
    views, heads = view_all(grey, mapper, log)
    log(f"audit: comparing all pairs of {len(grey):,} images in eight orientations")
    return views, merge_candidates(find_candidates(views.coarse), find_candidates(heads))


def _compare_neighbours(
    thumbnails: Thumbnails, scratch: Path, mapper: Mapper, log: Callable[[str], object]
) -> tuple[Views, Candidates]:
    """As :func:`_compare_all`, with nearest neighbours alone and views in scratch files."""
    log(f"audit: describing {len(thumbnails.grey):,} images")
    views, whole, cropped = describe_all(thumbnails.grey, scratch, mapper, log)
    # Of identical files one stands for all, which would fill each other's neighbourhoods.
    firsts = np.unique(np.array(thumbnails.digests), return_index=True)[1]
    firsts.sort()
    log(f"audit: searching the neighbours of {len(firsts):,} different files")
    found = merge_candidates(
        find_neighbours(whole[firsts], Progress(log, "searched whole", len(firsts))),
        find_neighbours(cropped[firsts], Progress(log, "searched cropped", len(firsts))),
    )
    first, second, *others = found.columns()
    return views, Candidates(firsts[first], firsts[second], *others)


def connect(count: int, pairs: Iterable[tuple[int, int]]) -> Int[np.ndarray, " N"]:
    """Numbers the connected components of a graph of `count` nodes, by their first nodes from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.array(list(pairs), np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    components = connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(components, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _groups(count: int, pairs: Sequence[Pair[int]]) -> Int[np.ndarray, " N"]:
    return connect(count, [(pair.first, pair.second) for pair in pairs])


def _identical_files(thumbnails: Thumbnails) -> list[Pair[int]]:
    """Pairs every repeated file with the first of its kind, however little contrast it shows.

    But not files that show nothing: an empty slice is in most volumes, and would join them all.
    """
    first_of: dict[str, int] = {}
    return [
        Pair(first_of[digest], index, ORIENTATIONS[0].name, IDENTICAL, 1.0, 1.0)
        for index, digest in enumerate(thumbnails.digests)
        if first_of.setdefault(digest, index) != index and np.ptp(thumbnails.grey[index]) > 0
    ]


def _confirmed(
    thumbnails: Thumbnails, candidates: Candidates, compared: Comparison
) -> list[Pair[int]]:
    """The candidates that are duplicates, with what else differs."""
    return [
        _pair(candidates, compared, number, _alteration(thumbnails, candidates, compared, number))
        for number in map(int, np.flatnonzero(compared.is_duplicate()))
    ]


def _alteration(
    thumbnails: Thumbnails, candidates: Candidates, compared: Comparison, number: int
) -> str:
    first, second = int(candidates.first[number]), int(candidates.second[number])
    orientation = ORIENTATIONS[int(candidates.orientation[number])]
    same_bytes = thumbnails.digests[first] == thumbnails.digests[second]
    if same_bytes and orientation is ORIENTATIONS[0]:
        return IDENTICAL
    scales, shifts = np.split(compared.transform[number], 2)
    if np.abs(scales - 1).max() > MOVED_SCALE or np.abs(shifts).max() > MOVED_SHIFT:
        return MOVED
    one, other = (np.asarray(thumbnails.grey[place], np.float32) for place in (first, second))
    difference = one - orientation.apply(other)
    return REENCODED if float(np.abs(difference).mean()) <= SAME_LEVELS else LEVELS


def _pair(candidates: Candidates, compared: Comparison, number: int, alteration: str) -> Pair[int]:
    return Pair(
        first=int(candidates.first[number]),
        second=int(candidates.second[number]),
        orientation=ORIENTATIONS[int(candidates.orientation[number])].name,
        alteration=alteration,
        whole=round(float(compared.whole[number]), 4),
        parts=round(float(compared.parts[number]), 4),
    )


def _best_of_each_pair(pairs: Sequence[Pair[int]]) -> list[Pair[int]]:
    """One entry per pair of images: a symmetric head may match both as it is and mirrored."""

    def closeness(pair: Pair[int]) -> tuple[bool, float, float, str]:
        return pair.alteration != IDENTICAL, -pair.whole, -pair.parts, pair.orientation

    best: dict[tuple[int, int], Pair[int]] = {}
    for pair in sorted(pairs, key=closeness):
        best.setdefault((pair.first, pair.second), pair)
    return [best[key] for key in sorted(best)]


def _nearest_rejected(
    candidates: Candidates, compared: Comparison, groups: Int[np.ndarray, " N"]
) -> list[Pair[int]]:
    """The most similar pairs of different groups, one entry per pair of groups."""
    best: dict[tuple[int, int], Pair[int]] = {}
    for number in np.argsort(-compared.whole, kind="stable"):
        if compared.whole[number] < 0 or len(best) == REJECTED_KEPT:
            break
        pair = _pair(candidates, compared, int(number), DIFFERENT)
        one, other = sorted((int(groups[pair.first]), int(groups[pair.second])))
        if one != other:
            best.setdefault((one, other), pair)
    return list(best.values())
