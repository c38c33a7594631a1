"""Results are read back from what cells wrote, and folds are joined."""

import json
from dataclasses import replace

import pytest

from fakd_jax.configs.study import get_config
from fakd_jax.errors import UserError
from fakd_jax.runs.files import CELL_FILE
from fakd_jax.study.cells import Cell, open_study
from fakd_jax.study.results import (
    METRICS,
    is_evaluated,
    is_finished,
    is_ready,
    mark_evaluated,
    mark_stressed,
    read_results,
    replicates,
    require_same_data,
)
from fakd_jax.study.stress import STRESS_METRICS, StressPlan
from tests.study.cell_files import PROVENANCE, write_cell, write_stress

CELL = Cell("official", 0, "student")


@pytest.fixture
def study(tmp_path):
    config = get_config()
    config.study.update({"seeds": (0, 1), "methods": ("teacher", "student")})
    return open_study(config, tmp_path)


@pytest.mark.parametrize(
    ("method", "report"), [("student", "evaluation"), ("teacher", "evaluation/teacher")]
)
def test_a_cell_counts_once_it_is_marked(study, method, report):
    cell = CELL.of_method(method)
    write_cell(study, cell, report=report)
    assert read_results(study) == []
    mark_evaluated(study, cell, 12.5)
    assert is_finished(study, cell)
    (result,) = read_results(study)
    assert (result.cell, result.seconds) == (cell, 12.5)
    assert result.right == {"a/1.png": True, "b/1.png": False}
    assert result.groups == {}
    assert list(result.metrics.values()) == [0.5, 0.4, None, 0.2]
    assert tuple(result.metrics) == METRICS


def test_the_duplicates_of_audited_data_are_read(study):
    write_cell(study, CELL)
    file = study.folder(CELL) / "evaluation" / "duplicate_groups.csv"
    file.write_text("id,group\na/1.png,3\nb/1.png,3\n")
    mark_evaluated(study, CELL, 1.0)
    (result,) = read_results(study)
    assert result.groups == {"a/1.png": "3", "b/1.png": "3"}
    (whole,) = replicates([result], [CELL]).values()
    assert whole.groups == result.groups
    file.write_text("id\na/1.png\n")
    with pytest.raises(UserError, match="duplicate_groups"):
        read_results(study)


def test_a_resumed_cell_takes_the_time_of_its_records(study):
    write_cell(study, CELL)
    record = {"phase": "student", "kind": "val", "step": 4}
    records = [record | {"seconds": seconds} for seconds in (30.0, 4.0)]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (study.folder(CELL) / "metrics.jsonl").write_text(lines)
    mark_evaluated(study, CELL, 5.0)
    (result,) = read_results(study)
    assert result.seconds == 34.0


@pytest.mark.parametrize(
    ("damaged", "content"),
    [
        ("evaluation/metrics.json", "no JSON"),
        ("evaluation/predictions.csv", "id\nnothing\n"),
        (CELL_FILE, '{"seconds": 1.0}'),
    ],
)
def test_damage_is_reported_with_what_to_do(study, damaged, content):
    write_cell(study, CELL)
    mark_evaluated(study, CELL, 1.0)
    (study.folder(CELL) / damaged).write_text(content)
    with pytest.raises(UserError, match=rf"official, seed 0, student.*delete .*{CELL_FILE}"):
        read_results(study)


@pytest.mark.parametrize(
    "change", [{"weights_sha256": "v"}, {"data": {"fingerprint": "e"}}, {"split": "val"}]
)
def test_an_evaluation_that_replaced_the_cells_own_is_refused(study, change):
    write_cell(study, CELL)
    mark_evaluated(study, CELL, 1.0)
    file = study.folder(CELL) / "evaluation" / "metrics.json"
    metrics = json.loads(file.read_text())
    file.write_text(json.dumps(metrics | {"provenance": PROVENANCE | {"dtype": "another"}}))
    assert len(read_results(study)) == 1
    file.write_text(json.dumps(metrics | {"provenance": PROVENANCE | change}))
    with pytest.raises(UserError, match=rf"not of the weights, .*delete .*{CELL_FILE}"):
        read_results(study)


def test_cells_of_different_data_are_refused(make_result):
    results = [make_result("student", 0, "10"), make_result("kd", 0, "10")]
    for fine, fingerprint in (([], None), ([], "f" * 64), (results, None), (results, "f" * 64)):
        require_same_data(fine, fingerprint)
    with pytest.raises(UserError, match=r"student ran on other .*f{12}\) than the next .*\(e{12}"):
        require_same_data(results, "e" * 64)
    with pytest.raises(UserError, match=r"kd ran on other .*e{12}\) than the cell .* student \(f"):
        require_same_data([results[0], make_result("kd", 0, "10", data="e" * 64)])


