"""Whole studies of tiny networks: their files, and that interrupted ones end the same."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fakd_jax.errors import NotFiniteError, UserError
from fakd_jax.experiment.run import train_and_evaluate
from fakd_jax.experiment.teacher_and_student import open_experiment_data
from fakd_jax.runs.files import CONFIG_FILE
from fakd_jax.study.cells import open_study
from fakd_jax.study.engines import cell as engines_cell
from fakd_jax.study.engines import local
from fakd_jax.study.report import write_report
from fakd_jax.study.results import failures
from fakd_jax.study.run import run_study
from tests.tiny import as_flags, tiny_config, tiny_study, tiny_study_overrides, write_images

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = {"methods": ("teacher", "student", "fakd"), "seeds": (0,)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(data, cache, tmp_path_factory):
    """An uninterrupted study of three cells: its workdir and its report."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, run_study(tiny_study(data, cache, **SMALL), workdir)


def without_times(report):
    """A report but for how long its cells took."""
    cells = [{key: row[key] for key in row if key != "seconds"} for row in report["cells"]]
    return report | {"cells": cells}


def times_of_change(workdir):
    """When each file below the cells' folders was written."""
    return {file: file.stat().st_mtime_ns for file in (workdir / "official").rglob("*")}


def test_a_study_leaves_its_report_and_ordinary_runs(whole):
    workdir, report = whole
    assert json.loads((workdir / "study.json").read_text()) == report
    assert len(list(csv.DictReader((workdir / "study.csv").open()))) == 3
    assert "minus student, paired by seed" in (workdir / "study.txt").read_text()
    assert (workdir / "study.png").is_file()
    for method in SMALL["methods"]:
        cell = workdir / "official" / "seed0" / method
        for name in ("config.json", "split.json", "metrics.jsonl", "train.log", "curves.png"):
            assert (cell / name).is_file(), (method, name)


def test_cells_of_a_seed_share_split_and_teacher_and_report_their_metrics(whole):
    cells = whole[0] / "official" / "seed0"
    assert len({(cells / method / "split.json").read_text() for method in SMALL["methods"]}) == 1
    config = json.loads((cells / "fakd" / "config.json").read_text())
    assert config["teacher"]["checkpoint"] == str(cells / "teacher")
    assert not (cells / "fakd" / "teacher").exists()
    student = json.loads((cells / "student" / "evaluation" / "metrics.json").read_text())
    (row,) = [row for row in whole[1]["cells"] if row["method"] == "student"]
    assert row["accuracy"] == student["accuracy"]
    assert row["missed_tumours"] == student["missed_tumour"]["count"]


def test_a_finished_study_only_reports_again(whole, data, cache, monkeypatch):
    workdir, report = whole
    before = times_of_change(workdir)
    monkeypatch.setattr(
        local, "open_experiment_data", lambda config: pytest.fail("opened the data")
    )
    assert run_study(tiny_study(data, cache, **SMALL), workdir) == report
    assert times_of_change(workdir) == before


def test_another_studys_workdir_is_refused(whole, data, cache):
    config = tiny_study(data, cache, **SMALL)
    config.base.distillation.alpha = 0.25
    with pytest.raises(UserError, match=r"another config.*base\.distillation\.alpha was 0\.5"):
        run_study(config, whole[0])


@pytest.mark.slow
def test_interrupted_between_cells_it_resumes_with_the_next(
    whole, data, cache, tmp_path, monkeypatch
):
    finished = engines_cell.mark_finished

    def interrupt_after_the_second(study, cell, seconds):
        finished(study, cell, seconds)
        if cell.method == "student":
            raise KeyboardInterrupt

    monkeypatch.setattr(engines_cell, "mark_finished", interrupt_after_the_second)
    config = tiny_study(data, cache, **SMALL)
    with pytest.raises(KeyboardInterrupt):
        run_study(config, tmp_path)
    monkeypatch.undo()
    partial = write_report(open_study(config, tmp_path))
    assert [row["method"] for row in partial["missing"]] == ["fakd"]
    assert "1 of 3 cells are missing" in (tmp_path / "study.txt").read_text()
    before = times_of_change(tmp_path / "official" / "seed0" / "student")
    report = run_study(config, tmp_path)
    assert without_times(report) == without_times(whole[1])
    assert times_of_change(tmp_path / "official" / "seed0" / "student") == before


@pytest.mark.slow
def test_a_cell_killed_before_its_mark_is_evaluated_again(whole, data, cache, tmp_path):
    """As if killed between the evaluation's first file and its second."""
    config = tiny_study(data, cache, methods=("student",), seeds=(0,))
    first = run_study(config, tmp_path)
    cell = tmp_path / "official" / "seed0" / "student"
    (cell / "cell.json").unlink()
    (cell / "evaluation" / "predictions.csv").unlink()
    assert without_times(run_study(config, tmp_path)) == without_times(first)
    assert (cell / "evaluation" / "predictions.csv").is_file()


