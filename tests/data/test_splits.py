from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakd_jax.data.splits import Split, kind_for, make_split
from fakd_jax.errors import UserError
from tests.data.listed import dataset_of


def labels(ids: tuple[str, ...]) -> Counter[str]:
    return Counter(id.split("/")[1] for id in ids)


@given(
    numbers=st.lists(st.integers(2, 60), min_size=1, max_size=5),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
)
def test_the_official_split_is_stratified_disjoint_and_repeatable(numbers, fraction, seed):
    dataset = dataset_of({"train": numbers, "test": [1] * len(numbers)})
    split = make_split(dataset, validation_fraction=fraction, seed=seed)
    assert sorted(split.train + split.val) == list(dataset.ids("train"))
    assert not set(split.train) & set(split.val)
    assert split.test == dataset.ids("test")
    for label, number in enumerate(numbers):
        drawn = labels(split.val)[str(label)]
        assert drawn == min(max(math.floor(fraction * number + 0.5), 1), number - 1)
        assert abs(drawn - fraction * number) <= 1
    assert list(split.train) == sorted(split.train)
    assert list(split.val) == sorted(split.val)
    assert make_split(dataset, validation_fraction=fraction, seed=seed) == split


def test_another_seed_draws_others_and_the_drawing_never_changes():
    dataset = dataset_of({"train": [50, 50], "test": [5, 5]})
    first, second = make_split(dataset, seed=0), make_split(dataset, seed=1)
    assert set(first.val) != set(second.val)
    # written down once: a split must be the same on every machine and in every version
    assert first.val[:4] == ("train/0/15.png", "train/0/19.png", "train/0/3.png", "train/0/37.png")


def test_the_source_s_own_validation_folder_is_used():
    dataset = dataset_of({"train": [5, 5], "val": [2, 1], "test": [1, 1]})
    split = make_split(dataset, seed=3)
    assert split.train == dataset.ids("train")
    assert split.val == dataset.ids("val")
    assert split.validation_fraction is None


@pytest.mark.parametrize(
    ("counts", "keywords", "complaint"),
    [
        ({"train": [4], "test": [1]}, {"kind": "random"}, "'random'; use official"),
        ({"train": [4], "test": [1]}, {"validation_fraction": 0.0}, "between 0 and 1"),
        ({"train": [4], "test": [1]}, {"validation_fraction": 1.0}, "between 0 and 1"),
        ({"train": [4, 1], "test": [1, 1]}, {}, "class b of somewhere has a single"),
        ({"train": [0], "test": [1]}, {}, "no images for the train split"),
        ({"train": [4], "test": [0]}, {}, "no images for the test split"),
    ],
)
def test_impossible_splits_are_refused(counts, keywords, complaint):
    with pytest.raises(UserError, match=complaint):
        make_split(dataset_of(counts), seed=0, **keywords)


def test_a_split_is_saved_and_loaded(tmp_path):
    dataset = dataset_of({"train": [10, 8], "test": [3, 3]})
    split = make_split(dataset, seed=5)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
    assert Split.load(tmp_path / "split.json", dataset) == split
    assert split.ids("val") == split.val
    with pytest.raises(UserError, match="no split 'all'"):
        split.ids("all")


def test_a_split_of_other_data_is_refused(tmp_path):
    make_split(dataset_of({"train": [4], "test": [1]}), seed=0).save(tmp_path / "split.json")
    other = dataset_of({"train": [4], "test": [1]}, fingerprint="e" * 64)
    with pytest.raises(UserError, match=r"belongs to other data \(fingerprint f{12}\)"):
        Split.load(tmp_path / "split.json", other)


@pytest.mark.parametrize("change", ["{", "[]", "version", "missing", "extra"])
def test_a_file_that_is_no_split_is_refused(tmp_path, change):
    path = tmp_path / "split.json"
    make_split(dataset_of({"train": [4], "test": [1]}), seed=0).save(path)
    values = json.loads(path.read_text())
    if change == "version":
        values["format_version"] = 0
    elif change == "missing":
        del values["val"]
    elif change == "extra":
        values["new"] = 1
    path.write_text(change if change in ("{", "[]") else json.dumps(values))
    with pytest.raises(UserError, match="not a split of this version"):
        Split.load(path)


