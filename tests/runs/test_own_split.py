"""The split of a run in the data at hand: the same, changed, or other data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from fakd_jax.data.dataset import Example, ImageDataset
from fakd_jax.data.splits import make_split
from fakd_jax.errors import UserError
from fakd_jax.runs.files import SPLIT_FILE
from fakd_jax.runs.learnt_images import LearntImages
from fakd_jax.runs.own_split import choose_ids, own_split
from fakd_jax.runtime.hashing import sha256
from tests.data.listed import dataset_of

DATASET = dataset_of({"train": [10, 10], "test": [6, 6]})
GROUPS = {example.id: number for number, example in enumerate(DATASET.examples)}


def write_split(workdir: Path, kind: str = "official", **changes: Any) -> dict[str, Any]:
    """Writes the split of a run with these keys changed, and returns its content."""
    file = workdir / SPLIT_FILE
    make_split(DATASET, kind=kind, groups=GROUPS, seed=3, validation_fraction=0.4).save(file)
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps(content))
    return content


def other_data(examples: list[Example]) -> ImageDataset:
    dataset = dataset_of({"train": [0], "test": [0]}, fingerprint="e" * 64)
    dataset.examples = tuple(sorted(examples, key=lambda example: example.id))
    return dataset


def metadata_of(kind: str) -> dict[str, Any]:
    """The metadata of a checkpoint that knows its images."""
    split = make_split(DATASET, kind=kind, groups=GROUPS, seed=3)
    return {"data": {"split": kind}, "learnt_from": LearntImages.of_split(split).to_metadata()}


def new_example(name: str, split: str = "test") -> Example:
    return Example(f"{split}/0/{name}.png", 0, split, sha256(name)[:32])


def test_the_runs_own_test_split_is_followed(tmp_path: Path) -> None:
    test = DATASET.ids("test")[:4]
    stored = write_split(tmp_path, test=test)
    chosen = choose_ids(DATASET, "test", tmp_path, {})
    assert (chosen.ids, chosen.origin) == (test, "split.json (official, seed 3)")
    assert chosen.note == ""
    assert list(choose_ids(DATASET, "val", tmp_path, {}).ids) == stored["val"]
    write_split(tmp_path, test=[])
    with pytest.raises(UserError, match="has no images"):
        choose_ids(DATASET, "test", tmp_path, {})


@pytest.mark.parametrize("kind", ["official", "kfold"])
@pytest.mark.parametrize("renamed", [False, True])
def test_changed_data_are_evaluated_on_the_same_images(
    tmp_path: Path, kind: str, renamed: bool
) -> None:
    stored = write_split(tmp_path, kind)
    gone = stored["test"][0]
    examples = [example for example in DATASET.examples if example.id != gone]
    examples += [new_example("new"), new_example("newer", "train")]
    if renamed:
        examples = [dataclasses.replace(example, id=f"x/{example.id}") for example in examples]
    dataset = other_data(examples)
    for part in ("train", "val", "test"):
        chosen = choose_ids(dataset, part, tmp_path, {})
        contents = {example.id: example.content for example in dataset.examples}
        expected = {stored["content"][id] for id in stored[part] if id != gone}
        assert [contents[id] for id in chosen.ids] == [contents[id] for id in sorted(chosen.ids)]
        assert {contents[id] for id in chosen.ids} == expected
        missing = int(part == "test")
        assert f"of its {len(stored[part])} {part} images" in chosen.note
        assert f"{missing} are missing; 2 images of the data are in no part" in chosen.note


def test_equal_images_are_paired_one_to_one(tmp_path: Path) -> None:
    """A source with an exact copy of a test image in its training folder keeps both apart."""
    write_split(tmp_path)
    copy = DATASET.examples[DATASET.index_of("train/0/0.png")].content
    copied = dataset_of({"train": [10, 10], "test": [6, 6]})
    copied.examples = tuple(
        dataclasses.replace(example, content=copy) if example.id == "test/1/2.png" else example
        for example in copied.examples
    )
    split = make_split(copied, seed=3)
    split.save(tmp_path / SPLIT_FILE)
    dataset = other_data(list(copied.examples)[1:])
    own = own_split(dataset, tmp_path)
    assert own is not None
    assert own.found.test == split.test[1:]
    assert (own.found.train, own.found.val) == (split.train, split.val)


@pytest.mark.parametrize(
    ("other_data_stored", "reason"), [(False, r"no split\.json"), (True, "belongs to other data")]
)
def test_without_a_split_of_the_data_only_their_test_images_are_known(
    tmp_path: Path, other_data_stored: bool, reason: str
) -> None:
    dataset = other_data(
        [new_example(name, split) for name in "abc" for split in ("train", "test")]
    )
    if other_data_stored:
        write_split(tmp_path)
    chosen = choose_ids(dataset, "test", tmp_path, {})
    assert (chosen.ids, chosen.origin) == (dataset.ids("test"), "the data itself")
    with pytest.raises(UserError, match=reason):
        choose_ids(dataset, "val", tmp_path, {})


def test_of_other_data_the_images_that_the_network_learnt_from_are_left_out(tmp_path: Path) -> None:
    stored = write_split(tmp_path, "kfold")
    seen = [DATASET.examples[DATASET.index_of(id)] for id in stored["train"][:3]]
    seen = [dataclasses.replace(example, split="test") for example in seen]
    dataset = other_data([*seen, new_example("a"), new_example("b")])
    for workdir, metadata in ((tmp_path, {}), (None, metadata_of("kfold"))):
        chosen = choose_ids(dataset, "test", workdir, metadata)
        assert len(chosen.ids) == 2
        assert chosen.apart == tuple(sorted(example.id for example in seen))
        assert "3 of the 5 test images" in chosen.note
        assert "left out" in chosen.note
        with pytest.raises(UserError, match=r"3 of the 3 test images .* pixel for pixel"):
            choose_ids(other_data(seen), "test", workdir, metadata)
    assert len(choose_ids(other_data([new_example("a")]), "test", tmp_path, {}).ids) == 1


def test_a_copied_checkpoint_of_the_official_split_notes_what_the_source_itself_repeats() -> None:
    assert choose_ids(DATASET, "test", None, metadata_of("official")).note == ""
    repeated = dataclasses.replace(DATASET.examples[-1], id="test/1/copy.png", split="test")
    dataset = other_data([*DATASET.examples, repeated])
    assert "1 of the 13 test" in choose_ids(dataset, "test", None, metadata_of("official")).note


def test_where_an_earlier_version_kept_no_content_evaluation_is_refused_rather_than_guessed(
    tmp_path: Path,
) -> None:
    write_split(tmp_path, "kfold", content={}, fingerprint="0" * 64)
    with pytest.raises(UserError, match="have the names of images"):
        choose_ids(DATASET, "test", tmp_path, {})
    with pytest.raises(UserError, match=r"its run \(kfold\) drew its own"):
        choose_ids(DATASET, "test", None, {"data": {"split": "kfold"}})
    assert choose_ids(DATASET, "test", None, {"data": {"split": "official"}}).note == ""


def test_of_other_data_without_splits_all_images_are_taken(tmp_path: Path) -> None:
    write_split(tmp_path)
    dataset = other_data([new_example(name, "unsplit") for name in "abc"])
    chosen = choose_ids(dataset, "test", tmp_path, {})
    assert chosen.ids == tuple(example.id for example in dataset.examples)
    assert "no splits: all of its 3 images are taken" in chosen.note
    with pytest.raises(UserError, match="only the run that chose the val images"):
        choose_ids(dataset, "val", tmp_path, {})
    seen = DATASET.examples[DATASET.index_of(make_split(DATASET, seed=3).train[0])].content
    mixed = [*dataset.examples, dataclasses.replace(new_example("d", "unsplit"), content=seen)]
    for kind in ("official", "grouped"):
        chosen = choose_ids(other_data(mixed), "test", None, metadata_of(kind))
        assert (len(chosen.ids), len(chosen.apart)) == (3, 1)
        what = "1 of the 4 test images of somewhere are images that the network has learnt"
        assert what in chosen.note


def test_other_data_without_test_images_are_refused_with_what_helps(tmp_path: Path) -> None:
    dataset = other_data([new_example("a", "train")])
    with pytest.raises(UserError, match="give a folder of classes alone"):
        choose_ids(dataset, "test", None, {})