def test_a_moved_study_resumes_a_cell_that_was_started_elsewhere(whole, data, cache, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(whole[0], moved)
    cell = moved / "official" / "seed0" / "fakd"
    (cell / "cell.json").unlink()
    began_with = json.loads((cell / "config.json").read_text())["teacher"]["checkpoint"]
    assert began_with == str(whole[0] / "official" / "seed0" / "teacher")
    report = run_study(tiny_study(data, cache, **SMALL), moved)
    assert without_times(report) == without_times(whole[1])


def test_data_that_changed_stop_a_study_before_its_next_cell(whole, data, cache, tmp_path):
    copy, other = tmp_path / "copy", tmp_path / "data"
    shutil.copytree(whole[0], copy)
    (copy / "official" / "seed0" / "fakd" / "cell.json").unlink()
    shutil.copytree(data, other)
    (other / "Training" / "glioma" / "000.png").unlink()
    config = tiny_study(data, cache, **SMALL)
    changed = open_experiment_data(tiny_config("fakd", other, cache))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "open_experiment_data", lambda config: changed)
        with pytest.raises(UserError, match=r"ran on other data .* than the next ones would"):
            run_study(config, copy)


@pytest.mark.slow
def test_a_cell_whose_loss_is_not_finite_is_left_out_and_the_others_run(
    data, cache, tmp_path, monkeypatch
):
    def diverge_as_teacher(settings, *arguments, **keywords):
        if settings.name == "teacher":
            raise NotFiniteError("the loss of teacher is not finite")
        return train_and_evaluate(settings, *arguments, **keywords)

    config = tiny_study(data, cache, methods=("teacher", "student", "kd"), seeds=(0,))
    monkeypatch.setattr(engines_cell, "train_and_evaluate", diverge_as_teacher)
    message = r"2 of 3 cells failed .* first official, seed 0, teacher: the loss of .*delete"
    with pytest.raises(UserError, match=message):
        run_study(config, tmp_path)
    report = json.loads((tmp_path / "study.json").read_text())
    assert [row["method"] for row in report["cells"]] == ["student"]
    assert {row["method"]: row["reason"] for row in report["missing"]} == {
        "teacher": "the loss of teacher is not finite",
        "kd": "its teacher failed",
    }
    assert "teacher failed: the loss of teacher" in (tmp_path / "study.txt").read_text()
    # Going on trains nothing again, until the note is deleted.
    monkeypatch.setattr(engines_cell, "train_and_evaluate", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(UserError, match=message):
        run_study(config, tmp_path)
    (tmp_path / "official" / "seed0" / "teacher" / "failed.txt").unlink()
    assert failures(open_study(config, tmp_path)) == {}


def test_an_error_in_a_cell_names_the_cell(data, cache, tmp_path):
    config = tiny_study(data, cache, methods=("student",), seeds=(7,))
    config.base.student.arch = "resnet51"
    with pytest.raises(UserError, match=r"official, seed 7, student: .*resnet51"):
        run_study(config, tmp_path)
    assert (tmp_path / CONFIG_FILE).is_file()


@pytest.mark.slow
def test_a_finished_study_takes_more_seeds_and_methods(data, cache, tmp_path):
    small = tiny_study(data, cache, methods=("student",), seeds=(0,))
    first = run_study(small, tmp_path)
    large = tiny_study(data, cache, methods=("teacher", "student", "kd"), seeds=(0, 1))
    before = times_of_change(tmp_path / "official" / "seed0" / "student")
    report = run_study(large, tmp_path)
    assert len(report["cells"]) == 6
    assert first["cells"][0] in report["cells"]
    assert times_of_change(tmp_path / "official" / "seed0" / "student") == before


TINY_STUDY = """
import sys
from tests.tiny import register_tiny_models
register_tiny_models()
from fakd_jax.study import __main__ as study
from fakd_jax.cli.runner import run_command
run_command(study.main, sys.argv[1:])
"""


def wait_for(condition, process):
    deadline = time.monotonic() + 900
    while not condition():
        assert process.poll() is None, "the study ended before it could be interrupted"
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.002)


def within_a_phase(folder):
    """Whether a checkpoint of the first epoch's steps is there, and its last one is not."""
    steps = [int(child.name) for child in folder.glob("*/last/*") if child.name.isdecimal()]
    return bool(steps) and max(steps) < 4


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("where", ["within fakd", "after teacher"])
def test_a_study_killed_at_any_moment_ends_as_if_nothing_had_happened(
    kill, where, whole, data, cache, tmp_path
):
    cells = tmp_path / "official" / "seed0"
    conditions = {
        "within fakd": lambda: within_a_phase(cells / "fakd"),
        "after teacher": (cells / "teacher" / "cell.json").is_file,
    }
    arguments = [
        "--config=study",
        f"--workdir={tmp_path}",
        "--config.study.methods=teacher,student,fakd",
        "--config.study.seeds=0",
        *as_flags(tiny_study_overrides(data, cache) | {"base.checkpoint_minutes": 0}),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", TINY_STUDY, *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(conditions[where], process)
        process.send_signal(kill)
        code = process.wait(600)
    finally:
        process.kill()
    assert code == (-signal.SIGKILL if kill == signal.SIGKILL else 130)
    log = (tmp_path / "study.log").read_text()
    assert ("run the same command to resume" in log) == (kill == signal.SIGINT)
    report = run_study(tiny_study(data, cache, **SMALL), tmp_path)
    assert without_times(report) == without_times(whole[1])
