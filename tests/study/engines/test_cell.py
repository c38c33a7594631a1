"""One cell: trained and evaluated once, and stressed from there however often it is stopped."""

from types import SimpleNamespace

import pytest

from fakd_jax.configs.study import get_config
from fakd_jax.errors import UserError
from fakd_jax.study.cells import Cell, open_study
from fakd_jax.study.engines import cell as engine
from fakd_jax.study.results import is_evaluated, is_finished, read_results, unfinished
from tests.study.cell_files import write_cell, write_stress

CELL = Cell("official", 0, "student")
DATA = SimpleNamespace(dataset=SimpleNamespace(fingerprint="f", is_unsplit=False))


@pytest.fixture
def study(tmp_path):
    config = get_config()
    config.study.update({"seeds": (0,), "methods": ("student",)})
    config.study.stress.update({"severities": (1, 3), "families": ("gamma", "blur")})
    return open_study(config, tmp_path)


@pytest.fixture
def calls(study, monkeypatch):
    """What was done, in order; the stress test is interrupted at first."""
    made = []

    def train_and_evaluate(settings, workdir, **keywords):
        made.append("train")
        write_cell(study, CELL)

    def stress_cell(settings, workdir, plan):
        made.append("stress")
        if made.count("stress") == 1:
            raise KeyboardInterrupt
        write_stress(workdir / "evaluation" / "stress")

    monkeypatch.setattr(engine, "train_and_evaluate", train_and_evaluate)
    monkeypatch.setattr(engine, "stress_cell", stress_cell)
    return made


def test_a_cell_stopped_in_its_stress_test_goes_on_there(study, calls):
    with pytest.raises(KeyboardInterrupt):
        engine.run_cell(study, CELL, DATA)
    assert is_evaluated(study, CELL)
    assert unfinished(study) == [CELL]
    engine.run_cell(study, CELL, DATA)
    assert calls == ["train", "stress", "stress"]
    assert is_finished(study, CELL)
    (result,) = read_results(study)
    assert result.stress.worst_family == "gamma"


def test_an_error_in_the_stress_test_names_the_cell(study, calls, monkeypatch):
    def refuse(settings, workdir, plan):
        raise UserError("the disk is full")

    monkeypatch.setattr(engine, "stress_cell", refuse)
    with pytest.raises(UserError, match="official, seed 0, student: the disk is full"):
        engine.run_cell(study, CELL, DATA)
    assert is_evaluated(study, CELL)


def test_data_that_changed_since_the_evaluation_are_not_stressed(study, calls):
    with pytest.raises(KeyboardInterrupt):
        engine.run_cell(study, CELL, DATA)
    changed = SimpleNamespace(dataset=SimpleNamespace(fingerprint="g", is_unsplit=False))
    with pytest.raises(UserError, match="ran on other data"):
        engine.run_cell(study, CELL, changed)
    assert calls == ["train", "stress"]
