"""A given teacher must not have seen its student's test images."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import pytest

from fakd_jax.data.dataset import Example
from fakd_jax.data.splits import make_split
from fakd_jax.errors import UserError
from fakd_jax.experiment.teacher_checks import learnt_images, require_unseen, teacher_checkpoint
from fakd_jax.runs.learnt_images import LearntImages
from fakd_jax.runtime.hashing import sha256
from fakd_jax.training.metric_log import LOGGER
from tests.data.listed import dataset_of
from tests.tiny import tiny_config

DATASET = dataset_of({"train": [20, 20], "test": [5, 5]})
IDS = [example.id for example in DATASET.examples]
PAIRS = {id: index // 2 for index, id in enumerate(IDS)}


@pytest.fixture
def log(caplog, monkeypatch):
    """The log, even if an earlier test has called logging_to."""
    monkeypatch.setattr(LOGGER, "propagate", True)
    caplog.set_level(logging.INFO, LOGGER.name)
    return caplog


def split_of(kind="official", **keywords):
    return make_split(DATASET, groups=PAIRS, audit="a", kind=kind, **{"seed": 0} | keywords)


def teacher_of(workdir, split):
    """Path of the teacher's checkpoint in a workdir with this split."""
    split.save(workdir / "split.json")
    return workdir / "teacher" / "best" / "8"


learnt = LearntImages.of_split


def check(checkpoint, split, *, metadata=None, dataset=DATASET):
    return require_unseen("the teacher", checkpoint, metadata or {}, dataset, split)


@pytest.mark.parametrize(
    "keywords",
    [{}, {"kind": "deduplicated"}, {"kind": "grouped"}, {"kind": "kfold", "fold": 1, "seed": 3}],
)
def test_a_teacher_of_the_same_split_passes(tmp_path, log, keywords):
    checkpoint = teacher_of(tmp_path, split_of(**keywords))
    check(checkpoint, split_of(**keywords))
    assert not log.messages


@pytest.mark.parametrize(
    ("teachers", "students"),
    [
        ({}, {"kind": "grouped"}),
        ({}, {"kind": "kfold"}),
        ({"kind": "grouped"}, {}),
        ({"kind": "grouped"}, {"kind": "grouped", "seed": 1}),
        ({"kind": "kfold", "fold": 0}, {"kind": "kfold", "fold": 1}),
        ({"kind": "kfold", "folds": 4}, {"kind": "kfold", "folds": 5}),
    ],
)
def test_a_teacher_that_saw_test_images_is_refused_with_their_number(tmp_path, teachers, students):
    taught, split = split_of(**teachers), split_of(**students)
    number = len(set(split.test) & set(taught.train + taught.val))
    assert number
    with pytest.raises(UserError, match=rf"from {number} of the {len(split.test)} test") as error:
        check(teacher_of(tmp_path, taught), split)
    assert "\n" not in str(error.value)


def test_validation_images_that_a_teacher_was_trained_on_are_logged(tmp_path, log):
    taught, split = split_of(), split_of(seed=2)
    number = len(set(split.val) & set(taught.train))
    assert 0 < number < 8
    check(teacher_of(tmp_path, taught), split)
    (message,) = log.messages
    assert f"was trained on {number} of the 8 validation images" in message


def test_an_image_that_chose_the_teachers_epoch_counts_as_seen(tmp_path):
    split = split_of()
    moved = split.test[0]
    taught = dataclasses.replace(split, val=(*split.val, moved), test=split.test[1:])
    with pytest.raises(UserError, match="from 1 of the 10 test images"):
        check(teacher_of(tmp_path, taught), split)


def test_validation_images_may_be_shared(tmp_path):
    """Teacher and student may choose their epochs by the same images, and train on fewer."""
    split = split_of()
    taught = dataclasses.replace(split, train=split.train[1:])
    check(teacher_of(tmp_path, taught), split)


@pytest.fixture
def copied():
    """A split that keeps pairs together, and a teacher's that has one of a pair in training."""
    split = split_of("grouped")
    tested, copy = next(
        pair
        for pair in zip(split.test, split.test[1:], strict=False)
        if PAIRS[pair[0]] == PAIRS[pair[1]]
    )
    student = dataclasses.replace(split, test=tuple(id for id in split.test if id != copy))
    teacher = dataclasses.replace(student, train=(*split.train, copy))
    assert tested in student.test
    return teacher, student


