"""Whole runs on tiny data: what they write, and that an interrupted one ends like any other."""

import dataclasses
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
from PIL import Image

from fakd_jax.data.dataset import SPLITS
from fakd_jax.data.groups import fingerprint_of_groups
from fakd_jax.data.splits import Split
from fakd_jax.distillation.terms import TERM_NAMES, TermWeights
from fakd_jax.errors import NotFiniteError, UserError
from fakd_jax.experiment.teacher_and_student import run_experiment
from fakd_jax.models.checkpoint import (
    load_model,
    resolve_checkpoint,
    save_model,
    write_checkpoint,
)
from fakd_jax.runs.workdir import read_records
from fakd_jax.training import checkpoints
from fakd_jax.training.checkpoints import PhaseCheckpoints
from fakd_jax.training.early_stopping import EarlyStopping
from fakd_jax.training.metric_log import LOGGER
from fakd_jax.training.state import to_named_arrays
from tests.tiny import as_flags, tiny_config, tiny_overrides, write_images

REPOSITORY = Path(__file__).resolve().parents[2]
TIMINGS = {"images_per_second", "seconds"}
# 32 training images in batches of 8: steps 1 to 4 are the first epoch, 5 to 8 the second and last.
EPOCH_STEPS = 4
DISTILLED = {
    "student.num_epochs": 1,
    "student.recalibrate_batch_norm": 2,
    "distillation.terms.nckd": 0.25,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def run(data, cache):
    """Runs `configs/<name>.py`, made tiny, in a workdir."""

    def run(name, workdir, *, data=data, **more):
        workdir.mkdir(parents=True, exist_ok=True)
        return run_experiment(tiny_config(name, data, cache, **more), workdir)

    return run


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    """An uninterrupted FAKD run: its workdir and its result."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, run("fakd", workdir)


@pytest.fixture(scope="module")
def distilled(run, whole, tmp_path_factory):
    """A student of the whole run's teacher, without features: its workdir and its result.

    Its batch statistics are re-estimated on two batches.
    """
    workdir = tmp_path_factory.mktemp("distilled")
    return workdir, run("kd", workdir, **DISTILLED, **{"teacher.checkpoint": str(whole[0])})


def metrics_of(workdir):
    """The records of a run without its timings."""
    return [
        {name: value for name, value in record.items() if name not in TIMINGS}
        for record in read_records(workdir)
    ]


def assert_same_weights(first, second):
    flat = [to_named_arrays(load_model(resolve_checkpoint(path))[0]) for path in (first, second)]
    assert flat[0].keys() == flat[1].keys()
    for name in flat[0]:
        np.testing.assert_array_equal(flat[0][name], flat[1][name], err_msg=name)


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


def test_groups_of_ones_own_stay_together_and_may_move_but_not_change(run, data, tmp_path):
    workdir, table = tmp_path / "run", tmp_path / "patients.csv"
    ids = sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))
    patients = {id: str(number // 2) for number, id in enumerate(ids)}
    rows = [f"{id},{patient}\n" for id, patient in patients.items()]

    def start(rows):
        table.write_text("".join(["path,group\n", *rows]))
        groups = {"data.split": "grouped", "data.groups": str(table)}
        run("teacher", workdir, **groups, **{"teacher.arch": "resnet51"})  # fails after the split

    with pytest.raises(UserError, match="resnet51"):
        start(rows)
    split = Split.load(workdir / "split.json")
    train, val, test = ({patients[id] for id in split.ids(part)} for part in SPLITS)
    assert len(train) + len(val) + len(test) == len(train | val | test)
    assert split.given_groups == fingerprint_of_groups(patients)
    (workdir / "teacher" / "last" / "1").mkdir(parents=True)  # as if it had trained
    table = tmp_path / "moved.csv"
    with pytest.raises(UserError, match="resnet51"):
        start(reversed(rows))
    kept = [(workdir / f"{name}.json").read_text() for name in ("config", "environment")]
    table = tmp_path / "changed.csv"
    with pytest.raises(UserError, match=r"config\.data\.groups gives other content"):
        start([*rows[:-1], f"{ids[-1]},0\n"])
    assert [(workdir / f"{name}.json").read_text() for name in ("config", "environment")] == kept


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


def test_an_unknown_negative_class_is_kept_with_a_warning(run, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(LOGGER, "propagate", True)
    result = run("teacher", tmp_path, **{"data.negative_class": "healthy"})
    assert load_model(result.teacher)[1]["negative_class"] == "healthy"
    assert any("negative_class=healthy is none of the classes" in line for line in caplog.messages)


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
    given = {**DISTILLED, "teacher.checkpoint": str(moved)}
    run("kd", workdir, **given)
    checkpoint = resolve_checkpoint(moved / "teacher")
    state, metadata = load_model(checkpoint)
    state["params"]["fc"]["bias"] = state["params"]["fc"]["bias"] + 1
    save_model(checkpoint, state, metadata)
    with pytest.raises(UserError, match=r"config\.teacher\.checkpoint gives other content"):
        run("kd", workdir, **given)


def test_re_estimated_batch_statistics_are_saved_and_training_keeps_its_own(distilled):
    (best, described), (last, _) = (
        load_model(distilled[0] / "student" / folder / "4") for folder in ("best", "last")
    )
    best, last = to_named_arrays(best), to_named_arrays(last)
    differing = {name for name in best if not np.array_equal(best[name], last[name])}
    assert differing == {name for name in best if name.startswith("batch_stats")}
    assert "2 batches of 8" in described["source"]["batch_statistics"]


def test_a_run_that_never_started_may_be_run_with_another_config(run, data, tmp_path):
    with pytest.raises(UserError, match="no data at"):
        run("teacher", tmp_path, data=tmp_path / "nowhere")
    with pytest.raises(UserError, match="resnet51"):
        run("teacher", tmp_path, **{"teacher.arch": "resnet51"})
    split = (tmp_path / "split.json").read_text()
    with pytest.raises(UserError, match="resnet51"):
        run("teacher", tmp_path, seed=1, **{"teacher.arch": "resnet51"})
    assert (tmp_path / "split.json").read_text() != split
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["seed"], config["data"]["source"]) == (1, str(data))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_and_another_seed_another(run, whole, tmp_path):
    again = run("fakd", tmp_path / "again")
    assert metrics_of(tmp_path / "again") == metrics_of(whole[0])
    assert_same_weights(again.student, whole[1].student)
    run("teacher", tmp_path / "other", seed=1)
    assert metrics_of(tmp_path / "other") != metrics_of(whole[0])[:4]


@pytest.fixture
def interrupt(monkeypatch):
    """Has a run interrupted once a phase has saved a step."""
    save = PhaseCheckpoints.save

    def interrupt(phase, step):
        def interrupt_after_saving(self, learner, state, metadata, position, *, best):
            save(self, learner, state, metadata, position, best=best)
            if phase in self.last_directory.parts and int(state.step) == step:
                monkeypatch.undo()
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(PhaseCheckpoints, "save", interrupt_after_saving)

    return interrupt


@pytest.mark.parametrize(
    ("phase", "step"),
    [
        ("student", 6),
        pytest.param("teacher", 8, marks=pytest.mark.slow),
        pytest.param("student", 8, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_run_is_resumed_exactly(phase, step, run, whole, tmp_path, interrupt):
    interrupt(phase, step)
    with pytest.raises(KeyboardInterrupt):
        run("fakd", tmp_path, checkpoint_minutes=0)
    last = {path.name for path in (tmp_path / phase / "last").iterdir()}
    assert last == {str(step - 1), str(step)}
    assert (tmp_path / "student").exists() == (phase == "student")
    resumed = run("fakd", tmp_path)
    assert metrics_of(tmp_path) == metrics_of(whole[0])
    assert_same_weights(resumed.student, whole[1].student)


@pytest.mark.slow
def test_averages_and_re_estimated_statistics_are_resumed_exactly(run, tmp_path, interrupt):
    options = {
        "student.recalibrate_batch_norm": 5,  # of which four are an epoch
        "student.optimizer.ema_decay": 0.7,
        "student.optimizer.warmup_epochs": 0.5,
        "optimizer.max_gradient_norm": 1.0,
        "early_stopping.monitor": "loss",
    }
    whole = run("student", tmp_path / "whole", **options)
    interrupt("student", 6)
    with pytest.raises(KeyboardInterrupt):
        run("student", tmp_path / "cut", checkpoint_minutes=0, **options)
    resumed = run("student", tmp_path / "cut", **options)
    assert metrics_of(tmp_path / "cut") == metrics_of(tmp_path / "whole")
    assert_same_weights(resumed.student, whole.student)
    source = load_model(whole.student)[1]["source"]
    assert source["monitor"] == "loss"
    assert "decay 0.7" in source["weights"]


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


TINY_TRAIN = """
import sys
from tests.tiny import register_tiny_models
register_tiny_models()
from fakd_jax import train
from fakd_jax.cli.runner import run_command
run_command(train.main, sys.argv[1:])
"""


def start_fakd(workdir, overrides, **variables):
    """Starts a tiny FAKD run as a process of its own."""
    arguments = ["--config=fakd", f"--workdir={workdir}", *as_flags(overrides)]
    return subprocess.Popen(
        [sys.executable, "-c", TINY_TRAIN, *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


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


@pytest.mark.slow
def test_two_devices_give_the_losses_of_one(run, data, cache, tmp_path):
    more = {"student.num_epochs": 1, "teacher.num_epochs": 1}
    run("fakd", tmp_path / "one", **more)
    process = start_fakd(
        tmp_path / "two",
        tiny_overrides(data, cache) | more,
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    assert process.wait(280) == 0
    one, two = (read_records(tmp_path / name) for name in ("one", "two"))
    for alone, split in zip(one, two, strict=True):
        for term in {"loss", "ce", "kd", "fa"} & alone.keys():
            assert split[term] == pytest.approx(alone[term], rel=1e-3), term


def test_a_given_teacher_is_used_and_never_trained(whole, distilled):
    workdir, result = distilled
    assert result.teacher == whole[1].teacher
    for record in read_records(workdir):
        assert record.keys() & TERM_NAMES.keys() == {"ce", "kd", "nckd"}
        loss = 0.5 * record["ce"] + 0.5 * record["kd"] + 0.25 * record["nckd"]
        assert record["loss"] == pytest.approx(loss, rel=1e-4)
    assert not (workdir / "teacher").exists()


@pytest.mark.slow
def test_every_term_trains_on_mixtures_and_is_resumed_exactly(run, whole, tmp_path):
    weights = {field.name: 0.25 for field in dataclasses.fields(TermWeights)}
    more = {
        "teacher.checkpoint": str(whole[0]),
        "augmentation.mixup_alpha": 0.5,
        "distillation.layer_pairs": "layer2:features.4,layer3:features.6",
        "distillation.normalise_features": True,
        "distillation.standardise_logits": True,
        **{f"distillation.terms.{name}": weight for name, weight in weights.items()},
    }
    result = run("fakd", tmp_path / "run", **more)
    for record in read_records(tmp_path / "run"):
        assert record.keys() & TERM_NAMES.keys() == TERM_NAMES.keys()
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
        ({"distillation.layer_pairs": "layer3:x"}, "'x'.*distillation.layer_pairs.*features.6"),
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


def test_a_loss_that_is_not_finite_stops_the_run_with_its_step(run, tmp_path):
    """The same step whether each loss is waited for, to save, or the device runs ahead."""
    messages = set()
    for minutes in (0, 5):
        more = {"optimizer.learning_rate": 1e30, "checkpoint_minutes": minutes}
        with pytest.raises(NotFiniteError, match=r"student 1/2: .* not finite at step") as stopped:
            run("student", tmp_path / str(minutes), **more)
        messages.add(str(stopped.value))
    assert len(messages) == 1


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_resumed(
    run, whole, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(LOGGER, "propagate", True)
    workdir = tmp_path / "copy"
    shutil.copytree(whole[0], workdir)
    (workdir / "student" / "last" / "8" / "position.json").write_text("{")
    resumed = run("fakd", workdir)
    (warning,) = [line for line in caplog.messages if "what is newer is damaged" in line]
    assert "last/8 is damaged or incomplete: position.json changed" in warning
    assert metrics_of(workdir) == metrics_of(whole[0])
    assert_same_weights(resumed.student, whole[1].student)
