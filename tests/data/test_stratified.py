from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakd_jax.data.stratified import Clusters, deal, draw, draw_nested
from fakd_jax.errors import UserError
from tests.data.listed import dataset_of

SIZES = st.lists(st.integers(1, 9), min_size=2, max_size=30)
SEEDS = st.integers(0, 2**32)


def clusters_of(*sizes: list[int]) -> tuple[Clusters, list[str], dict[str, int]]:
    """Classes whose images are in groups of these sizes, all ids, and the groups."""
    dataset = dataset_of({"train": [sum(of_class) for of_class in sizes]})
    groups: dict[str, int] = {}
    number = 0
    for label, of_class in enumerate(sizes):
        ids = iter([example.id for example in dataset.examples if example.label == label])
        for size in of_class:
            groups |= {next(ids): number for _ in range(size)}
            number += 1
    return Clusters(dataset, groups), [example.id for example in dataset.examples], groups


@given(sizes=SIZES, share=st.floats(0.01, 0.99), seed=SEEDS)
def test_whole_clusters_are_drawn_as_near_to_the_share_as_they_allow(sizes, share, seed):
    clusters, ids, groups = clusters_of(sizes)
    drawn = draw(clusters, ids, share, seed)
    left = set(ids) - set(drawn)
    assert drawn
    assert left
    assert not {groups[id] for id in drawn} & {groups[id] for id in left}
    wanted = min(max(math.floor(share * sum(sizes) + 0.5), 1), sum(sizes) - 1)
    if min(sizes) <= wanted:
        assert wanted - max(sizes) < len(drawn) <= wanted
    else:
        assert len(drawn) == min(sizes)


@given(sizes=st.lists(SIZES, min_size=1, max_size=3), seed=SEEDS, parts=st.integers(2, 5))
def test_dealing_keeps_clusters_whole_and_parts_level(sizes, seed, parts):
    sizes = [of_class + [1] * parts for of_class in sizes]
    clusters, ids, groups = clusters_of(*sizes)
    dealt = deal(clusters, ids, parts, seed)
    assert sorted(id for part in dealt for id in part) == ids
    of_groups = [{groups[id] for id in part} for part in dealt]
    assert sum(map(len, of_groups)) == len(set(groups.values()))  # no group in two parts
    for label, of_class in enumerate(sizes):
        counts = [sum(id.split("/")[1] == str(label) for id in part) for part in dealt]
        assert min(counts) >= 1
        # as many clusters of one image as there are parts, dealt last, fill up what is lower
        assert max(counts) - min(counts) <= max(1, max(of_class) - 1)


def test_a_class_is_drawn_from_by_its_own_share():
    clusters, ids, _ = clusters_of([1] * 20, [1] * 40)
    drawn = draw(clusters, ids, {0: 0.5, 1: 0.1}, seed=0)
    assert Counter(id.split("/")[1] for id in drawn) == {"0": 10, "1": 4}


def test_drawings_with_different_purposes_are_independent():
    clusters, ids, _ = clusters_of([1] * 400)
    one = set(draw(clusters, ids, 0.5, seed=0))
    other = set(draw(clusters, ids, 0.5, seed=0, purpose="test"))
    assert 75 <= len(one & other) <= 125  # 100 expected, sd 5


def test_every_cluster_is_drawn_about_equally_often():
    clusters, ids, groups = clusters_of([2] * 20)
    times = Counter(groups[id] for seed in range(400) for id in draw(clusters, ids, 0.25, seed))
    assert len(times) == 20
    # 100 expected, sd 9; two images each
    assert all(2 * 65 <= number <= 2 * 135 for number in times.values())


