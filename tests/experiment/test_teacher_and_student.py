"""Whole runs on tiny data: what they write, and that an interrupted one ends like any other."""

import dataclasses
import json
import shutil
import signal
import time

import numpy as np
import pytest
from PIL import Image

from fakd_jax.distillation.terms import LESION_TERMS, TERM_NAMES, TermWeights
from fakd_jax.errors import UserError
from fakd_jax.models.checkpoint import (
    load_model,
    resolve_checkpoint,
    save_model,
    write_checkpoint,
)
from fakd_jax.runs.workdir import read_records
from fakd_jax.training import checkpoints
from fakd_jax.training.early_stopping import EarlyStopping
from fakd_jax.training.state import to_named_arrays
from tests.experiment.runs import assert_same_weights, metrics_of, start_fakd
from tests.tiny import tiny_overrides, write_images

# 32 training images in batches of 8: steps 1 to 4 are the first epoch, 5 to 8 the second and last.
EPOCH_STEPS = 4
RECALIBRATED = {"student.recalibrate_batch_norm": 2}


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    """An uninterrupted FAKD run: its workdir and its result."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, run("fakd", workdir)


@pytest.fixture(scope="module")
def distilled(run, whole, tmp_path_factory):
    """Another student of the whole run's teacher: its workdir and its result.

    It is trained by the same compiled steps, and its batch statistics are re-estimated on two
    batches.
    """
    workdir = tmp_path_factory.mktemp("distilled")
    return workdir, run("fakd", workdir, **RECALIBRATED, **{"teacher.checkpoint": str(whole[0])})


def test_a_run_leaves_its_files_and_a_student_without_projection(whole):
    workdir, result = whole
    for name in ("config.json", "split.json", "metrics.jsonl", "tensorboard"):
        assert (workdir / name).exists(), name
    assert result.teacher.parent == workdir / "teacher" / "best"
    assert result.student.parent == workdir / "student" / "best"
    state, metadata = load_model(result.student)
    assert not [name for name in to_named_arrays(state) if "projection" in name]
    assert metadata["config"] == json.loads((workdir / "config.json").read_text())
    assert metadata["source"]["phase"] == "student"
    assert metadata["class_names"] == ["glioma", "meningioma", "notumor", "pituitary"]
    expected = {"arch": "tiny_mobilenet", "head": "trained", "negative_class": "notumor"}
    assert expected.items() <= metadata.items()


def test_a_teacher_copied_alone_is_refused_if_a_test_image_was_among_its_own(
    run, whole, data, tmp_path
):
    teacher = shutil.copytree(whole[1].teacher, tmp_path / "copied" / "teacher")
    student = shutil.copytree(whole[1].student, tmp_path / "copied" / "student")
    other = shutil.copytree(data, tmp_path / "other")
    with Image.open(other / "Training" / "glioma" / "000.png") as image:
        image.save(other / "Testing" / "glioma" / "another.bmp")
    (other / "Training" / "glioma" / "000.png").unlink()
    refused = {
        "the teacher": {"teacher.checkpoint": str(teacher)},
        r"config\.student\.pretrained": {"student.pretrained": str(student)},
    }
    for what, overrides in refused.items():
        with pytest.raises(UserError, match=f"{what} .* has learnt from 1 of the 17 test images"):
            run("fakd", tmp_path / "run", data=other, **overrides)


def test_every_epoch_is_recorded_with_the_terms_in_use(whole):
    records = read_records(whole[0])
    assert [(record["phase"], record["kind"], record["epoch"]) for record in records] == [
        (phase, kind, epoch)
        for phase in ("teacher", "student")
        for epoch in (1, 2)
        for kind in ("train", "val")
    ]
    for record in records:
        loss = record["ce"]
        if record["phase"] == "student":
            loss = 0.5 * record["ce"] + 0.5 * record["kd"] + record["fa"]
        assert record["loss"] == pytest.approx(loss, rel=1e-4)
        assert ("fa" in record) == (record["phase"] == "student")


def test_an_unknown_negative_class_is_kept_with_a_warning(run, tmp_path, log_lines):
    result = run("teacher", tmp_path, **{"data.negative_class": "healthy"})
    assert load_model(result.teacher)[1]["negative_class"] == "healthy"
    assert "negative_class=healthy is none of the classes" in log_lines()


def test_a_finished_run_started_again_changes_nothing(run, whole):
    workdir, result = whole
    before = (workdir / "metrics.jsonl").read_bytes()
    assert run("fakd", workdir) == result
    assert (workdir / "metrics.jsonl").read_bytes() == before


def test_a_run_goes_on_with_data_that_moved_and_not_with_data_that_changed(
    run, whole, data, cache, tmp_path
):
    workdir, moved = tmp_path / "run", tmp_path / "moved.zip"
    shutil.copytree(whole[0], workdir)
    shutil.make_archive(str(moved.with_suffix("")), "zip", data)
    assert run("fakd", workdir, data=moved).student == workdir / whole[1].student.relative_to(
        whole[0]
    )
    config, record = ((workdir / f"{name}.json").read_text() for name in ("config", "environment"))
    assert json.loads(config)["data"]["source"] == str(moved)
    assert json.loads(config)["dtype"] == "float32"
    assert [start["data"] for start in json.loads(record)["starts"]][-1] == str(moved)

    changed = write_images(tmp_path / "changed", seed=1)
    with pytest.raises(UserError, match="other data"):
        run("fakd", workdir, data=changed)
    assert (workdir / "config.json").read_text() == config
    assert (workdir / "environment.json").read_text() == record


def test_a_given_teacher_may_move_but_not_change(run, whole, distilled, tmp_path):
    moved, workdir = tmp_path / "moved", distilled[0]
    shutil.copytree(whole[0], moved)
    given = {**RECALIBRATED, "teacher.checkpoint": str(moved)}
    run("fakd", workdir, **given)
    checkpoint = resolve_checkpoint(moved / "teacher")
    state, metadata = load_model(checkpoint)
    state["params"]["fc"]["bias"] = state["params"]["fc"]["bias"] + 1
    save_model(checkpoint, state, metadata)
    with pytest.raises(UserError, match=r"config\.teacher\.checkpoint gives other content"):
        run("fakd", workdir, **given)


def test_re_estimated_batch_statistics_are_saved_and_training_keeps_its_own(whole, distilled):
    (best, described), (last, _) = (
        load_model(distilled[0] / "student" / folder / "4") for folder in ("best", "last")
    )
    best, last = to_named_arrays(best), to_named_arrays(last)
    differing = {name for name in best if not np.array_equal(best[name], last[name])}
    assert differing == {name for name in best if name.startswith("batch_stats")}
    assert "2 batches of 8" in described["source"]["batch_statistics"]
    assert_same_weights(*(folder / "student" / "last" / "8" for folder, _ in (distilled, whole)))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_and_another_seed_another(run, whole, tmp_path):
    again = run("fakd", tmp_path / "again")
    assert metrics_of(tmp_path / "again") == metrics_of(whole[0])
    assert_same_weights(again.student, whole[1].student)
    run("teacher", tmp_path / "other", seed=1)
    assert metrics_of(tmp_path / "other") != metrics_of(whole[0])[:4]


@pytest.mark.parametrize(
    ("phase", "step"),
    [
        ("student", 6),
        pytest.param("teacher", 8, marks=pytest.mark.slow),
        pytest.param("student", 8, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_run_is_resumed_exactly(phase, step, run, whole, tmp_path, interrupt):
    if phase == "student":  # its teacher need not be trained again
        shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
        shutil.rmtree(tmp_path / "student")
    interrupt(phase, step)
    with pytest.raises(KeyboardInterrupt):
        run("fakd", tmp_path, checkpoint_minutes=0)
    last = {path.name for path in (tmp_path / phase / "last").iterdir()}
    assert last == {str(step - 1), str(step)}
    assert (tmp_path / "student").exists() == (phase == "student")
    resumed = run("fakd", tmp_path)
    assert metrics_of(tmp_path) == metrics_of(whole[0])
    assert_same_weights(resumed.student, whole[1].student)


def test_the_best_is_the_one_known_to_the_state_that_is_resumed(run, tmp_path, monkeypatch):
    """The second epoch was better, but the run was killed before that was recorded; then it isn't.

    Its best checkpoint must not survive.
    """
    best = tmp_path / "teacher" / "best"

    def die_in_the_second_epoch(directory, *arguments):
        if directory.parts[-2:] == ("last", "8"):
            raise SystemExit
        write_checkpoint(directory, *arguments)

    monkeypatch.setattr(checkpoints, "write_checkpoint", die_in_the_second_epoch)
    monkeypatch.setattr(EarlyStopping, "is_better", lambda self, accuracy: True)
    with pytest.raises(SystemExit):
        run("teacher", tmp_path)
    monkeypatch.undo()
    assert {path.name for path in best.iterdir()} == {"4", "8"}
    monkeypatch.setattr(EarlyStopping, "is_better", lambda self, accuracy: self.best_epoch == 0)
    assert run("teacher", tmp_path).teacher == best / "4"
    assert [path.name for path in best.iterdir()] == ["4"]


def wait_for_a_checkpoint_within_an_epoch(process, folder, timeout=240.0):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        steps = [int(child.name) for child in folder.glob("*") if child.name.isdecimal()]
        if steps and max(steps) > EPOCH_STEPS and max(steps) % EPOCH_STEPS:
            return
        assert process.poll() is None, "the run ended before it could be interrupted"
        time.sleep(0.005)
    pytest.fail("no checkpoint within an epoch in time")


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_run_killed_within_an_epoch_is_resumed_exactly(kill, run, whole, data, cache, tmp_path):
    process = start_fakd(tmp_path, tiny_overrides(data, cache) | {"checkpoint_minutes": 0})
    try:
        wait_for_a_checkpoint_within_an_epoch(process, tmp_path / "student" / "last")
        process.send_signal(kill)
        code = process.wait(60)
    finally:
        process.kill()
    assert code == (-signal.SIGKILL if kill == signal.SIGKILL else 130)
    resumed = run("fakd", tmp_path)
    assert metrics_of(tmp_path) == metrics_of(whole[0])
    assert_same_weights(resumed.student, whole[1].student)


def test_a_given_teacher_is_used_and_never_trained(whole, distilled):
    workdir, result = distilled
    assert result.teacher == whole[1].teacher
    for record in read_records(workdir):
        assert record.keys() & TERM_NAMES.keys() == {"ce", "kd", "fa"}
        loss = 0.5 * record["ce"] + 0.5 * record["kd"] + record["fa"]
        assert record["loss"] == pytest.approx(loss, rel=1e-4)
    assert not (workdir / "teacher").exists()


@pytest.mark.slow
def test_every_term_trains_on_mixtures_and_is_resumed_exactly(run, whole, tmp_path):
    names = [name for name in TERM_NAMES if name not in LESION_TERMS]
    further = {field.name for field in dataclasses.fields(TermWeights)}.intersection(names)
    weights = dict.fromkeys(further, 0.25)
    more = {
        "teacher.checkpoint": str(whole[0]),
        "augmentation.mixup_alpha": 0.5,
        "distillation.layer_pairs": "layer2:features.2,layer3:features.4",
        "distillation.normalise_features": True,
        "distillation.standardise_logits": True,
        **{f"distillation.terms.{name}": weight for name, weight in weights.items()},
    }
    result = run("fakd", tmp_path / "run", **more)
    for record in read_records(tmp_path / "run"):
        assert record.keys() & TERM_NAMES.keys() == set(names)
        loss = sum(
            w * record[name] for name, w in {"ce": 0.5, "kd": 0.5, "fa": 1.0, **weights}.items()
        )
        assert record["loss"] == pytest.approx(loss, rel=1e-4)
    state, _ = load_model(result.student)
    assert not [name for name in to_named_arrays(state) if "projection" in name]
    resumed = shutil.copytree(tmp_path / "run", tmp_path / "resumed")
    shutil.rmtree(resumed / "student" / "last" / str(2 * EPOCH_STEPS))
    run("fakd", resumed, **more)
    assert metrics_of(resumed) == metrics_of(tmp_path / "run")
    assert_same_weights(resumed / "student", result.student)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "alpha", "terms"),
    [("kd", 1.0, {"kd"}), ("feature", 0.0, {"ce", "fa"}), ("student", 0.0, {"ce"})],
)
def test_a_given_teacher_is_used_where_needed_and_never_trained(
    name, alpha, terms, run, whole, tmp_path
):
    more = {"teacher.checkpoint": str(whole[0]), "distillation.alpha": alpha}
    result = run(name, tmp_path, **{"student.num_epochs": 1}, **more)
    assert result.teacher == (None if name == "student" else whole[1].teacher)
    for record in read_records(tmp_path):
        assert record.keys() & {"ce", "kd", "fa"} == terms
    assert not (tmp_path / "teacher").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher.checkpoint": "", "teacher.num_epochs": 0}, "allow_untrained"),
        ({"distillation.teacher_layer": "layer9"}, "layer9.*distillation.teacher_layer.*layer3"),
        ({"distillation.layer_pairs": "layer3:x"}, "'x'.*distillation.layer_pairs.*features.4"),
        ({"data.split": "kfold"}, "has learnt from 9 of the 12 test images"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(changes, message, run, whole, tmp_path):
    with pytest.raises(UserError, match=message):
        run("fakd", tmp_path, **({"teacher.checkpoint": str(whole[0])} | changes))
    assert not (tmp_path / "student").exists()


def test_a_teacher_of_other_classes_is_refused(run, whole, data, tmp_path):
    renamed = tmp_path / "renamed"
    shutil.copytree(data, renamed)
    for split in ("Training", "Testing"):
        (renamed / split / "glioma").rename(renamed / split / "astrocytoma")
    with pytest.raises(UserError, match="astrocytoma"):
        run("kd", tmp_path / "run", data=renamed, **{"teacher.checkpoint": str(whole[0])})


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_resumed(
    run, whole, tmp_path, log_lines
):
    workdir = tmp_path / "copy"
    shutil.copytree(whole[0], workdir)
    (workdir / "student" / "last" / "8" / "position.json").write_text("{")
    resumed = run("fakd", workdir)
    (warning,) = [line for line in log_lines().splitlines() if "what is newer is damaged" in line]
    assert "last/8 is damaged or incomplete: position.json changed" in warning
    assert metrics_of(workdir) == metrics_of(whole[0])
    assert_same_weights(resumed.student, whole[1].student)
