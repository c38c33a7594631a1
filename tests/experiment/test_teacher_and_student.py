"""Whole runs on tiny data: what they write, and that an interrupted one ends as if it were not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fakd_jax.errors import NotFiniteError, UserError
from fakd_jax.experiment.teacher_and_student import run_experiment
from fakd_jax.models.checkpoint import load_model, resolve_checkpoint
from fakd_jax.runs.workdir import read_records
from fakd_jax.training.checkpoints import PhaseCheckpoints
from fakd_jax.training.early_stopping import EarlyStopping
from fakd_jax.training.metric_log import LOGGER
from tests.tiny import as_flags, tiny_config, tiny_overrides, write_images

REPOSITORY = Path(__file__).resolve().parents[2]
TIMINGS = {"images_per_second", "seconds"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def run(name, data, cache, workdir, **more):
    workdir.mkdir(parents=True, exist_ok=True)
    return run_experiment(tiny_config(name, data, cache, **more), workdir)


@pytest.fixture(scope="module")
def whole(data, cache, tmp_path_factory):
    """An uninterrupted FAKD run: its workdir and its result."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, run("fakd", data, cache, workdir)


def figures(workdir):
    """The records of a run without its timings."""
    return [
        {name: value for name, value in record.items() if name not in TIMINGS}
        for record in read_records(workdir)
    ]


def assert_same_weights(first, second):
    states = [load_model(resolve_checkpoint(path))[0] for path in (first, second)]
    flat = [dict(_leaves(state)) for state in states]
    assert flat[0].keys() == flat[1].keys()
    for name in flat[0]:
        np.testing.assert_array_equal(flat[0][name], flat[1][name], err_msg=name)


