"""Whole tiny runs of which a share of the training images is labelled."""

import dataclasses
import json
import shutil

import pytest

from fakd_jax.errors import UserError
from fakd_jax.experiment.teacher_and_student import open_experiment_data, run_experiment
from fakd_jax.models.checkpoint import load_model
from fakd_jax.runs.learnt_images import LearntImages
from fakd_jax.runs.workdir import read_records
from tests.experiment.runs import assert_same_weights, metrics_of
from tests.tiny import tiny_config

# Of 32 training images 8 are labelled, and the 4 steps of an epoch are those of all.
QUARTER = {"data.labelled_share": 0.25}
EPOCH_STEPS = 4


@pytest.fixture(scope="module")
def quarter(run, tmp_path_factory):
    """A run of `kd` with a quarter of the labels: its workdir and its result."""
    workdir = tmp_path_factory.mktemp("quarter")
    return workdir, run("kd", workdir, **QUARTER)


def split_of(workdir):
    return json.loads((workdir / "split.json").read_text())


def contents(split, ids):
    return {split["content"][id] for id in ids}


def test_the_teacher_learns_from_labelled_images_and_its_student_from_all(quarter):
    workdir, result = quarter
    split = split_of(workdir)
    assert (len(split["train"]), len(split["labelled"])) == (32, 8)
    for checkpoint, part in ((result.teacher, "labelled"), (result.student, "train")):
        metadata = load_model(checkpoint)[1]
        learnt = LearntImages.from_metadata(metadata)
        assert learnt.train == contents(split, split[part])
        assert learnt.val == contents(split, split["val"])
        assert "8 of 32" in metadata["data"]["split_description"]


def test_every_epoch_has_the_steps_of_all_images(quarter):
    records = read_records(quarter[0])
    assert [(record["phase"], record["step"]) for record in records] == [
        (phase, EPOCH_STEPS * epoch)
        for phase in ("teacher", "student")
        for epoch in (1, 2)
        for _ in ("train", "val")
    ]
    for record in records:
        if record["kind"] == "train" and record["phase"] == "student":
            assert record["accuracy"] * 8 == pytest.approx(round(record["accuracy"] * 8))


@pytest.mark.slow
def test_a_student_of_labels_alone_learns_from_the_labelled_images(run, tmp_path, quarter):
    result = run("student", tmp_path, **QUARTER, **{"cross_entropy.class_weights": "balanced"})
    assert split_of(tmp_path) == split_of(quarter[0])
    learnt = LearntImages.from_metadata(load_model(result.student)[1])
    split = split_of(tmp_path)
    assert learnt.train == contents(split, split["labelled"])
    assert {record["step"] for record in read_records(tmp_path)} == {EPOCH_STEPS, 2 * EPOCH_STEPS}


def test_another_share_is_another_run(run, quarter):
    with pytest.raises(UserError, match=r"data\.labelled_share was 0\.25, is 0\.5"):
        run("kd", quarter[0], **{"data.labelled_share": 0.5})


def test_other_labels_of_the_unlabelled_images_give_the_same_networks(
    quarter, data, cache, tmp_path
):
    workdir, result = quarter
    shutil.copy(workdir / "split.json", tmp_path)
    split = split_of(workdir)
    unlabelled = {*split["train"]} - {*split["labelled"]}
    config = tiny_config("kd", data, cache, **QUARTER)
    opened = open_experiment_data(config)
    opened.dataset.examples = tuple(
        dataclasses.replace(example, label=(example.label + 1) % 4)
        if example.id in unlabelled
        else example
        for example in opened.dataset.examples
    )
    other = run_experiment(config, tmp_path, opened)
    assert metrics_of(tmp_path) == metrics_of(workdir)
    assert_same_weights(other.teacher, result.teacher)
    assert_same_weights(other.student, result.student)


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "step"), [("student", 6), ("teacher", 6)])
def test_an_interrupted_run_is_resumed_exactly(phase, step, run, quarter, tmp_path, interrupt):
    if phase == "student":
        shutil.copytree(quarter[0], tmp_path, dirs_exist_ok=True)
        shutil.rmtree(tmp_path / "student")
    interrupt(phase, step)
    with pytest.raises(KeyboardInterrupt):
        run("kd", tmp_path, checkpoint_minutes=0, **QUARTER)
    resumed = run("kd", tmp_path, **QUARTER)
    assert metrics_of(tmp_path) == metrics_of(quarter[0])
    assert_same_weights(resumed.student, quarter[1].student)


@pytest.mark.slow
def test_mixtures_and_every_kind_of_term_train_on_a_share_of_labels(run, tmp_path):
    more = {
        "augmentation.mixup_alpha": 0.5,
        "student.recalibrate_batch_norm": 2,
        "teacher.recalibrate_batch_norm": 2,
        "distillation.terms.tckd": 1.0,
        "distillation.terms.nckd": 1.0,
    }
    run("fakd", tmp_path, **QUARTER, **more)
    for record in read_records(tmp_path):
        assert 0 <= record["accuracy"] <= 1
        assert 0 < record["ce"] < 20