@pytest.mark.parametrize(("missed", "mean"), [((0, 2), (0.25 + 0.0) / 2), (None, None)])
def test_folds_are_joined_once_all_are_there(make_result, missed, mean):
    results = [
        make_result("kd", 0, "1100", split="kfold", fold=0),
        make_result("kd", 0, "1", split="kfold", fold=1, missed=missed),
        make_result("kd", 1, "1", split="kfold", fold=0),
    ]
    cells = [Cell("kfold", seed, "kd", fold) for seed in (0, 1) for fold in (0, 1)]
    (joined,) = replicates(results, cells).values()
    assert joined.cell == Cell("kfold", 0, "kd")
    assert joined.metrics["accuracy"] == (0.5 + 1.0) / 2
    assert joined.metrics["missed_tumour_rate"] == mean
    assert len(joined.right) == 5
    assert sum(joined.right.values()) == 3


@pytest.fixture
def stressed(study):
    """The study, once its cells are to be measured under four shifts."""
    return replace(study, stress=StressPlan((1, 3), ("gamma", "blur")))


def stress_folder(study):
    return study.folder(CELL) / "evaluation" / "stress"


def test_an_evaluated_cell_is_finished_once_it_is_stressed(study, stressed):
    write_cell(study, CELL)
    mark_evaluated(study, CELL, 12.0)
    assert is_finished(study, CELL)
    assert is_evaluated(stressed, CELL)
    assert not is_finished(stressed, CELL)
    assert read_results(stressed) == []
    write_stress(stress_folder(study))
    mark_stressed(stressed, CELL, stressed.stress, 3.0)
    assert is_finished(stressed, CELL)
    # Other severities are another stress test; without one, the cell is what it was.
    assert not is_finished(replace(study, stress=StressPlan((1,), ("gamma", "blur"))), CELL)
    (plain,), (result,) = read_results(study), read_results(stressed)
    assert (plain.seconds, plain.stress) == (12.0, None)
    assert tuple(plain.metrics) == METRICS
    assert result.seconds == 15.0
    assert tuple(result.metrics) == (*METRICS, *STRESS_METRICS)
    # The ECE is that of the predictions: 0.1 at severity 1, 0.3 at severity 3.
    assert list(result.stress.metrics.values()) == [0.5, 0.25, 0.125, pytest.approx(0.2)]
    assert result.stress.worst_family == "gamma"
    assert {id: image.right for id, image in result.stress.images.items()} == {
        "a/1.png": 3,
        "b/1.png": 1,
    }
    (whole,) = replicates([result], [CELL]).values()
    assert whole.stressed == result.stress.images


def test_a_student_waits_for_its_teacher_to_be_evaluated_not_stressed(tmp_path):
    config = get_config()
    config.study.update({"seeds": (0,), "methods": ("teacher", "kd")})
    config.study.stress.severities = (2,)
    made = open_study(config, tmp_path)
    teacher, kd = (CELL.of_method(name) for name in ("teacher", "kd"))
    assert not is_ready(made, kd)
    write_cell(made, teacher, report="evaluation/teacher")
    mark_evaluated(made, teacher, 1.0)
    assert is_ready(made, kd)
    assert not is_finished(made, teacher)


@pytest.mark.parametrize(
    "change",
    [
        {"provenance": PROVENANCE | {"weights_sha256": "v"}},
        {"severities": [1, 2, 3]},
        {"conditions": []},
    ],
)
def test_a_stress_test_that_replaced_the_cells_own_is_refused(stressed, change):
    write_cell(stressed, CELL)
    mark_evaluated(stressed, CELL, 1.0)
    write_stress(stress_folder(stressed), **change)
    mark_stressed(stressed, CELL, stressed.stress, 1.0)
    with pytest.raises(UserError, match=rf"delete .*{CELL_FILE}"):
        read_results(stressed)


def test_a_stress_test_of_other_images_is_refused(stressed):
    write_cell(stressed, CELL)
    mark_evaluated(stressed, CELL, 1.0)
    write_stress(stress_folder(stressed))
    mark_stressed(stressed, CELL, stressed.stress, 1.0)
    file = stress_folder(stressed) / "stress_images.csv"
    file.write_text(file.read_text().replace("b/1", "b/2"))
    with pytest.raises(UserError, match="other images"):
        read_results(stressed)


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"stress": 3}'])
def test_a_damaged_mark_of_a_stressed_study_is_named(stressed, content):
    write_cell(stressed, CELL)
    (stressed.folder(CELL) / CELL_FILE).write_text(content)
    with pytest.raises(UserError, match=rf"official, seed 0, student.*delete .*{CELL_FILE}"):
        is_finished(stressed, CELL)
