"""The files of the report: what is written, and which of the workdir's records get in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakd_jax.errors import UserError
from fakd_jax.evaluation.report.files import MISTAKES_SHOWN, write_report
from fakd_jax.evaluation.report.plots import plot_confusion_matrix
from tests.evaluation.example_metrics import MATRIX, NAMES, example_metrics
from tests.evaluation.report.pages import PNG, SETTINGS, TO_AUDIT, words


class Images:
    """A data set of grey images."""

    class_names = NAMES

    def index_of(self, id: str) -> int:
        return int(id)

    def read(self, index: int) -> np.ndarray:
        return np.full((6, 5, 3), index, np.uint8)


def write(folder: Path, workdir: Path | None, **keywords: Any) -> str:
    plot_confusion_matrix(np.array(MATRIX), NAMES, folder / "confusion_matrix.png")
    predictions = np.concatenate([np.repeat([0, 1, 2], row) for row in MATRIX])
    write_report(
        folder,
        example_metrics(),
        Images(),
        [str(index) for index in range(40)],
        np.repeat([0, 1, 2], np.sum(MATRIX, axis=1)),
        np.eye(3, dtype=np.float32)[predictions],
        workdir,
        how_to_audit=TO_AUDIT,
        **keywords,
    )
    return words((folder / "report.html").read_text(encoding="utf-8"))


def test_the_report_is_written_with_its_pictures(tmp_path: Path) -> None:
    text = write(tmp_path, None, duplicates={"12": "train/5"})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "confusion_matrix.png",
        "reliability.png",
        "report.html",
        "risk_coverage.png",
    ]
    assert "8 of 8 wrong answers" in text
    assert MISTAKES_SHOWN > 8
    # Rows 12 to 15 are the astro that were called something else; all are equally confident.
    assert "1. astro, called negative astro 0.0 %, negative 100.0 %, zoster 0.0 % 12 " in text
    assert "duplicate in training: train/5" in text
    assert "in no workdir with a configuration" in text


def test_a_workdir_gives_curves_and_configuration(tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    workdir.mkdir()
    (workdir / "config.json").write_text(json.dumps(SETTINGS))
    (workdir / "metrics.jsonl").write_text('{"phase": "student", "kind": "val", "epoch": 1}\n')
    (tmp_path / "curves.png").write_bytes(PNG)
    text = write(tmp_path, workdir)
    assert "seed of the training 41" in text
    assert "record of epochs" not in text


def test_curves_of_an_earlier_report_are_not_taken_for_this_ones(tmp_path: Path) -> None:
    (tmp_path / "curves.png").write_bytes(PNG)
    assert "in no workdir with a record of epochs" in write(tmp_path, None)


def test_a_damaged_configuration_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        write(tmp_path, tmp_path)
