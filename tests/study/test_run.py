"""Whole studies of tiny networks: their files, and that interrupted ones end the same."""

import csv
import json
import shutil

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
from tests.study.small_study import SMALL_STUDY, without_times
from tests.tiny import tiny_config, tiny_study


def times_of_change(workdir):
    """When each file below the cells' folders was written."""
    return {file: file.stat().st_mtime_ns for file in (workdir / "official").rglob("*")}


def test_a_study_leaves_its_report_and_ordinary_runs(whole):
    workdir, report = whole
    assert json.loads((workdir / "study.json").read_text()) == report
    assert len(list(csv.DictReader((workdir / "study.csv").open()))) == 3
    assert "minus student, paired by seed" in (workdir / "study.txt").read_text()
    assert (workdir / "study.png").is_file()
    for method in SMALL_STUDY["methods"]:
        cell = workdir / "official" / "seed0" / method
        for name in ("config.json", "split.json", "metrics.jsonl", "train.log", "curves.png"):
            assert (cell / name).is_file(), (method, name)


def test_cells_of_a_seed_share_split_and_teacher_and_report_their_metrics(whole):
    cells = whole[0] / "official" / "seed0"
    assert (
        len({(cells / method / "split.json").read_text() for method in SMALL_STUDY["methods"]}) == 1
    )
    config = json.loads((cells / "fakd" / "config.json").read_text())
    assert config["teacher"]["checkpoint"] == str(cells / "teacher")
    assert not (cells / "fakd" / "teacher").exists()
    student = json.loads((cells / "student" / "evaluation" / "metrics.json").read_text())
    (row,) = [row for row in whole[1]["cells"] if row["method"] == "student"]
    assert row["accuracy"] == student["accuracy"]
    assert row["missed_tumours"] == student["missed_tumour"]["count"]


class NeverAskedEngine(local.LocalEngine):
    """An engine for which it costs something to find out its precision."""

    def compute_dtype(self, name):
        pytest.fail("asked for the precision")


def test_a_finished_study_only_reports_again(whole, data, cache, monkeypatch):
    workdir, report = whole
    before = times_of_change(workdir)
    monkeypatch.setattr(
        local, "open_experiment_data", lambda config: pytest.fail("opened the data")
    )
    config = tiny_study(data, cache, **SMALL_STUDY)
    kept = (workdir / CONFIG_FILE).read_bytes()
    assert run_study(config, workdir, NeverAskedEngine()) == report
    assert times_of_change(workdir) == before
    assert (workdir / CONFIG_FILE).read_bytes() == kept
    assert config.base.dtype == "auto"


def test_another_studys_workdir_is_refused(whole, data, cache):
    config = tiny_study(data, cache, **SMALL_STUDY)
    config.base.distillation.alpha = 0.25
    with pytest.raises(UserError, match=r"another config.*base\.distillation\.alpha was 0\.5"):
        run_study(config, whole[0], NeverAskedEngine())


def test_the_workdir_of_a_run_is_refused(whole, data, cache, tmp_path):
    (tmp_path / CONFIG_FILE).write_bytes(
        (whole[0] / "official" / "seed0" / "student" / CONFIG_FILE).read_bytes()
    )
    with pytest.raises(UserError, match="another config"):
        run_study(tiny_study(data, cache, **SMALL_STUDY), tmp_path, NeverAskedEngine())


def test_a_method_may_be_added_but_not_changed(whole, data, cache, tmp_path):
    workdir = shutil.copytree(whole[0], tmp_path / "study")
    config = tiny_study(data, cache, **SMALL_STUDY)
    with config.unlocked():
        config.changes.dkd = {"distillation": {"terms": {"tckd": 1.0, "nckd": 8.0}}}
        config.study.teachers = {"dkd": "teacher"}
    assert run_study(config, workdir, NeverAskedEngine()) == whole[1]
    kept = json.loads((workdir / CONFIG_FILE).read_text())
    assert kept["changes"]["dkd"]["distillation"]["terms"]["nckd"] == 8
    config.changes.dkd.distillation.terms.nckd = 4.0
    with pytest.raises(UserError, match=r"changes\.dkd\.distillation\.terms\.nckd was 8\.0"):
        run_study(config, workdir, NeverAskedEngine())


