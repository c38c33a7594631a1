"""Nearest neighbours against a comparison of all pairs."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from fakd_jax.audit.matching import neighbours
from fakd_jax.audit.matching.descriptors import describe, oriented
from fakd_jax.audit.matching.neighbours import NEIGHBOURS, find_neighbours
from fakd_jax.audit.matching.orientations import ORIENTATIONS
from fakd_jax.errors import UserError
from tests.audit.pictures import smooth

pytest.importorskip("faiss")


def as_dict(found) -> dict[tuple[int, int, int], float]:
    first, second, orientation, products = (column.tolist() for column in found.columns())
    return dict(zip(zip(first, second, orientation, strict=True), products, strict=True))


@pytest.fixture(scope="module")
def descriptors() -> np.ndarray:
    """Of 600 pictures and of turned, noisy copies of 80 of them."""
    pictures = smooth(600, 16, 1.0)
    noise = 0.3 * np.random.default_rng(1).normal(size=(80, 16, 16)).astype(np.float32)
    turned = [ORIENTATIONS[number % 8].apply(pictures[number]) for number in range(80)]
    return describe(np.concatenate([pictures, np.stack(turned) + noise]))


def by_brute_force(descriptors: np.ndarray, least: float) -> dict[tuple[int, int, int], float]:
    found = {}
    for number, orientation in enumerate(ORIENTATIONS):
        products = descriptors @ oriented(descriptors, orientation).T
        for first, second in np.argwhere(np.triu(products >= least, k=1)).tolist():
            found[first, second, number] = products[first, second]
    return found


def test_similar_pairs_are_found_in_every_orientation(descriptors, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 100)
    expected = by_brute_force(descriptors, 0.75)
    assert len(expected) >= 80
    found = as_dict(find_neighbours(descriptors))
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_result_does_not_depend_on_the_number_of_threads(descriptors, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 100)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(os, "cpu_count", lambda threads=threads: threads)
        found.append(find_neighbours(descriptors, least=0.5))
    for one, other in zip(found[0].columns(), found[1].columns(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_image_has_a_limited_number_of_neighbours():
    (picture,) = smooth(1, 16, 1.0)
    alike = picture + 0.1 * np.random.default_rng(0).normal(size=(60, 16, 16))
    found = find_neighbours(describe(alike.astype(np.float32)))
    assert 60 * NEIGHBOURS / 2 <= len(found) <= 60 * NEIGHBOURS
    assert (found.orientation == 0).all()
    assert (found.first < found.second).all()


def test_without_faiss_one_line_says_what_to_install(descriptors, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match=r"fakd_jax\[faiss\]"):
        find_neighbours(descriptors)