def test_a_missing_or_unwritable_file_is_reported(tmp_path):
    with pytest.raises(UserError, match="no split file"):
        Split.load(tmp_path / "split.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        make_split(dataset_of({"train": [4], "test": [1]}), seed=0).save(tmp_path / "file" / "s")


def test_a_split_of_the_first_version_is_still_read(tmp_path):
    path = tmp_path / "split.json"
    values = {
        "format_version": 1,
        "train": ["train/0/0.png"],
        "val": ["train/0/1.png"],
        "test": ["test/0/0.png"],
        "kind": "official",
        "seed": 3,
        "validation_fraction": 0.2,
        "fingerprint": "f" * 64,
    }
    path.write_text(json.dumps(values))
    assert Split.load(path) == Split(
        train=("train/0/0.png",),
        val=("train/0/1.png",),
        test=("test/0/0.png",),
        kind="official",
        seed=3,
        validation_fraction=0.2,
        fingerprint="f" * 64,
        apart=(),
        audit=None,
        folds=None,
        fold=None,
    )


@given(
    numbers=st.lists(st.integers(2, 60), min_size=1, max_size=5),
    shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    seed=st.integers(0, 2**32),
)
def test_a_share_of_the_labels_is_stratified_nested_and_changes_nothing_else(numbers, shares, seed):
    dataset = dataset_of({"train": numbers, "test": [1] * len(numbers)})
    whole = make_split(dataset, seed=seed)
    fewer, more = (make_split(dataset, seed=seed, labelled_share=share) for share in sorted(shares))
    assert set(fewer.train_labelled) <= set(more.train_labelled) <= set(whole.train)
    assert whole.train_labelled == whole.train
    for split, share in zip((fewer, more), sorted(shares), strict=True):
        assert dataclasses.replace(split, labelled=None) == whole
        assert split.only_labelled().train == split.train_labelled
        known, every = labels(split.train_labelled), labels(split.train)
        for label, number in every.items():
            assert known[label] == max(math.floor(share * number + 0.5), 1)


def test_the_labelled_images_are_stored_and_a_file_without_them_is_as_it_was(tmp_path):
    dataset = dataset_of({"train": [20, 20], "test": [3, 3]})
    path = tmp_path / "split.json"
    make_split(dataset, seed=5).save(path)
    assert "labelled" not in json.loads(path.read_text())
    split = make_split(dataset, seed=5, labelled_share=0.25)
    split.save(path)
    assert Split.load(path, dataset) == split
    assert split.describe() != make_split(dataset, seed=5).describe()
    values = json.loads(path.read_text())
    assert values["labelled"] == list(split.labelled)
    assert len(split.labelled) == 8
    for wrong in ([], [split.val[0]], "all"):
        path.write_text(json.dumps(values | {"labelled": wrong}))
        with pytest.raises(UserError, match="not a split of this version"):
            Split.load(path)


def test_labelled_images_are_found_again_in_data_that_lack_some():
    dataset = dataset_of({"train": [20, 20], "test": [3, 3]})
    split = make_split(dataset, seed=5, labelled_share=0.25)
    other = dataset_of({"train": [20, 20], "test": [3, 3]}, fingerprint="e" * 64)
    other.examples = tuple(one for one in other.examples if one.id != split.labelled[0])
    assert split.found_in(other).labelled == split.labelled[1:]


@pytest.mark.parametrize("share", [0.0, -0.5, 1.01, math.nan])
def test_a_share_of_labels_out_of_range_is_refused(share):
    with pytest.raises(UserError, match="labelled_share"):
        make_split(dataset_of({"train": [4], "test": [1]}), seed=0, labelled_share=share)


@pytest.mark.parametrize("kind", ["official", "grouped"])
def test_images_of_one_file_stay_together(kind):
    dataset = dataset_of({"train": [40, 40], "test": [8, 8]})
    examples = [
        dataclasses.replace(each, id=f"{each.split}/{each.label}/{number // 8}.tif#{number % 8}")
        for number, each in enumerate(dataset.examples)
    ]
    dataset.examples = tuple(sorted(examples, key=lambda example: example.id))
    groups = None if kind == "official" else {each.id: i for i, each in enumerate(examples)}
    split = make_split(dataset, kind=kind, seed=0, groups=groups)
    parts = [{id.partition("#")[0] for id in part} for part in (split.train, split.val, split.test)]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert split.groups.keys() == {example.id for example in examples}


def test_data_without_splits_are_dealt_in_groups():
    dataset = dataset_of({"unsplit": [20, 10]})
    groups = {example.id: number // 2 for number, example in enumerate(dataset.examples)}
    assert [kind_for(kind, dataset) for kind in ("official", "grouped", "kfold")] == [
        "grouped",
        "grouped",
        "kfold",
    ]
    with pytest.raises(UserError, match="no test images to set apart"):
        kind_for("deduplicated", dataset)
    assert kind_for("official", dataset_of({"train": [2], "test": [2]})) == "official"
    split = make_split(dataset, kind="grouped", groups=groups, seed=0)
    labels = [dataset.examples[dataset.index_of(id)].label for id in split.test]
    assert (labels.count(0), labels.count(1)) == (4, 2)
    parts = [{groups[id] for id in part} for part in (split.train, split.val, split.test)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 15


def test_a_class_without_training_images_is_refused():
    dataset = dataset_of({"train": [9, 0], "test": [3, 9]})
    with pytest.raises(UserError, match=r"no training image of b; .*class_map=b="):
        make_split(dataset, seed=0)
    alone = {example.id: number for number, example in enumerate(dataset.examples)}
    assert len(make_split(dataset, kind="kfold", folds=3, groups=alone, seed=0).test) == 7
    lacking = dataset_of({"train": [9, 9], "test": [3, 0]})
    assert len(make_split(lacking, seed=0).test) == 3


def test_validation_of_an_official_split_heeds_given_groups_alone():
    dataset = dataset_of({"train": [40], "test": [4]})
    pairs = {example.id: number // 2 for number, example in enumerate(dataset.examples)}
    split = make_split(dataset, groups=pairs, given_groups="f", seed=0)
    assert not {pairs[id] for id in split.train} & {pairs[id] for id in split.val}
    assert split.given_groups == "f"
    assert make_split(dataset, groups=pairs, seed=0) == make_split(dataset, seed=0)