def test_a_second_teacher_may_be_added(whole, data, cache, tmp_path):
    workdir = shutil.copytree(whole[0], tmp_path / "study")
    config = tiny_study(data, cache, **SMALL_STUDY)
    learning = [name for name in config.changes if name in ("kd", "feature", "fakd")]
    with config.unlocked():
        config.changes.big = config.changes.teacher.to_dict() | {"teacher": {"num_epochs": 2}}
        config.study.teachers = dict.fromkeys(learning, "teacher")
    assert run_study(config, workdir, NeverAskedEngine()) == whole[1]
    config.study.teachers.fakd = "big"
    config.study.methods = (*SMALL_STUDY["methods"], "big")
    with pytest.raises(UserError, match=r"teachers\.fakd was 'teacher', is 'big'"):
        run_study(config, workdir, NeverAskedEngine())


@pytest.mark.parametrize("change", [{"study.seeds": ()}, {"base.student.num_epochs": 0}])
def test_a_mistake_in_the_config_is_refused_before_an_engine_starts(data, cache, tmp_path, change):
    config = tiny_study(data, cache)
    config.update_from_flattened_dict(change)
    with pytest.raises(UserError, match=next(iter(change))):
        run_study(config, tmp_path, NeverAskedEngine())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_interrupted_between_cells_it_resumes_with_the_next(
    whole, data, cache, tmp_path, monkeypatch
):
    finished = engines_cell.mark_evaluated

    def interrupt_after_the_second(study, cell, seconds):
        finished(study, cell, seconds)
        if cell.method == "student":
            raise KeyboardInterrupt

    monkeypatch.setattr(engines_cell, "mark_evaluated", interrupt_after_the_second)
    config = tiny_study(data, cache, **SMALL_STUDY)
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
    report = run_study(tiny_study(data, cache, **SMALL_STUDY), moved)
    assert without_times(report) == without_times(whole[1])


def test_data_that_changed_stop_a_study_before_its_next_cell(whole, data, cache, tmp_path):
    copy, other = tmp_path / "copy", tmp_path / "data"
    shutil.copytree(whole[0], copy)
    (copy / "official" / "seed0" / "fakd" / "cell.json").unlink()
    shutil.copytree(data, other)
    (other / "Training" / "glioma" / "000.png").unlink()
    config = tiny_study(data, cache, **SMALL_STUDY)
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


@pytest.mark.slow
def test_a_finished_study_is_stressed_later_and_goes_on_where_it_stopped(
    whole, data, cache, tmp_path, monkeypatch
):
    workdir = tmp_path / "study"
    shutil.copytree(whole[0], workdir)
    stress = {"severities": (1, 2), "families": ("gamma", "rotation")}
    config = tiny_study(data, cache, stress=stress, comparisons=("fakd:teacher",), **SMALL_STUDY)
    monkeypatch.setattr(engines_cell, "train_and_evaluate", lambda *_, **__: pytest.fail("trained"))
    stressed = engines_cell.mark_stressed

    def interrupt_before_the_second(study, cell, *arguments):
        if cell.method == "student":
            raise KeyboardInterrupt
        stressed(study, cell, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(engines_cell, "mark_stressed", interrupt_before_the_second)
        with pytest.raises(KeyboardInterrupt):
            run_study(config, workdir)
    partial = write_report(open_study(config, workdir))
    assert [row["method"] for row in partial["cells"]] == ["teacher"]
    report = run_study(config, workdir)
    assert report["missing"] == []
    for row in report["cells"]:
        folder = workdir / "official" / "seed0" / row["method"] / "evaluation"
        folder = folder / "teacher" if row["method"] == "teacher" else folder
        test = json.loads((folder / "stress" / "stress.json").read_text())
        assert row["stress_accuracy"] == test["summary"]["mean"]["accuracy"]
        at_two = [each["accuracy"] for each in test["conditions"] if each["severity"] == 2]
        assert row["stress_worst_accuracy"] == min(at_two)
    pairs = [(row["method"], row["reference"]) for row in report["differences"]]
    assert pairs == [("teacher", "student"), ("fakd", "student"), ("fakd", "teacher")]
    assert all(0 < row["stress_sign_flip_p"] <= 1 for row in report["differences"])
    # Without shifts the study is what it was before.
    assert without_times(run_study(tiny_study(data, cache, **SMALL_STUDY), workdir)) == (
        without_times(whole[1])
    )