def test_a_duplicate_counts_as_the_image_if_the_split_keeps_duplicates_together(tmp_path, copied):
    teacher, student = copied
    with pytest.raises(UserError, match=r"from 1 of the .*their groups included"):
        check(teacher_of(tmp_path, teacher), student)
    official = dataclasses.replace(student, kind="official", audit=None, groups={})
    check(teacher_of(tmp_path, teacher), official)


def changed(*, added=0, removed=0, renamed=False):
    """The data with images added, removed or renamed, and hence with another fingerprint."""
    dataset = dataset_of({"train": [20, 20], "test": [5, 5]}, fingerprint="c" * 64)
    examples = list(dataset.examples)[removed:]
    new = (f"train/0/new{number}.png" for number in range(added))
    examples += [Example(id, 0, "train", sha256(id)[:32]) for id in new]
    if renamed:
        examples = [dataclasses.replace(example, id=f"x/{example.id}") for example in examples]
    dataset.examples = tuple(sorted(examples, key=lambda example: example.id))
    return dataset


@pytest.mark.parametrize("known_by", ["split.json", "metadata"])
@pytest.mark.parametrize(
    "change", [{}, {"added": 1}, {"removed": 1}, {"renamed": True}, {"added": 2, "renamed": True}]
)
def test_a_teacher_of_another_fold_is_refused_whatever_the_data_is_called(
    tmp_path, change, known_by
):
    taught, dataset = split_of("kfold", fold=0), changed(**change)
    alone = {example.id: number for number, example in enumerate(dataset.examples)}
    split = make_split(dataset, groups=alone, kind="kfold", fold=1, seed=0)
    seen = {taught.content[id] for id in (*taught.train, *taught.val)}
    number = sum(split.content[id] in seen for id in split.test)
    assert number > 1
    checkpoint, metadata = tmp_path / "copied", {"learnt_from": learnt(taught).to_metadata()}
    if known_by == "split.json":
        checkpoint, metadata = teacher_of(tmp_path, taught), {}
    with pytest.raises(UserError, match=rf"from {number} of the {len(split.test)} test"):
        check(checkpoint, split, metadata=metadata, dataset=dataset)


def test_copies_that_the_run_itself_trains_on_do_not_count(tmp_path):
    dataset = changed()
    copied = dataset.examples[dataset.index_of("train/0/3.png")].content
    dataset.examples = tuple(
        dataclasses.replace(example, content=copied) if example.id == "test/0/1.png" else example
        for example in dataset.examples
    )
    split = make_split(dataset, seed=0)
    metadata = {"learnt_from": learnt(make_split(dataset, seed=0)).to_metadata()}
    check(tmp_path, split, metadata=metadata, dataset=dataset)
    without = dataclasses.replace(
        split, **{part: _without(split.ids(part), "train/0/3.png") for part in ("train", "val")}
    )
    with pytest.raises(UserError, match="from 1 of the 10 test images"):
        check(tmp_path, without, metadata=metadata, dataset=dataset)


def _without(ids, id):
    return tuple(other for other in ids if other != id)


def test_what_a_teachers_own_teacher_has_seen_counts_too(tmp_path, log):
    first, second = split_of("kfold", fold=0), split_of("kfold", fold=1)
    both = learnt(first).derived_from(learnt(second))
    assert both == LearntImages.from_metadata({"learnt_from": both.to_metadata()})
    metadata = {"learnt_from": both.to_metadata()}
    with pytest.raises(UserError, match="from 10 of the 10 test images"):
        check(tmp_path, first, metadata=metadata)
    unknown = learnt(first).derived_from(None)
    check(tmp_path, first, metadata={"learnt_from": unknown.to_metadata()})
    assert "or a network that it was derived from, was trained on" in log.messages[0]


