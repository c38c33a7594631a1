"""Splits that keep groups of duplicates together, over random groups."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.splits import Split, make_split
from fakd_jax.errors import UserError
from tests.data.listed import dataset_of

Groups = dict[str, int]


def ids_of(dataset: ImageDataset) -> list[str]:
    return [example.id for example in dataset.examples]


@st.composite
def grouped_data(draw, largest: int = 8) -> tuple[ImageDataset, Groups]:
    """Two or three classes with random groups of duplicates, across splits and classes."""
    classes = draw(st.integers(2, 3))
    numbers = st.lists(st.integers(8, 20), min_size=classes, max_size=classes)
    dataset = dataset_of({"train": draw(numbers), "test": draw(numbers)})
    shuffled = draw(st.permutations(ids_of(dataset)))
    groups: Groups = {}
    while len(groups) < len(shuffled):
        size = draw(st.integers(1, largest))
        group = len(set(groups.values()))
        groups |= dict.fromkeys(shuffled[len(groups) : len(groups) + size], group)
    return dataset, groups


def split_or_reject(dataset: ImageDataset, groups: Groups, **keywords) -> Split:
    """The split, unless a class has too few groups for it."""
    try:
        return make_split(dataset, groups=groups, audit="the audit", **keywords)
    except UserError:
        return reject()


def of_groups(ids: tuple[str, ...], groups: Groups) -> set[int]:
    return {groups[id] for id in ids}


SEEDS = st.integers(0, 2**32)
FRACTIONS = st.floats(0.1, 0.5)


@given(data=grouped_data(), seed=SEEDS, fraction=FRACTIONS, kind=st.sampled_from(["grouped", "k"]))
def test_no_group_is_torn_apart(data, seed, fraction, kind):
    dataset, groups = data
    chosen = {"kind": "grouped"} if kind == "grouped" else {"kind": "kfold", "folds": 3, "fold": 1}
    split = split_or_reject(dataset, groups, seed=seed, validation_fraction=fraction, **chosen)
    parts = (split.train, split.val, split.test)
    assert sorted(id for part in parts for id in part) == ids_of(dataset)
    assert all(parts)
    assert split.apart == ()
    train, val, test = (of_groups(part, groups) for part in parts)
    assert not train & val
    assert not train & test
    assert not val & test
    assert split.audit == "the audit"


@given(data=grouped_data(largest=4), seed=SEEDS, fraction=FRACTIONS)
def test_deduplicated_sets_test_images_with_duplicates_apart(data, seed, fraction):
    dataset, groups = data
    split = split_or_reject(
        dataset, groups, kind="deduplicated", seed=seed, validation_fraction=fraction
    )
    assert sorted(split.train + split.val) == list(dataset.ids("train"))
    assert not of_groups(split.train, groups) & of_groups(split.val, groups)
    assert sorted(split.test + split.apart) == list(dataset.ids("test"))
    learnt_from = of_groups(split.train + split.val, groups)
    assert not of_groups(split.test, groups) & learnt_from
    assert of_groups(split.apart, groups) <= learnt_from
    assert list(split.apart) == sorted(split.apart)


@given(
    data=grouped_data(largest=4),
    seed=SEEDS,
    folds=st.integers(2, 5),
    fraction=st.sampled_from([0.1, 0.2, 0.25, 0.4, 0.5]),
)
def test_folds_test_every_image_once_and_train_on_it_in_nearly_all_others(
    data, seed, folds, fraction
):
    dataset, groups = data
    splits = [
        split_or_reject(
            dataset,
            groups,
            kind="kfold",
            seed=seed,
            folds=folds,
            fold=fold,
            validation_fraction=fraction,
        )
        for fold in range(folds)
    ]
    assert sorted(id for split in splits for id in split.test) == ids_of(dataset)
    assert [(split.folds, split.fold) for split in splits] == [(folds, n) for n in range(folds)]
    most = {0.1: 1, 0.2: 1, 0.25: 1, 0.4: math.ceil(0.4 * (folds - 1)), 0.5: folds // 2}[fraction]
    validated = Counter(id for split in splits for id in split.val)
    trained = Counter(id for split in splits for id in split.train)
    assert max(validated.values()) <= most
    if folds > 2:
        assert min(trained[id] for id in ids_of(dataset)) >= folds - 1 - most >= 1


def test_validation_sets_of_the_folds_overlap_no_more_than_they_must():
    dataset = dataset_of({"train": [50, 75]})
    groups = {id: index for index, id in enumerate(ids_of(dataset))}
    for fraction, sizes in ((0.2, [20] * 5), (0.3, [30] * 5)):
        splits = [
            make_split(
                dataset, groups=groups, kind="kfold", seed=0, fold=n, validation_fraction=fraction
            )
            for n in range(5)
        ]
        assert [len(split.val) for split in splits] == sizes
        times = Counter(id for split in splits for id in split.val)
        # 5 · 20 of 125 images need no overlap; of 5 · 30, 25 are validated twice
        expected = {1: 100} if fraction == 0.2 else {1: 100, 2: 25}
        assert Counter(times.values()) == expected
        assert sum(len(split.train) for split in splits) == 5 * 100 - sum(sizes)


@given(data=grouped_data(largest=4), seed=SEEDS, kind=st.sampled_from(["deduplicated", "grouped"]))
def test_the_same_seed_gives_the_same_split_in_whatever_order_the_groups_are(data, seed, kind):
    dataset, groups = data
    split = split_or_reject(dataset, groups, kind=kind, seed=seed)
    backwards = {id: 1000 - groups[id] for id in reversed(groups)}
    assert split_or_reject(dataset, backwards, kind=kind, seed=seed) == split


def pairs_of(dataset: ImageDataset) -> Groups:
    """Neighbours by id are duplicates: of 25 images in each class, 12 pairs and one alone."""
    return {id: index // 2 for index, id in enumerate(ids_of(dataset))}


def shares(split: Split, part: str) -> list[float]:
    """Of each class the share of its images that lies in a part."""
    everything = Counter(id.split("/")[1] for id in split.train + split.val + split.test)
    drawn = Counter(id.split("/")[1] for id in split.ids(part))
    return [drawn[label] / everything[label] for label in sorted(everything)]


@pytest.fixture
def paired() -> tuple[ImageDataset, Groups]:
    """80, 120 and 200 training images, a quarter as many for testing, all in pairs."""
    dataset = dataset_of({"train": [80, 120, 200], "test": [20, 30, 50]})
    return dataset, pairs_of(dataset)


@pytest.mark.parametrize(
    "keywords",
    [{"kind": "grouped", "seed": seed} for seed in range(5)]
    + [{"kind": "kfold", "seed": 0, "folds": 5, "fold": fold} for fold in range(5)],
)
def test_splits_have_the_class_shares_of_the_source(paired, keywords):
    dataset, groups = paired
    split = make_split(dataset, groups=groups, **keywords)
    assert shares(split, "test") == [0.2] * 3  # 100, 150 and 250 images, of which a fifth is even
    assert shares(split, "val") == [0.16] * 3  # a fifth of the rest
    folder = Counter(id.split("/")[0] for id in split.test)
    assert folder["train"] > folder["test"] > 0  # all images were divided anew


def test_deduplicated_meets_the_validation_fraction(paired):
    dataset, groups = paired
    split = make_split(dataset, groups=groups, kind="deduplicated", seed=0)
    counts = Counter(id.split("/")[1] for id in split.val)
    assert counts == {"0": 16, "1": 24, "2": 40}


@pytest.mark.parametrize("kind", ["deduplicated", "grouped", "kfold"])
def test_another_seed_gives_another_split(paired, kind):
    dataset, groups = paired
    one, other = (make_split(dataset, groups=groups, kind=kind, seed=seed) for seed in (0, 1))
    assert one.val != other.val
    if kind != "deduplicated":
        assert set(one.test) != set(other.test)


def test_without_duplicates_deduplicated_is_official(paired):
    dataset, _ = paired
    alone = {id: index for index, id in enumerate(ids_of(dataset))}
    official = make_split(dataset, seed=4)
    deduplicated = make_split(dataset, groups=alone, kind="deduplicated", seed=4)
    for part in ("train", "val", "test"):
        assert deduplicated.ids(part) == official.ids(part)


def test_the_source_s_own_validation_counts_as_seen():
    dataset = dataset_of({"train": [4], "val": [2], "test": [3]})
    groups = {id: index for index, id in enumerate(ids_of(dataset))}
    groups["test/0/0.png"] = groups["val/0/1.png"]
    groups["test/0/1.png"] = groups["train/0/3.png"]
    split = make_split(dataset, groups=groups, kind="deduplicated", seed=0)
    assert split.val == dataset.ids("val")
    assert split.apart == ("test/0/0.png", "test/0/1.png")
    assert split.test == ("test/0/2.png",)


def test_duplicates_of_training_images_are_left_out_of_the_validation_folder():
    dataset = dataset_of({"train": [4], "val": [3], "test": [3]})
    groups = {id: index for index, id in enumerate(ids_of(dataset))}
    groups["val/0/1.png"] = groups["train/0/2.png"]
    groups["test/0/0.png"] = groups["train/0/2.png"]
    split = make_split(dataset, groups=groups, kind="deduplicated", seed=0)
    assert split.train == dataset.ids("train")
    assert split.val == ("val/0/0.png", "val/0/2.png")
    assert split.apart == ("test/0/0.png",)
    assert make_split(dataset, groups=groups, seed=0).val == dataset.ids("val")


def test_a_validation_folder_of_duplicates_alone_is_refused():
    dataset = dataset_of({"train": [4], "val": [2], "test": [3]})
    groups = {id: index for index, id in enumerate(ids_of(dataset))}
    groups |= {f"val/0/{index}.png": groups[f"train/0/{index}.png"] for index in range(2)}
    with pytest.raises(UserError, match=r"every validation image .*split=grouped"):
        make_split(dataset, groups=groups, kind="deduplicated", seed=0)


def test_groups_are_not_looked_at_where_they_are_not_asked_for(paired):
    dataset, groups = paired
    split = make_split(dataset, groups=groups, audit="the audit", seed=0)
    assert split == make_split(dataset, seed=0)
    assert split.audit is None


@pytest.mark.parametrize(
    ("keywords", "name"),
    [
        ({}, "official, seed 7"),
        ({"kind": "grouped"}, "grouped, seed 7"),
        ({"kind": "kfold", "folds": 4, "fold": 1}, "kfold 1 of 4, seed 7"),
    ],
)
def test_a_split_is_described_saved_and_loaded(paired, tmp_path, keywords, name):
    dataset, groups = paired
    split = make_split(dataset, groups=groups, audit="the audit", seed=7, **keywords)
    assert split.describe() == name
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json", dataset) == split


def test_images_set_apart_are_saved_and_loaded(tmp_path):
    dataset = dataset_of({"train": [6], "test": [2]})
    groups = {id: index for index, id in enumerate(ids_of(dataset))}
    groups["test/0/0.png"] = groups["train/0/0.png"]
    split = make_split(dataset, groups=groups, kind="deduplicated", seed=0)
    assert split.apart == ("test/0/0.png",)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split


SMALL = {"train": [6, 6], "test": [2, 2]}


@pytest.mark.parametrize(
    ("counts", "grouping", "keywords", "complaint"),
    [
        (SMALL, "alone", {"kind": "kfold", "folds": 1}, "fold is 0 of 1 folds"),
        (SMALL, "alone", {"kind": "kfold", "folds": 3, "fold": 3}, "fold is 3 of 3 folds"),
        (SMALL, "alone", {"kind": "kfold", "folds": 3, "fold": -1}, "fold is -1 of 3 folds"),
        (SMALL, "alone", {"kind": "kfold", "folds": 9}, "class a of somewhere has 8 groups.*9 fo"),
        (
            SMALL,
            "alone",
            {"kind": "kfold", "folds": 3, "validation_fraction": 0.6},
            r"no training set of the 3 folds; give at most 0\.5",
        ),
        (SMALL, "by class", {"kind": "grouped"}, "single training group of duplicates"),
        (SMALL, "by class", {"kind": "deduplicated"}, "single training group of duplicates"),
        (SMALL, "by class", {"kind": "kfold", "folds": 2}, "has 1 groups of duplicates, fewer"),
        (SMALL, "by number", {"kind": "deduplicated"}, "every test image .*split=grouped"),
        ({"train": [6], "test": [0]}, "alone", {"kind": "grouped"}, "split=kfold"),
        ({"train": [6], "test": [0]}, "alone", {"kind": "deduplicated"}, "for the test split"),
    ],
)
def test_impossible_splits_are_refused(counts, grouping, keywords, complaint):
    dataset = dataset_of(counts)
    groups = {
        "alone": {id: index for index, id in enumerate(ids_of(dataset))},
        "by class": {id: int(id.split("/")[1]) for id in ids_of(dataset)},
        "by number": {id: int(id[-5]) for id in ids_of(dataset)},
    }[grouping]
    with pytest.raises(UserError, match=complaint) as caught:
        make_split(dataset, groups=groups, seed=0, **keywords)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["deduplicated", "grouped", "kfold"])
def test_splits_that_need_groups_ask_for_them(kind):
    with pytest.raises(ValueError, match=f"the {kind} split needs groups"):
        make_split(dataset_of(SMALL), kind=kind, seed=0)


def test_data_without_a_test_folder_can_be_dealt_into_folds():
    dataset = dataset_of({"train": [12, 12]})
    groups = pairs_of(dataset)
    split = make_split(dataset, groups=groups, kind="kfold", folds=3, fold=2, seed=0)
    assert len(split.test) == 8


@given(data=grouped_data(largest=4), seed=SEEDS, share=st.floats(0.05, 1))
def test_labels_are_drawn_in_whole_groups_and_of_every_class(data, seed, share):
    dataset, groups = data
    split = split_or_reject(dataset, groups, kind="grouped", seed=seed, labelled_share=share)
    labelled, unlabelled = set(split.train_labelled), set(split.train) - set(split.train_labelled)
    assert labelled <= set(split.train)
    assert not of_groups(tuple(labelled), groups) & of_groups(tuple(unlabelled), groups)

    def classes(ids) -> set[str]:
        return {id.split("/")[1] for id in ids}

    assert classes(labelled) == classes(split.train)