def _leaves(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def test_a_run_leaves_what_the_design_says(whole):
    workdir, result = whole
    for name in ("config.json", "split.json", "metrics.jsonl", "tensorboard"):
        assert (workdir / name).exists(), name
    assert result.student.parent == workdir / "student" / "best"
    assert result.teacher.parent == workdir / "teacher" / "best"


def test_records_tell_every_epoch_with_the_terms_in_use(whole):
    records = read_records(whole[0])
    told = [(record["phase"], record["kind"], record["epoch"]) for record in records]
    assert told == [
        (phase, kind, epoch)
        for phase in ("teacher", "student")
        for epoch in (1, 2)
        for kind in ("train", "val")
    ]
    for record in records:
        terms = {"loss", "ce"} | ({"kd", "fa"} if record["phase"] == "student" else set())
        assert terms <= record.keys()
        assert ("fa" in record) == ("fa" in terms)
        expected = record["ce"]
        if record["phase"] == "student":
            expected = 0.5 * record["ce"] + 0.5 * record["kd"] + record["fa"]
        assert record["loss"] == pytest.approx(expected, rel=1e-4)


def test_the_student_that_is_saved_is_clean_and_knows_what_it_is(whole):
    state, metadata = load_model(whole[1].student)
    assert "projection" not in json.dumps(list(dict(_leaves(state))))
    assert metadata["arch"] == "tiny_mobilenet"
    assert metadata["class_names"] == ["glioma", "meningioma", "notumor", "pituitary"]
    assert metadata["head"] == "trained"
    assert metadata["negative_class"] == "notumor"
    assert metadata["source"]["phase"] == "student"


def test_a_negative_class_that_no_class_is_called_is_kept_and_told(
    data, cache, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(LOGGER, "propagate", True)
    result = run("teacher", data, cache, tmp_path, **{"data.negative_class": "healthy"})
    assert load_model(result.teacher)[1]["negative_class"] == "healthy"
    (told,) = {line for line in caplog.messages if "negative_class" in line}
    assert "config.data.negative_class=healthy is none of the classes (glioma, men" in told


def test_a_finished_run_started_again_changes_nothing(whole, data, cache):
    workdir, result = whole
    before = (workdir / "metrics.jsonl").read_bytes()
    assert run("fakd", data, cache, workdir) == result
    assert (workdir / "metrics.jsonl").read_bytes() == before


def test_another_config_in_the_same_workdir_is_refused(whole, data, cache):
    with pytest.raises(UserError, match="seed was 0, is 1"):
        run("fakd", data, cache, whole[0], seed=1)


def test_what_stopped_a_run_before_it_began_can_be_mended_in_the_same_workdir(
    data, cache, tmp_path
):
    with pytest.raises(UserError, match="no data at"):
        run("teacher", tmp_path / "nowhere", cache, tmp_path / "run")
    with pytest.raises(UserError, match="resnet51"):
        run("teacher", data, cache, tmp_path / "run", **{"teacher.arch": "resnet51"})
    split = (tmp_path / "run" / "split.json").read_text()
    with pytest.raises(UserError, match="resnet51"):
        run("teacher", data, cache, tmp_path / "run", seed=1, **{"teacher.arch": "resnet51"})
    assert (tmp_path / "run" / "split.json").read_text() != split
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["seed"], config["data"]["source"]) == (1, str(data))


@pytest.mark.parametrize("content", ['{"study": {"seeds": [0]}}', '{"mine": 1}', "[1]", "no JSON"])
def test_another_programs_config_is_never_replaced(data, cache, tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config|damaged"):
        run("teacher", data, cache, tmp_path)
    assert (tmp_path / "config.json").read_text() == content


def test_the_same_seed_gives_the_same_run_and_another_seed_another(whole, data, cache, tmp_path):
    again = run("fakd", data, cache, tmp_path / "again")
    assert figures(tmp_path / "again") == figures(whole[0])
    assert_same_weights(again.student, whole[1].student)
    run("teacher", data, cache, tmp_path / "other", seed=1)
    assert figures(tmp_path / "other") != figures(whole[0])[:4]


TINY_TRAIN = """
import sys
from tests.tiny import register_tiny_models
register_tiny_models()
from fakd_jax import train
from fakd_jax.cli.runner import run_command
run_command(train.main, sys.argv[1:])
"""


def start(arguments, **variables):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)} | variables
    return subprocess.Popen(
        [sys.executable, "-c", TINY_TRAIN, *arguments],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for_a_checkpoint_within_an_epoch(process, folder, epoch_steps, timeout=240.0):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        steps = [int(child.name) for child in folder.glob("*") if child.name.isdecimal()]
        if steps and max(steps) > epoch_steps and max(steps) % epoch_steps:
            return
        assert process.poll() is None, "the run ended before it could be interrupted"
        time.sleep(0.005)
    pytest.fail("no checkpoint within an epoch in time")


# 32 training images in batches of 8: 4 steps an epoch, the 6th amid the second, the 8th the last.
@pytest.mark.parametrize(
    ("phase", "step"),
    [("student", 6), ("teacher", 8), pytest.param("student", 8, marks=pytest.mark.slow)],
)
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    phase, step, whole, data, cache, tmp_path, monkeypatch
):
    save_last = PhaseCheckpoints.save_last

    def interrupt_after_saving(self, learner, state, metadata, position):
        save_last(self, learner, state, metadata, position)
        if phase in self.last_directory.parts and int(state.step) == step:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(PhaseCheckpoints, "save_last", interrupt_after_saving)
    with pytest.raises(KeyboardInterrupt):
        run("fakd", data, cache, tmp_path, checkpoint_every_steps=3)
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / phase / "last").iterdir()] == [str(step)]
    assert (tmp_path / "student").exists() == (phase == "student")
    resumed = run("fakd", data, cache, tmp_path, checkpoint_every_steps=3)
    assert figures(tmp_path) == figures(whole[0])
    assert_same_weights(resumed.student, whole[1].student)


def test_the_best_is_the_one_that_the_run_goes_on_from(data, cache, tmp_path, monkeypatch):
    """A second epoch that was better, but for a kill before that was recorded, and then is not."""
    save_last = PhaseCheckpoints.save_last
    best = tmp_path / "teacher" / "best"

    def die_in_the_second_epoch(self, learner, state, metadata, position):
        if int(state.step) == 8:
            raise SystemExit
        save_last(self, learner, state, metadata, position)

    monkeypatch.setattr(PhaseCheckpoints, "save_last", die_in_the_second_epoch)
    monkeypatch.setattr(EarlyStopping, "is_better", lambda self, accuracy: True)
    with pytest.raises(SystemExit):
        run("teacher", data, cache, tmp_path)
    monkeypatch.undo()
    assert {path.name for path in best.iterdir()} == {"4", "8"}
    monkeypatch.setattr(EarlyStopping, "is_better", lambda self, accuracy: self.best_epoch == 0)
    assert run("teacher", data, cache, tmp_path).teacher == best / "4"
    assert [path.name for path in best.iterdir()] == ["4"]


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_run_killed_within_an_epoch_goes_on_as_if_nothing_had_happened(
    kill, whole, data, cache, tmp_path
):
    workdir = tmp_path / "run"
    arguments = ["--config=configs/fakd.py", f"--workdir={workdir}"]
    arguments += as_flags(tiny_overrides(data, cache) | {"checkpoint_every_steps": 1})
    process = start(arguments)
    try:
        # 32 training images in batches of 8: 4 steps an epoch.
        wait_for_a_checkpoint_within_an_epoch(process, workdir / "student" / "last", 4)
        process.send_signal(kill)
        code = process.wait(60)
    finally:
        process.kill()
    assert code == (-signal.SIGKILL if kill == signal.SIGKILL else 130)
    resumed = run("fakd", data, cache, workdir)
    assert figures(workdir) == figures(whole[0])
    assert_same_weights(resumed.student, whole[1].student)


