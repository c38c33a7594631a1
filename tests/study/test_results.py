"""Results are read back from what cells wrote, and folds are joined."""

import json

import pytest

from fakd_jax.configs.study import get_config
from fakd_jax.errors import UserError
from fakd_jax.runs.files import CELL_FILE
from fakd_jax.study.cells import Cell
from fakd_jax.study.results import (
    collect,
    is_finished,
    mark_finished,
    replicates,
    require_same_data,
)

CONFIG = get_config()
CELL = Cell("official", 0, "student")
PROVENANCE = {"weights_sha256": "w", "data": {"fingerprint": "f"}, "split": "test"}


def write_cell(workdir, cell, *, report="evaluation"):
    """Leaves what a run leaves, its predictions one right and one wrong."""
    folder = workdir / cell.folder / report
    folder.mkdir(parents=True)
    metrics = {"accuracy": 0.5, "balanced_accuracy": 0.4, "missed_tumour": None, "ece": 0.2}
    metrics["provenance"] = PROVENANCE
    (folder / "metrics.json").write_text(json.dumps(metrics))
    rows = "id,label,prediction,p_a,p_b\na/1.png,a,a,1,0\nb/1.png,b,a,1,0\n"
    (folder / "predictions.csv").write_text(rows)


def test_a_cell_counts_from_its_mark_on(tmp_path):
    write_cell(tmp_path, CELL)
    assert collect(CONFIG, tmp_path, [CELL]) == []
    mark_finished(CONFIG, tmp_path, CELL, 12.5)
    assert is_finished(tmp_path, CELL)
    (result,) = collect(CONFIG, tmp_path, [CELL, Cell("official", 1, "student")])
    assert (result.cell, result.seconds) == (CELL, 12.5)
    assert result.right == {"a/1.png": True, "b/1.png": False}
    assert result.figures == {
        "accuracy": 0.5,
        "balanced_accuracy": 0.4,
        "missed_tumour_rate": None,
        "ece": 0.2,
    }


def test_a_teachers_report_lies_where_training_puts_it(tmp_path):
    teacher = Cell("official", 0, "teacher")
    write_cell(tmp_path, teacher, report="evaluation/teacher")
    mark_finished(CONFIG, tmp_path, teacher, 1.0)
    (result,) = collect(CONFIG, tmp_path, [teacher])
    assert result.metrics["accuracy"] == 0.5


def test_a_resumed_cell_took_what_its_records_tell(tmp_path):
    write_cell(tmp_path, CELL)
    records = [{"phase": "student", "seconds": seconds} for seconds in (30.0, 4.0)]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / CELL.folder / "metrics.jsonl").write_text(lines)
    mark_finished(CONFIG, tmp_path, CELL, 5.0)
    (result,) = collect(CONFIG, tmp_path, [CELL])
    assert result.seconds == 34.0


@pytest.mark.parametrize("damaged", ["evaluation/metrics.json", "evaluation/predictions.csv"])
def test_damage_is_told_with_what_to_do(tmp_path, damaged):
    write_cell(tmp_path, CELL)
    mark_finished(CONFIG, tmp_path, CELL, 1.0)
    (tmp_path / CELL.folder / damaged).write_text("id\nnothing\n")
    with pytest.raises(UserError, match=rf"official, seed 0, student.*delete .*{CELL_FILE}"):
        collect(CONFIG, tmp_path, [CELL])


@pytest.mark.parametrize(
    "change", [{"weights_sha256": "v"}, {"data": {"fingerprint": "e"}}, {"split": "val"}]
)
def test_an_evaluation_written_over_the_cells_own_is_told(tmp_path, change):
    write_cell(tmp_path, CELL)
    mark_finished(CONFIG, tmp_path, CELL, 1.0)
    file = tmp_path / CELL.folder / "evaluation" / "metrics.json"
    metrics = json.loads(file.read_text())
    file.write_text(json.dumps(metrics | {"provenance": PROVENANCE | {"dtype": "another"}}))
    assert len(collect(CONFIG, tmp_path, [CELL])) == 1
    file.write_text(json.dumps(metrics | {"provenance": PROVENANCE | change}))
    with pytest.raises(UserError, match=rf"not of the weights, .*delete .*{CELL_FILE}"):
        collect(CONFIG, tmp_path, [CELL])


def test_a_cell_that_does_not_say_what_it_evaluated_is_told(tmp_path):
    """As earlier versions ended theirs."""
    write_cell(tmp_path, CELL)
    mark_finished(CONFIG, tmp_path, CELL, 1.0)
    file = tmp_path / CELL.folder / CELL_FILE
    content = json.loads(file.read_text())
    del content["evaluated"]
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"delete .*{CELL_FILE}"):
        collect(CONFIG, tmp_path, [CELL])


def test_cells_of_different_data_are_refused(make_result):
    results = [make_result("student", 0, "10"), make_result("kd", 0, "10")]
    require_same_data([])
    require_same_data([], "f" * 64)
    require_same_data(results)
    require_same_data(results, "f" * 64)
    with pytest.raises(UserError, match=r"student ran on other .*f{12}\) than the next .*\(e{12}"):
        require_same_data(results, "e" * 64)
    with pytest.raises(UserError, match=r"kd ran on other .*e{12}\) than the cell .* student \(f"):
        require_same_data([results[0], make_result("kd", 0, "10", data="e" * 64)])


def test_folds_are_joined_once_all_are_there(make_result):
    results = [
        make_result("kd", 0, "1100", split="kfold", fold=0),
        make_result("kd", 0, "1", split="kfold", fold=1, missed=(0, 2)),
        make_result("kd", 1, "1", split="kfold", fold=0),
    ]
    cells = [Cell("kfold", seed, "kd", fold) for seed in (0, 1) for fold in (0, 1)]
    (joined,) = replicates(results, cells)
    assert (joined.split, joined.seed, joined.method) == ("kfold", 0, "kd")
    assert joined.figures["accuracy"] == (0.5 + 1.0) / 2
    assert joined.figures["missed_tumour_rate"] == (0.25 + 0.0) / 2
    assert len(joined.right) == 5
    assert sum(joined.right.values()) == 3


def test_a_mean_over_folds_is_undefined_where_one_of_them_is(make_result):
    results = [
        make_result("kd", 0, "10", split="kfold", fold=0),
        make_result("kd", 0, "10", split="kfold", fold=1, missed=None),
    ]
    (joined,) = replicates(results, [result.cell for result in results])
    assert joined.figures["missed_tumour_rate"] is None
    assert joined.figures["accuracy"] == 0.5
