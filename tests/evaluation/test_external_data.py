"""Evaluation on data that are not the run's: other names, absent classes, no splits, patients."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from fakd_jax.errors import UserError
from fakd_jax.metrics.resampling import wilson_interval
from tests.evaluation.runs import draw_no_figures, evaluate
from tests.tiny import save_tiny_checkpoint, write_image


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A table of four images of two classes, spelled otherwise, of three patients."""
    folder = tmp_path / "elsewhere"
    rows = [("0", "Glioma_tumor", 1), ("1", "Glioma_tumor", 1), ("2", "normal", 2), ("3", "no", 3)]
    for name, _, _ in rows:
        write_image(folder / f"{name}.png", int(name))
    with (folder / "table.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([("path", "label", "patient"), *rows])
        csv.writer(lines).writerow(("x.png", "abscess", 4))
    write_image(folder / "x.png", 9)
    table = (folder / "table.csv").read_text()
    for name in "0123":
        table = table.replace(f"\n{name},", f"\n{name}.png,")
    (folder / "table.csv").write_text(table)
    return folder / "table.csv"


def test_absent_classes_and_other_names_are_evaluated(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_no_figures(monkeypatch)
    run, lines = save_tiny_checkpoint(tmp_path / "run"), []
    cache = tmp_path / "cache"
    with pytest.raises(UserError, match="abscess are none of the checkpoint's"):
        evaluate(run, source=str(source), cache_dir=cache)
    metrics = evaluate(
        run, source=str(source), cache_dir=cache, class_map="abscess=", log=lines.append
    )
    assert metrics["n"] == 4
    assert {name: row["support"] for name, row in metrics["per_class"].items()} == {
        "glioma": 2,
        "meningioma": 0,
        "notumor": 2,
        "pituitary": 0,
    }
    for name in ("meningioma", "pituitary"):
        row = metrics["per_class"][name]
        assert row["recall"] is row["f1"] is row["auroc"] is None
        assert any(note.startswith(f"{name} has no examples") for note in metrics["notes"])
        assert any("absent classes" in line and name in line for line in lines)
    assert metrics["bootstrap"]["units"] == 3
    assert metrics["provenance"]["data"]["class_map"] == {
        "Glioma_tumor": "glioma",
        "abscess": "",
        "no": "notumor",
        "normal": "notumor",
    }
    matrix = np.array(metrics["confusion_matrix"])
    right = int(matrix.trace())
    assert metrics["accuracy_ci95"] == pytest.approx(wilson_interval(right, 4))
    (folder,) = run.glob("evaluation-*")
    assert re.fullmatch(r"evaluation-[\w.-]+-[0-9a-f]{8}", folder.name)
    assert json.loads((folder / "metrics.json").read_text())["n"] == 4
    assert not (run / "evaluation").exists()
    assert "--class-map" in next(note for note in metrics["notes"] if "audit" in note)