@pytest.mark.slow
def test_two_devices_give_the_losses_of_one(data, cache, tmp_path):
    more = {"student.num_epochs": 1, "teacher.num_epochs": 1}
    run("fakd", data, cache, tmp_path / "one", **more)
    arguments = ["--config=configs/fakd.py", f"--workdir={tmp_path / 'two'}"]
    arguments += as_flags(tiny_overrides(data, cache) | more)
    process = start(arguments, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    assert process.wait(280) == 0
    one, two = (read_records(tmp_path / name) for name in ("one", "two"))
    for alone, parted in zip(one, two, strict=True):
        for term in {"loss", "ce", "kd", "fa"} & alone.keys():
            assert parted[term] == pytest.approx(alone[term], rel=1e-3), term


@pytest.mark.parametrize(
    ("alpha", "terms"),
    [(0.5, {"ce", "kd"}), pytest.param(1.0, {"kd"}, marks=pytest.mark.slow)],
)
def test_a_given_teacher_is_used_and_not_trained(alpha, terms, whole, data, cache, tmp_path):
    more = {"teacher.checkpoint": str(whole[0]), "student.num_epochs": 1}
    given = run("kd", data, cache, tmp_path, **more, **{"distillation.alpha": alpha})
    assert given.teacher == whole[1].teacher
    assert read_records(tmp_path)[0].keys() & {"ce", "kd", "fa"} == terms
    assert not (tmp_path / "teacher").exists()


def test_a_given_teacher_that_saw_the_students_images_is_refused(whole, data, cache, tmp_path):
    more = {"teacher.checkpoint": str(whole[0]), "data.split": "kfold"}
    with pytest.raises(UserError, match=r"has learnt from 9 of the 12 test images"):
        run("kd", data, cache, tmp_path, **more)
    assert not (tmp_path / "student").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "terms"), [("feature", {"ce", "fa"}), ("student", {"ce"})])
def test_the_other_experiments_run_with_the_terms_of_their_names(
    name, terms, whole, data, cache, tmp_path
):
    more = {"student.num_epochs": 1, "teacher.checkpoint": str(whole[0])}
    run(name, data, cache, tmp_path, **more)
    for record in read_records(tmp_path):
        assert record.keys() & {"ce", "kd", "fa"} == terms


def test_an_untrained_teacher_must_be_asked_for(data, cache, tmp_path):
    with pytest.raises(UserError, match="allow_untrained"):
        run("kd", data, cache, tmp_path, **{"teacher.num_epochs": 0})


def test_a_teacher_of_other_classes_is_refused(whole, data, cache, tmp_path):
    renamed = tmp_path / "renamed"
    shutil.copytree(data, renamed)
    for split in ("Training", "Testing"):
        (renamed / split / "glioma").rename(renamed / split / "astrocytoma")
    with pytest.raises(UserError, match="astrocytoma"):
        run("kd", renamed, cache, tmp_path / "run", **{"teacher.checkpoint": str(whole[0])})


def test_an_unknown_layer_is_told_with_those_there_are(whole, data, cache, tmp_path):
    more = {"teacher.checkpoint": str(whole[0]), "distillation.teacher_layer": "layer9"}
    with pytest.raises(UserError, match=r"layer9.*layer3"):
        run("fakd", data, cache, tmp_path, **more)


def test_a_loss_that_is_not_finite_stops_the_run_with_its_step(data, cache, tmp_path):
    """The same step whether each loss is waited for, to save, or the device runs ahead."""
    told = []
    for every in (1, 0):
        more = {"optimizer.learning_rate": 1e30, "checkpoint_every_steps": every}
        with pytest.raises(NotFiniteError, match="not finite at step") as stopped:
            run("student", data, cache, tmp_path / str(every), **more)
        told.append(str(stopped.value))
    assert told[0] == told[1]


def test_a_damaged_checkpoint_is_told(whole, data, cache, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(whole[0], workdir)
    (last,) = (workdir / "student" / "last").glob("[0-9]*")
    (last / "position.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        run("fakd", data, cache, workdir)