def test_clusters_by_hand():
    dataset = dataset_of({"train": [3, 3]})
    a0, a1, a2, b0, b1, b2 = (example.id for example in dataset.examples)
    clusters = Clusters(dataset, {a0: 5, a1: 7, a2: 5, b0: 5, b1: 7, b2: 1})
    assert clusters.among([b2, a2, a0, b0]) == [(a0, a2, b0), (b2,)]
    assert clusters.among([]) == []
    assert clusters.classes((a0, a2, b0)) == {0: 2, 1: 1}
    assert clusters.class_of((a0, a2, b0)) == 0
    assert clusters.class_of((b1, a1)) == 0  # of equals the first
    assert clusters.by_class([a0, a1, a2, b0, b1, b2]) == {
        0: [(a0, a2, b0), (a1, b1)],
        1: [(b2,)],
    }
    assert clusters.touched_by([a0, a1, b2], [b0]) == (a0,)
    assert clusters.touched_by([b2, a1, a0], [b0, b1]) == (a0, a1)
    assert clusters.touched_by([a0], []) == ()


def test_without_groups_every_image_is_for_itself():
    dataset = dataset_of({"train": [2]})
    one, other = (example.id for example in dataset.examples)
    clusters = Clusters(dataset, None)
    assert clusters.among([other, one]) == [(one,), (other,)]
    assert clusters.touched_by([one], [one, other]) == ()


def test_too_few_clusters_are_reported():
    clusters, ids, _ = clusters_of([4], [1, 1])
    with pytest.raises(UserError, match="class a of somewhere has a single training group of dup"):
        draw(clusters, ids, 0.2, seed=0)
    clusters, ids, _ = clusters_of([1, 1], [1])
    with pytest.raises(UserError, match="class b of somewhere has a single training image"):
        draw(clusters, ids, 0.2, seed=0)
    clusters, ids, _ = clusters_of([1, 2, 1], [3, 3])
    with pytest.raises(
        UserError, match=r"class b .* 2 groups of duplicates, fewer than the 3 folds"
    ):
        deal(clusters, ids, 3, seed=0)


@given(
    sizes=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=20), min_size=1, max_size=3),
    shares=st.lists(st.floats(0.001, 1), min_size=2, max_size=4),
    seed=SEEDS,
)
def test_nested_draws_are_of_whole_clusters_near_to_the_share_of_every_class(sizes, shares, seed):
    clusters, ids, groups = clusters_of(*sizes)
    smaller: set[str] = set()
    for share in sorted(shares):
        drawn = draw_nested(clusters, ids, share, seed, purpose="p")
        assert list(drawn) == sorted(drawn)
        assert smaller <= set(drawn)
        assert not {groups[id] for id in drawn} & {groups[id] for id in {*ids} - {*drawn}}
        for label, of_class in enumerate(sizes):
            number = sum(id.split("/")[1] == str(label) for id in drawn)
            assert number >= 1
            # Half of the largest cluster away at most, unless one cluster alone is more.
            assert abs(number - share * sum(of_class)) <= max(of_class)
        smaller = set(drawn)
    assert draw_nested(clusters, ids, 1.0, seed, purpose="p") == tuple(ids)


def test_of_single_images_the_nested_draw_is_the_rounded_share():
    clusters, ids, _ = clusters_of([1] * 10, [1] * 30, [1] * 2)
    drawn = draw_nested(clusters, ids, 0.25, seed=0, purpose="p")
    # 2.5 and 7.5 are rounded up, 0.5 too
    assert Counter(id.split("/")[1] for id in drawn) == {"0": 3, "1": 8, "2": 1}
    assert draw_nested(clusters, ids, 0.25, seed=1, purpose="p") != drawn
    assert draw_nested(clusters, ids, 0.25, seed=0, purpose="q") != drawn


def test_a_class_that_is_nowhere_the_largest_is_drawn_at_every_share():
    dataset = dataset_of({"train": [8, 2]})
    *of_a, b0, b1 = (example.id for example in dataset.examples)
    groups = {id: number for number, id in enumerate(of_a)} | {b0: 0, b1: 1}
    clusters = Clusters(
        dataset, groups
    )  # each image of b has one of a beside it, which comes first
    smaller: set[str] = set()
    for share in (0.01, 0.3, 0.6, 1.0):
        drawn = set(draw_nested(clusters, dataset.ids("train"), share, seed=3, purpose="p"))
        assert drawn & {b0, b1}
        assert smaller <= drawn
        smaller = drawn
