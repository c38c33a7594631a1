"""A given teacher must not have seen its student's test images."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import pytest

from fakd_jax.audit.record import METHOD, Audit
from fakd_jax.data.splits import make_split
from fakd_jax.errors import UserError
from fakd_jax.experiment.teacher_checks import require_unseen, teacher_checkpoint
from fakd_jax.training.metric_log import LOGGER
from tests.data.listed import dataset_of

DATASET = dataset_of({"train": [20, 20], "test": [5, 5]})
IDS = [example.id for example in DATASET.examples]
PAIRS = {id: index // 2 for index, id in enumerate(IDS)}
AUDIT = Audit(DATASET.fingerprint, (), (), PAIRS)


@pytest.fixture
def log(caplog, monkeypatch):
    """The log, even if an earlier test has called logging_to."""
    monkeypatch.setattr(LOGGER, "propagate", True)
    caplog.set_level(logging.INFO, LOGGER.name)
    return caplog


def split_of(kind="official", **keywords):
    return make_split(
        DATASET, groups=PAIRS, audit=AUDIT.fingerprint, kind=kind, **{"seed": 0} | keywords
    )


def teacher_of(workdir, split):
    """Path of the teacher's checkpoint in a workdir with this split."""
    split.save(workdir / "split.json")
    return workdir / "teacher" / "best" / "8"


def keep_audit(cache, audit=AUDIT):
    folder = cache / "audits"
    folder.mkdir()
    name = f"{DATASET.fingerprint[:32]}-{METHOD}.json"
    (folder / name).write_text(json.dumps(dataclasses.asdict(audit) | {"copies": []}))


@pytest.mark.parametrize(
    "keywords",
    [{}, {"kind": "deduplicated"}, {"kind": "grouped"}, {"kind": "kfold", "fold": 1, "seed": 3}],
)
def test_a_teacher_of_the_same_split_passes(tmp_path, log, keywords):
    keep_audit(tmp_path)
    checkpoint = teacher_of(tmp_path, split_of(**keywords))
    require_unseen(checkpoint, DATASET, split_of(**keywords), tmp_path)
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
        require_unseen(teacher_of(tmp_path, taught), DATASET, split, tmp_path)
    assert "\n" not in str(error.value)


def test_validation_images_that_a_teacher_was_trained_on_are_logged(tmp_path, log):
    taught, split = split_of(), split_of(seed=2)
    number = len(set(split.val) & set(taught.train))
    assert 0 < number < 8
    require_unseen(teacher_of(tmp_path, taught), DATASET, split, tmp_path)
    (message,) = log.messages
    assert f"was trained on {number} of the 8 validation images" in message


def test_an_image_that_chose_the_teachers_epoch_counts_as_seen(tmp_path):
    split = split_of()
    moved = split.test[0]
    taught = dataclasses.replace(split, val=(*split.val, moved), test=split.test[1:])
    with pytest.raises(UserError, match="from 1 of the 10 test images"):
        require_unseen(teacher_of(tmp_path, taught), DATASET, split, tmp_path)


def test_validation_images_may_be_shared(tmp_path):
    """Teacher and student may choose their epochs by the same images, and train on fewer."""
    split = split_of()
    taught = dataclasses.replace(split, train=split.train[1:])
    require_unseen(teacher_of(tmp_path, taught), DATASET, split, tmp_path)


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
    keep_audit(tmp_path)
    teacher, student = copied
    with pytest.raises(UserError, match=r"from 1 of the .*duplicates included"):
        require_unseen(teacher_of(tmp_path, teacher), DATASET, student, tmp_path)


@pytest.mark.parametrize("case", ["official", "no audit", "another audit"])
def test_duplicates_do_not_count_without_the_groups_of_the_split(tmp_path, copied, case):
    teacher, student = copied
    if case == "official":
        student = dataclasses.replace(student, kind="official", audit=None)
    if case != "no audit":
        others = {id: number for number, id in enumerate(IDS)} if case == "another audit" else PAIRS
        keep_audit(tmp_path, dataclasses.replace(AUDIT, groups=others))
    require_unseen(teacher_of(tmp_path, teacher), DATASET, student, tmp_path)


def test_a_workdir_stands_for_its_teacher_and_never_for_its_student(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in ("both/teacher/best/7", "both/student/best/9", "alone/student/best/9"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "metadata.json").write_text("{}")
    assert teacher_checkpoint(Path("~/both")).parts[-3:] == ("teacher", "best", "7")
    with pytest.raises(UserError, match="has no teacher, only a student"):
        teacher_checkpoint(Path("~/alone"))


@pytest.mark.parametrize("case", ["no split.json", "other data", "no workdir"])
def test_a_teacher_whose_images_are_unknown_is_logged(tmp_path, log, case):
    checkpoint = teacher_of(tmp_path, split_of())
    if case == "no split.json":
        (tmp_path / "split.json").unlink()
    elif case == "other data":
        dataclasses.replace(split_of(), fingerprint="e" * 64).save(tmp_path / "split.json")
    else:
        checkpoint = tmp_path / "converted"
    require_unseen(checkpoint, DATASET, split_of("grouped"), tmp_path)
    (message,) = log.messages
    assert str(checkpoint) in message
    assert "cannot be known" in message
