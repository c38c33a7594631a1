"""A whole run through the train door.

A file of its own, for files with few tests run last: its programs have been compiled by then.
"""

import json
from pathlib import Path

import pytest

from fakd_jax import train
from fakd_jax.cli import runner as cli
from fakd_jax.evaluation.run import evaluate_checkpoint
from fakd_jax.runs.workdir import read_records
from tests.tiny import as_flags, tiny_overrides, write_images

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "fakd.py"


@pytest.mark.slow
def test_a_whole_run_trains_and_evaluates_both_networks(tmp_path):
    data = write_images(tmp_path / "data")
    workdir = tmp_path / "run"
    overrides = tiny_overrides(data, tmp_path / "cache")
    cli.run_command(
        train.main, [f"--config={CONFIG}", f"--workdir={workdir}", *as_flags(overrides)]
    )
    for name in ("curves.png", "train.log", "evaluation/metrics.json", "evaluation/table2.txt"):
        assert (workdir / name).is_file(), name
    student = json.loads((workdir / "evaluation" / "metrics.json").read_text())
    teacher = json.loads((workdir / "evaluation" / "teacher" / "metrics.json").read_text())
    assert student["provenance"]["arch"] == "tiny_mobilenet"
    assert teacher["provenance"]["arch"] == "tiny_resnet"
    assert student["n"] == teacher["n"] == 16
    # The colour gives the class away: two epochs must learn something of it.
    assert teacher["accuracy"] > 0.5

    cli.run_command(train.main, [f"--reproduce={workdir}"])
    again = tmp_path / "run-reproduced"
    reproduction = json.loads((again / "reproduction.json").read_text())
    assert reproduction["same"]
    kinds = ("losses", "weights", "metrics")
    expected = ["split", *(f"{phase} {kind}" for phase in ("teacher", "student") for kind in kinds)]
    assert [comparison["name"] for comparison in reproduction["comparisons"]] == expected

    records = (workdir / "metrics.jsonl").read_text()
    (workdir / "metrics.jsonl").write_text(records.replace('"loss": ', '"loss": 1', 1))
    with pytest.raises(SystemExit) as end:
        cli.run_command(train.main, [f"--reproduce={workdir}"])
    assert end.value.code == 1


@pytest.mark.slow
def test_the_robust_recipe_is_stored_and_reproduced(tmp_path):
    workdir = tmp_path / "run"
    overrides = tiny_overrides(write_images(tmp_path / "data"), tmp_path / "cache")
    overrides |= {"augmentation.shifts.inversion": 0, "teacher.num_epochs": 1}
    flags = as_flags(overrides | {"student.num_epochs": 1})
    train.main(["--config=robust", f"--workdir={workdir}", *flags])
    for folder in ("evaluation", "evaluation/teacher"):
        metrics = json.loads((workdir / folder / "metrics.json").read_text())
        assert metrics["provenance"]["preprocessing"]["intensity"] == "head_percentiles"
    stored = json.loads((workdir / "config.json").read_text())["augmentation"]["shifts"]
    assert (stored["gamma"], stored["inversion"]) == (3.0, 0.0)
    train.main([f"--reproduce={workdir}"])
    assert json.loads((tmp_path / "run-reproduced" / "reproduction.json").read_text())["same"]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_evaluation_gives_what_validation_gave(tmp_path, dtype):
    overrides = tiny_overrides(write_images(tmp_path / "data", train=20), tmp_path / "cache")
    workdir = tmp_path / "run"
    flags = as_flags(overrides | {"dtype": dtype, "teacher.num_epochs": 1})
    train.main(["--config=teacher", f"--workdir={workdir}", *flags])
    (validated,) = [record for record in read_records(workdir) if record["kind"] == "val"]
    evaluated = evaluate_checkpoint(
        workdir / "teacher", split="val", output=tmp_path / "val", latency=False
    )
    assert evaluated["provenance"]["dtype"] == dtype
    assert evaluated["n"] == 16
    assert evaluated["accuracy"] == validated["accuracy"]
    assert evaluated["nll"] == pytest.approx(validated["ce"], rel=1e-5)