@pytest.mark.parametrize("stored", [{}, [], {"train": "ab", "val": "", "complete": True}])
def test_damaged_metadata_are_refused(tmp_path, stored):
    with pytest.raises(UserError, match="learnt_from is damaged"):
        check(tmp_path, split_of(), metadata={"learnt_from": stored})


def test_a_workdir_stands_for_its_teacher_and_never_for_its_student(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in ("both/teacher/best/7", "both/student/best/9", "alone/student/best/9"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "metadata.json").write_text("{}")
    assert teacher_checkpoint(Path("~/both")).parts[-3:] == ("teacher", "best", "7")
    with pytest.raises(UserError, match="has no teacher, only a student"):
        teacher_checkpoint(Path("~/alone"))


@pytest.mark.parametrize("pretrained", ["", "none", "imagenet"])
def test_a_folder_called_as_initial_weights_are_is_none(tmp_path, monkeypatch, pretrained):
    monkeypatch.chdir(tmp_path)
    Path(pretrained).mkdir(exist_ok=True)
    config = tiny_config("student", tmp_path, tmp_path, **{"student.pretrained": pretrained})
    assert learnt_images(config, DATASET, split_of()) == dict.fromkeys(
        ("teacher", "student"), learnt(split_of())
    )


def test_a_teachers_own_run_does_not_look_at_a_given_teacher(tmp_path):
    split, weights = split_of(), tmp_path / "weights"
    weights.mkdir()
    other = learnt(split_of("kfold", fold=1)).to_metadata()
    metadata = {"arch": "none", "num_classes": 2, "format_version": 1, "learnt_from": other}
    (weights / "metadata.json").write_text(json.dumps(metadata | {"config": {"name": "kd"}}))
    config = tiny_config("teacher", tmp_path, tmp_path, **{"teacher.checkpoint": "nowhere"})
    assert learnt_images(config, DATASET, split)["teacher"] == learnt(split)
    teacher = dataclasses.replace(config.teacher, pretrained=str(weights))
    with pytest.raises(UserError, match=r"config\.teacher\.pretrained .* has learnt from"):
        learnt_images(dataclasses.replace(config, teacher=teacher), DATASET, split)


@pytest.mark.parametrize(
    "case", ["no split.json", "other data of an earlier version", "no workdir"]
)
def test_a_teacher_whose_images_are_unknown_is_logged(tmp_path, log, case):
    checkpoint = teacher_of(tmp_path, split_of())
    if case == "no split.json":
        (tmp_path / "split.json").unlink()
    elif case.startswith("other data"):
        earlier = dataclasses.replace(split_of(), fingerprint="e" * 64, content={})
        earlier.save(tmp_path / "split.json")
    else:
        checkpoint = tmp_path / "converted"
    check(checkpoint, split_of("grouped"))
    (message,) = log.messages
    assert str(checkpoint) in message
    assert "cannot be known" in message


@pytest.mark.parametrize("name", ["teacher", "student", "kd"])
def test_a_phase_has_learnt_from_the_images_it_was_trained_on(tmp_path, name):
    split = split_of(labelled_share=0.25)
    config = tiny_config(name, tmp_path, tmp_path)
    found = learnt_images(config, DATASET, split)
    few = learnt(split.only_labelled())
    assert len(few.train) == 8
    assert few.val == learnt(split).val
    assert found["teacher"] == few
    if name != "teacher":
        assert found["student"] == (learnt(split) if name == "kd" else few)


def test_a_teacher_that_knows_more_labels_is_logged_and_one_of_the_same_share_is_not(tmp_path, log):
    split = split_of(labelled_share=0.25)

    def distil_from(taught):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        metadata = {"arch": "none", "num_classes": 2, "format_version": 1}
        metadata["learnt_from"] = learnt(taught).to_metadata()
        (folder / "metadata.json").write_text(json.dumps(metadata))
        config = tiny_config("kd", tmp_path, tmp_path, **{"teacher.checkpoint": str(folder)})
        log.clear()
        return learnt_images(config, DATASET, split)

    assert distil_from(split.only_labelled())["student"] == learnt(split)
    assert not log.messages
    distil_from(split_of())
    (message,) = log.messages
    assert "24 of the 24" in message
    assert "labelled_share" in message
