"""The whole search, on phantoms whose duplicates are known."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from fakd_jax.audit.matching.orientations import ORIENTATIONS
from fakd_jax.audit.matching.pairs import DIFFERENT, IDENTICAL, LEVELS, MOVED, REENCODED, Pair
from fakd_jax.audit.matching.search import Search, connect, find_duplicates
from fakd_jax.data.phantom.dataset import phantom
from fakd_jax.runtime.mapping import HERE, Mapper
from tests.audit.elsewhere import Elsewhere
from tests.audit.pictures import inverse, thumbnails

SIZE = 224


def jpeg(pixels: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=75)
    return np.asarray(Image.open(buffer))


def brighter(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(ImageEnhance.Brightness(Image.fromarray(pixels)).enhance(1.2))


def padded(pixels: np.ndarray) -> np.ndarray:
    """Adds a black border, which makes the picture smaller."""
    border = len(pixels) // 20
    return np.pad(pixels, ((border, border), (border, border), (0, 0)))


def down_and_left(pixels: np.ndarray) -> np.ndarray:
    moved = np.zeros_like(pixels)
    moved[5:, :-6] = pixels[:-5, 6:]
    return moved


def turned(number: int) -> Callable[[np.ndarray], np.ndarray]:
    orientation = ORIENTATIONS[number]
    return lambda pixels: np.moveaxis(orientation.apply(np.moveaxis(pixels, -1, 0)), 0, -1)


KINDS: list[tuple[Callable[[np.ndarray], np.ndarray], str, str]] = [
    (np.copy, "as it is", IDENTICAL),
    (jpeg, "as it is", REENCODED),
    (brighter, "as it is", LEVELS),
    (padded, "as it is", MOVED),
    (down_and_left, "as it is", MOVED),
    (lambda pixels: jpeg(brighter(turned(1)(pixels))), "mirrored", LEVELS),
    (lambda pixels: padded(turned(3)(pixels)), "upside down", MOVED),
    *(
        (turned(number), inverse(each).name, REENCODED)
        for number, each in enumerate(ORIENTATIONS)
        if number > 0
    ),
]
ALONE = 6


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    """Originals, their duplicates in the same order, and unrelated pictures."""
    originals = [phantom(seed, seed % 4, SIZE).image for seed in range(len(KINDS))]
    copies = [change(image) for (change, _, _), image in zip(KINDS, originals, strict=True)]
    others = [phantom(100 + seed, seed % 4, SIZE).image for seed in range(ALONE)]
    dim = np.zeros((50, 50, 3), np.uint8)
    dim[:25] = 1
    black = [np.zeros((50, 50, 3), np.uint8)] * 3 + [np.zeros((60, 60, 3), np.uint8)]
    return [*originals, *copies, *others, dim, dim, *black]


@pytest.fixture(scope="module")
def search(images: list[np.ndarray]) -> Search:
    """A search among all pairs."""
    return find(images)


def find(images: list[np.ndarray], scratch: Path | None = None, mapper: Mapper = HERE) -> Search:
    return find_duplicates(thumbnails(images), lambda line: None, scratch, mapper)


def indices(pairs: Sequence[Pair]) -> list[tuple[int, int]]:
    return [(pair.first, pair.second) for pair in pairs]


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_a_duplicate_of_each_kind_is_found_and_described(search, number):
    found = search.pairs[number]
    assert (found.first, found.second) == (number, number + len(KINDS))
    assert (found.orientation, found.alteration) == KINDS[number][1:]
    assert 0.9 <= found.whole <= 1
    assert 0.78 <= found.parts <= 1


def test_beside_them_only_files_with_equal_bytes_that_show_something_are_duplicates(search):
    dim = 2 * len(KINDS) + ALONE
    assert search.pairs[len(KINDS) :] == (Pair(dim, dim + 1, "as it is", IDENTICAL, 1, 1),)
    np.testing.assert_array_equal(search.groups, connect(len(search.groups), indices(search.pairs)))


def test_an_approximate_search_finds_them_too_whoever_computes_with_how_many_threads(
    images, search, tmp_path, monkeypatch
):
    pytest.importorskip("faiss")
    found, elsewhere = [], Elsewhere()
    for threads, mapper in ((3, HERE), (1, elsewhere)):
        monkeypatch.setattr(os, "cpu_count", lambda threads=threads: threads)
        found.append(find(images, tmp_path, mapper))
    assert elsewhere.called.keys() == {"_describe", "_compare", "_register", "_refine"}
    np.testing.assert_array_equal(found[0].groups, search.groups)
    kinds = [(pair.orientation, pair.alteration) for pair in found[0].pairs]
    assert kinds == [(pair.orientation, pair.alteration) for pair in search.pairs]
    assert found[0].pairs == found[1].pairs
    assert found[0].rejected == found[1].rejected
    assert list(tmp_path.iterdir()) == []


def test_rejected_pairs_are_of_different_groups_the_most_similar_first(search):
    groups = [frozenset(search.groups[list(pair)]) for pair in indices(search.rejected)]
    assert all(len(pair) == 2 for pair in groups)
    assert len(set(groups)) == len(groups)
    values = [pair.whole for pair in search.rejected]
    assert values == sorted(values, reverse=True)
    assert {pair.alteration for pair in search.rejected} <= {DIFFERENT}


def test_duplicates_of_duplicates_are_one_group():
    first = phantom(0, "glioma", SIZE).image
    second, third = (np.pad(first, ((n, n), (n, n), (0, 0))) for n in (18, 18 + 21))
    assert len(set(find([first, third]).groups)) == 2  # too different to be found on their own
    linked = find([first, third, second])
    assert linked.groups.tolist() == [0, 0, 0]
    assert indices(linked.pairs) == [(0, 2), (1, 2)]


def test_the_closer_orientation_of_a_symmetric_head_is_reported():
    image = phantom(2, "notumor", SIZE).image
    half = image[:, : image.shape[1] // 2]
    symmetric = np.concatenate([half, half[:, ::-1]], axis=1)
    noise = np.random.default_rng(0).normal(0, 4, symmetric.shape[:2])[..., None]
    first = np.clip(symmetric + noise, 0, 255).astype(np.uint8)
    for copy, orientation in ((first, "as it is"), (first[:, ::-1], "mirrored")):
        (found,) = find([first, jpeg(copy)]).pairs
        assert found.orientation == orientation


def test_components_by_hand():
    assert connect(6, []).tolist() == [0, 1, 2, 3, 4, 5]
    assert connect(6, [(4, 1), (5, 4)]).tolist() == [0, 1, 2, 3, 1, 1]
    assert connect(6, [(0, 5), (3, 2), (5, 0), (1, 1)]).tolist() == [0, 1, 2, 2, 3, 0]
    assert connect(0, []).tolist() == []


@given(st.data())
def test_components_are_numbered_by_their_first_members(data):
    count = data.draw(st.integers(1, 12))
    nodes = st.integers(0, count - 1)
    pairs = data.draw(st.lists(st.tuples(nodes, nodes), max_size=15))
    groups = connect(count, pairs).tolist()
    assert groups == connect(count, [(b, a) for a, b in reversed(pairs)]).tolist()
    assert all(groups[a] == groups[b] for a, b in pairs)
    reached = {frozenset([node]) for node in range(count)}
    for a, b in pairs:
        joined = frozenset().union(*(part for part in reached if part & {a, b}))
        reached = {part for part in reached if not part & joined} | {joined}
    for number, part in enumerate(sorted(reached, key=min)):
        assert {groups[node] for node in part} == {number}
