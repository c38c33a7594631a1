"""The whole search, on phantoms whose copies are known."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from fakd_jax.audit.matching.orientations import ORIENTATIONS
from fakd_jax.audit.matching.pairs import DIFFERENT, IDENTICAL, LEVELS, MOVED, REENCODED, Pair
from fakd_jax.audit.matching.search import Search, connect, find_duplicates
from fakd_jax.data.phantom.dataset import phantom
from tests.audit.pictures import thumbnails

SIZE = 224


def jpeg(pixels: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=75)
    return np.asarray(Image.open(buffer))


def brighter(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(ImageEnhance.Brightness(Image.fromarray(pixels)).enhance(1.2))


def padded(pixels: np.ndarray) -> np.ndarray:
    """Smaller, with a black rim."""
    height, width, _ = pixels.shape
    down, right = height // 20, width // 20
    return np.pad(pixels, ((down, down), (right, right), (0, 0)))


def down_and_left(pixels: np.ndarray) -> np.ndarray:
    moved = np.zeros_like(pixels)
    moved[5:, :-6] = pixels[:-5, 6:]
    return moved


def turned(number: int) -> Callable[[np.ndarray], np.ndarray]:
    orientation = ORIENTATIONS[number]
    return lambda pixels: np.moveaxis(orientation.apply(np.moveaxis(pixels, -1, 0)), 0, -1)


UNDONE_BY = {
    "turned by 90°": "turned by 270°",
    "turned by 270°": "turned by 90°",
}

KINDS: list[tuple[Callable[[np.ndarray], np.ndarray], str, str]] = [
    (np.copy, "as it is", IDENTICAL),
    (jpeg, "as it is", REENCODED),
    (brighter, "as it is", LEVELS),
    (padded, "as it is", MOVED),
    (down_and_left, "as it is", MOVED),
    (lambda pixels: jpeg(brighter(turned(1)(pixels))), "mirrored", LEVELS),
    (lambda pixels: padded(turned(3)(pixels)), "upside down", MOVED),
    *(
        (turned(number), UNDONE_BY.get(each.name, each.name), REENCODED)
        for number, each in enumerate(ORIENTATIONS)
        if number > 0
    ),
]
ALONE = 6


@pytest.fixture(scope="module")
def search() -> Search:
    """One search: an original of every kind, their copies in the same order, and others."""
    originals = [phantom(seed, seed % 4, SIZE).image for seed in range(len(KINDS))]
    copies = [change(image) for (change, _, _), image in zip(KINDS, originals, strict=True)]
    others = [phantom(100 + seed, seed % 4, SIZE).image for seed in range(ALONE)]
    black = [np.zeros((50, 50, 3), np.uint8)] * 2 + [np.zeros((60, 60, 3), np.uint8)]
    return find_duplicates(thumbnails([*originals, *copies, *others, *black]), lambda line: None)


def copy_of(search: Search, number: int) -> Pair:
    pair = (number, number + len(KINDS))
    (found,) = (copy for copy in search.pairs if (copy.first, copy.second) == pair)
    return found


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_a_copy_of_each_kind_is_found_and_described(search, number):
    _, orientation, alteration = KINDS[number]
    found = copy_of(search, number)
    assert found.orientation == orientation
    assert found.alteration == alteration
    assert 0.9 <= found.whole <= 1
    assert 0.78 <= found.parts <= 1


def test_nothing_else_is_found(search):
    count = len(KINDS)
    expected = [(number, number + count) for number in range(count)]
    expected.append((2 * count + ALONE, 2 * count + ALONE + 1))  # two black files of equal bytes
    assert [(copy.first, copy.second) for copy in search.pairs] == expected
    assert search.groups[-3] == search.groups[-2] != search.groups[-1]
    assert len(set(search.groups)) == count + ALONE + 2


def test_groups_are_what_the_pairs_connect(search):
    pairs = [(copy.first, copy.second) for copy in search.pairs]
    np.testing.assert_array_equal(search.groups, connect(len(search.groups), pairs))


def test_black_pictures_are_copies_by_their_bytes_alone(search):
    black = search.pairs[-1]
    assert (black.alteration, black.orientation) == (IDENTICAL, "as it is")
    assert (black.whole, black.parts) == (1, 1)


def test_rejected_pairs_are_of_different_groups_the_most_alike_first(search):
    groups = [
        tuple(sorted((search.groups[copy.first], search.groups[copy.second])))
        for copy in search.rejected
    ]
    assert all(one != other for one, other in groups)
    assert len(set(groups)) == len(groups)
    values = [copy.whole for copy in search.rejected]
    assert values == sorted(values, reverse=True)
    assert {copy.alteration for copy in search.rejected} <= {DIFFERENT}


@pytest.fixture(scope="module")
def chain() -> list[np.ndarray]:
    """A picture, the picture smaller, and that smaller again."""
    first = phantom(0, "glioma", SIZE).image
    rim = SIZE // 12
    second = np.pad(first, ((rim, rim), (rim, rim), (0, 0)))
    rim = second.shape[0] // 12
    return [first, second, np.pad(second, ((rim, rim), (rim, rim), (0, 0)))]


def test_copies_of_copies_are_one_group(chain):
    far = find_duplicates(thumbnails([chain[0], chain[2]]), lambda line: None)
    assert len(set(far.groups)) == 2  # too far apart to be found on their own
    linked = find_duplicates(thumbnails([chain[0], chain[2], chain[1]]), lambda line: None)
    assert linked.groups.tolist() == [0, 0, 0]
    assert [(copy.first, copy.second) for copy in linked.pairs] == [(0, 2), (1, 2)]


def test_the_same_file_many_times_is_one_group():
    image = phantom(0, 0, 64).image
    other = phantom(1, 1, 64).image
    found = find_duplicates(thumbnails([image, other, image, image]), lambda line: None)
    assert found.groups.tolist() == [0, 1, 0, 0]
    assert {copy.alteration for copy in found.pairs} == {IDENTICAL}
    assert {(0, 2), (0, 3)} <= {(copy.first, copy.second) for copy in found.pairs}


def test_of_a_symmetric_head_the_closer_orientation_is_told():
    image = phantom(2, "notumor", SIZE).image
    half = image[:, : image.shape[1] // 2]
    symmetric = np.concatenate([half, half[:, ::-1]], axis=1)
    noise = np.random.default_rng(0).normal(0, 4, symmetric.shape[:2])[..., None]
    first = np.clip(symmetric + noise, 0, 255).astype(np.uint8)
    for copy, orientation in ((first, "as it is"), (first[:, ::-1], "mirrored")):
        (found,) = find_duplicates(thumbnails([first, jpeg(copy)]), lambda line: None).pairs
        assert found.orientation == orientation


def test_components_by_hand():
    assert connect(6, []).tolist() == [0, 1, 2, 3, 4, 5]
    assert connect(6, [(4, 1), (5, 4)]).tolist() == [0, 1, 2, 3, 1, 1]
    assert connect(6, [(0, 5), (3, 2), (5, 0), (1, 1)]).tolist() == [0, 1, 2, 2, 3, 0]
    assert connect(0, []).tolist() == []


@settings(deadline=None)
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
