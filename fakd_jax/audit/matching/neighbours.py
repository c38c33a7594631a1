"""Candidate duplicates among many images: each one's nearest neighbours, by an inverted file.

Descriptors are sorted into lists by k-means; a search looks through the lists nearest to it alone,
so that its time grows more slowly than the number of pairs. Everything is computed in blocks of a
fixed size by one thread each: the result does not depend on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float32

from fakd_jax.audit.matching.candidates import LEAST_CORRELATION, Candidates
from fakd_jax.audit.matching.descriptors import oriented
from fakd_jax.audit.matching.orientations import ORIENTATIONS
from fakd_jax.runtime.extras import import_extra

NEIGHBOURS = 16
"""Candidates per image at most, in all orientations together."""

LISTS_SEARCHED = 16
IMAGES_PER_CENTRE = 64
"""Sample of the images from which k-means finds the centre of each list."""

BLOCK = 1024
SEED = 1234


def import_faiss() -> ModuleType:
    """Faiss.

    Raises:
      UserError: it is not installed.
    """
    return import_extra("faiss", "faiss", "the search for duplicates among so many images")


def find_neighbours(
    descriptors: Float32[np.ndarray, "N D"],
    progress: Callable[[int], object] = lambda done: None,
    least: float = LEAST_CORRELATION,
) -> Candidates:
    """Finds each image's nearest neighbours, in any orientation.

    Args:
      descriptors: see :func:`fakd_jax.audit.matching.descriptors.describe`.
      progress: called after every block with the number of images searched so far.
      least: smallest product of two descriptors at which a pair is kept.

    Returns:
      At most `NEIGHBOURS` pairs per image; a pair may occur in several orientations, and twice if
      either is among the other's nearest.
    """
    faiss = import_faiss()
    inverses = _inverses()
    with _one_thread(faiss):
        index = _index(faiss, descriptors)

        def search(start: int) -> tuple[np.ndarray, ...]:
            faiss.omp_set_num_threads(1)  # a setting of each thread
            return _search(index, descriptors, start, least, inverses)

        found = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            starts = range(0, len(descriptors), BLOCK)
            for start, part in zip(starts, pool.map(search, starts), strict=True):
                found.append(part)
                progress(min(start + BLOCK, len(descriptors)))
    return Candidates(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _index(faiss: ModuleType, descriptors: Float32[np.ndarray, "N D"]) -> Any:
    count, length = descriptors.shape
    lists = max(1, min(2 * int(count**0.5), count // IMAGES_PER_CENTRE))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(length), length, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.max_points_per_centroid = SEED, IMAGES_PER_CENTRE
    index.cp.min_points_per_centroid = 1  # else faiss prints a warning for few images
    index.nprobe = min(LISTS_SEARCHED, lists)
    index.train(descriptors)
    index.add(descriptors)
    return index


def _search(
    index: Any,
    descriptors: Float32[np.ndarray, "N D"],
    start: int,
    least: float,
    inverses: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """The columns of the candidates of one block of images."""
    block = descriptors[start : start + BLOCK]
    own = np.arange(start, start + len(block))[:, None]
    values, others = [], []
    for orientation in ORIENTATIONS:
        value, other = index.search(oriented(block, orientation), NEIGHBOURS + 1)
        # Where the lists hold too few, faiss pads with -1.
        values.append(np.where((other < 0) | (other == own), -np.inf, value))
        others.append(other)
    every = np.concatenate(values, axis=1)
    nearest = np.argsort(-every, axis=1, kind="stable")[:, :NEIGHBOURS]
    products = np.take_along_axis(every, nearest, axis=1)
    rows, places = np.nonzero(products >= least)
    nearest = nearest[rows, places]
    one, two = rows + start, np.concatenate(others, axis=1)[rows, nearest]
    turned = nearest // (NEIGHBOURS + 1)
    # Turned so, `one` resembles `two`; wanted is how to turn the greater of them.
    turned = np.where(one > two, turned, inverses[turned])
    return np.minimum(one, two), np.maximum(one, two), turned, products[rows, places]


def _inverses() -> np.ndarray:
    """The index of the orientation that undoes each."""
    picture = np.arange(4).reshape(2, 2)
    turned = [orientation.apply(picture) for orientation in ORIENTATIONS]
    undone = [[each.apply(picture).tolist() for each in ORIENTATIONS] for picture in turned]
    return np.array([pictures.index([[0, 1], [2, 3]]) for pictures in undone])


@contextmanager
def _one_thread(faiss: ModuleType) -> Iterator[None]:
    """Lets neither BLAS nor faiss use several threads: their sums depend on the number."""
    from threadpoolctl import threadpool_limits

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        faiss.omp_set_num_threads(threads)
