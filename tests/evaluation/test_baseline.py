"""The evaluation to compare with: where it is looked for, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakd_jax.errors import UserError
from fakd_jax.evaluation.baseline import compare_with_baseline, open_baseline, require_same_images
from fakd_jax.metrics.comparison import mcnemar_exact

ROWS = {"a": ("glioma", "glioma"), "b": ("glioma", "notumor"), "c": ("notumor", "notumor")}
IDENTITY = {"arch": "resnet50", "config": "teacher", "checkpoint": "?", "weights_sha256": "0a"}
HERE, THERE = "ab" * 32, "cd" * 32


def write_evaluation(folder: Path, checkpoint: str, **provenance: Any) -> Path:
    folder.mkdir(parents=True)
    lines = [",".join((id, *row, "0.5")) for id, row in ROWS.items()]
    file = folder / "predictions.csv"
    file.write_text("id,label,prediction,p_glioma\n" + "\n".join(lines) + "\n")
    provenance |= {**IDENTITY, "checkpoint": checkpoint, "dtype": "float32"}
    (folder / "metrics.json").write_text(json.dumps({"provenance": provenance}))
    return file


def write_checkpoint(folder: Path) -> Path:
    (folder / "model").mkdir(parents=True)
    (folder / "metadata.json").write_text("{}")
    return folder


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """A run whose best student and teacher have been evaluated."""
    for checkpoint in ("student/best/7", "student/last/9", "teacher/best/3"):
        write_checkpoint(tmp_path / "run" / checkpoint)
    write_evaluation(tmp_path / "run" / "evaluation", "student/best/7")
    write_evaluation(tmp_path / "run" / "evaluation" / "teacher", "teacher/best/3")
    return tmp_path / "run"


def test_every_way_to_name_an_evaluation(workdir: Path) -> None:
    student, teacher = (workdir / name for name in ("evaluation", "evaluation/teacher"))
    for path, folder in (
        (student / "predictions.csv", student),
        (student, student),
        (workdir, student),
        (workdir / "student", student),
        (workdir / "student" / "best" / "7", student),
        (workdir / "teacher", teacher),
        (str(workdir / "teacher" / "best"), teacher),
    ):
        baseline = open_baseline(path)
        assert baseline.file == folder / "predictions.csv"
        assert baseline.predictions == ROWS
    assert baseline.identity == {**IDENTITY, "checkpoint": "teacher/best/3"}


def test_another_checkpoints_evaluation_is_not_taken_for_it(workdir: Path) -> None:
    with pytest.raises(UserError, match="is of student/best/7, not of student/last/9"):
        open_baseline(workdir / "student" / "last")


def test_what_has_not_been_evaluated(workdir: Path, tmp_path: Path) -> None:
    (workdir / "evaluation" / "teacher" / "predictions.csv").unlink()
    with pytest.raises(UserError, match=r"has not been evaluated.*run python -m"):
        open_baseline(workdir / "teacher")
    with pytest.raises(UserError, match="outside a workdir"):
        open_baseline(write_checkpoint(tmp_path / "alone"))
    with pytest.raises(UserError, match="no checkpoint"):
        open_baseline(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"id,label\na,b\n", b"\xff\xfe", b"a picture"])
def test_a_file_that_holds_no_predictions(workdir: Path, content: bytes) -> None:
    file = workdir / "evaluation" / "predictions.csv"
    file.write_bytes(content + b"\n1,2\n")
    with pytest.raises(UserError, match=r"not the predictions\.csv") as refused:
        open_baseline(file)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [None, "{}", "[]", "no JSON", '{"provenance": []}', '{"provenance": {"arch": "a"}}'],
)
def test_predictions_of_nobody_known(workdir: Path, content: str | None) -> None:
    file = workdir / "evaluation" / "metrics.json"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(UserError, match="does not name the model"):
        open_baseline(workdir)


def test_the_same_images_in_another_order_are_the_same(workdir: Path) -> None:
    baseline = open_baseline(workdir)
    require_same_images(baseline, ["c", "a", "b"], ["notumor", "glioma", "glioma"], HERE)
    compared = compare_with_baseline(
        baseline, ["c", "a", "b"], np.array([False, True, True]), np.arange(3)
    )
    assert compared["with"] == baseline.identity
    assert compared["both_right"] == 1  # a
    assert compared["only_this_right"] == 1  # b
    assert compared["only_other_right"] == 1  # c
    assert compared["mcnemar_p"] == mcnemar_exact(1, 1) == 1


def test_other_images_or_labels_are_refused(workdir: Path) -> None:
    baseline = open_baseline(workdir)
    with pytest.raises(UserError, match=r"other images \(3 there, 2 here; c is in only one\)"):
        require_same_images(baseline, ["a", "b"], ["glioma", "glioma"], HERE)
    with pytest.raises(UserError, match="other images"):
        require_same_images(baseline, ["a", "b", "d"], ["glioma", "glioma", "notumor"], HERE)
    with pytest.raises(UserError, match=r"b is labelled glioma .* and notumor"):
        require_same_images(baseline, ["a", "b", "c"], ["glioma", "notumor", "notumor"], HERE)


@pytest.mark.parametrize("data", [None, {}, {"fingerprint": None}, {"fingerprint": HERE}])
def test_data_that_is_the_same_or_not_named(tmp_path: Path, data: dict | None) -> None:
    baseline = open_baseline(write_evaluation(tmp_path / "report", "student/best/7", data=data))
    require_same_images(baseline, list(ROWS), [label for label, _ in ROWS.values()], HERE)


def test_the_same_names_of_other_data_are_refused(tmp_path: Path) -> None:
    there = write_evaluation(tmp_path / "report", "student/best/7", data={"fingerprint": THERE})
    labels = [label for label, _ in ROWS.values()]
    with pytest.raises(UserError, match=r"other data \(fingerprint cdcdcdcdcdcd there, abab"):
        require_same_images(open_baseline(there), list(ROWS), labels, HERE)
