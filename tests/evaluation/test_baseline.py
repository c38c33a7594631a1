"""The evaluation to compare with: where it is looked for, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakd_jax.errors import UserError
from fakd_jax.evaluation.baseline import compare_with_baseline, of_same_images, open_baseline
from fakd_jax.evaluation.predictions_file import contents_csv
from fakd_jax.metrics.comparison import mcnemar_exact

ROWS = {"a": ("glioma", "glioma"), "b": ("glioma", "notumor"), "c": ("notumor", "notumor")}
IDENTITY = {"arch": "resnet50", "config": "teacher", "checkpoint": "?", "weights_sha256": "0a"}
HERE = "ab" * 32
CONTENTS = {"a": "0a", "b": "0b", "c": "0c"}


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


def test_of_several_evaluations_that_of_the_same_images_is_taken(workdir: Path) -> None:
    for name, (fingerprint, split) in {"val": ("f1", "val"), "scans-f2": ("f2", "test")}.items():
        folder = workdir / f"evaluation-{name}"
        data = {"fingerprint": fingerprint}
        write_evaluation(folder, "student/best/7", data=data, split=split)
        assert open_baseline(workdir, (fingerprint, split)).file.parent == folder
    assert open_baseline(workdir, ("f3", "test")).file.parent == workdir / "evaluation"
    assert open_baseline(workdir).file.parent == workdir / "evaluation"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("run/student/last", "is of student/best/7, not of student/last/9"),
        ("run/teacher", r"has not been evaluated.*run python -m"),
        ("alone", "outside a workdir"),
        ("nowhere", "no checkpoint"),
    ],
)
def test_what_has_not_been_evaluated(
    workdir: Path, tmp_path: Path, path: str, message: str
) -> None:
    (workdir / "evaluation" / "teacher" / "predictions.csv").unlink()
    write_checkpoint(tmp_path / "alone")
    with pytest.raises(UserError, match=message):
        open_baseline(tmp_path / path)


@pytest.mark.parametrize("content", [b"id,label\na,b\n", b"\xff\xfe"])
def test_a_file_that_holds_no_predictions(workdir: Path, content: bytes) -> None:
    file = workdir / "evaluation" / "predictions.csv"
    file.write_bytes(content + b"\n1,2\n")
    with pytest.raises(UserError, match=r"not the predictions\.csv"):
        open_baseline(file)


@pytest.mark.parametrize("content", [None, "[]", "no JSON", '{"provenance": {"arch": "a"}}'])
def test_predictions_of_nobody_known(workdir: Path, content: str | None) -> None:
    file = workdir / "evaluation" / "metrics.json"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(UserError, match="does not name the model"):
        open_baseline(workdir)


def test_the_same_images_in_another_order_are_the_same(workdir: Path) -> None:
    baseline = open_baseline(workdir)
    contents = {id: CONTENTS[id] for id in "cab"}
    baseline = of_same_images(baseline, contents, ["notumor", "glioma", "glioma"], HERE)
    compared = compare_with_baseline(
        baseline, ["c", "a", "b"], np.array([False, True, True]), np.arange(3)
    )
    assert compared["with"] == baseline.identity
    counts = [compared[key] for key in ("both_right", "only_this_right", "only_other_right")]
    assert counts == [1, 1, 1]  # a, b, c
    assert compared["mcnemar_p"] == mcnemar_exact(1, 1) == 1


@pytest.mark.parametrize(
    ("ids", "labels", "message"),
    [
        ("ab", ["glioma", "glioma"], r"other images \(3 there, 2 here; c is in only one\)"),
        ("abd", ["glioma", "glioma", "notumor"], "other images"),
        ("abc", ["glioma", "notumor", "notumor"], r"b is labelled glioma .* and notumor"),
    ],
)
def test_other_images_or_labels_are_refused(
    workdir: Path, ids: str, labels: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        of_same_images(open_baseline(workdir), dict.fromkeys(ids, ""), labels, HERE)


@pytest.mark.parametrize("data", [None, {}, {"fingerprint": None}, {"fingerprint": HERE}])
def test_data_that_is_the_same_or_not_named(tmp_path: Path, data: dict | None) -> None:
    baseline = open_baseline(write_evaluation(tmp_path / "report", "student/best/7", data=data))
    assert of_same_images(baseline, CONTENTS, LABELS, HERE).predictions == ROWS


LABELS = [label for label, _ in ROWS.values()]
RENAMED = {"x": "0a", "y": "0b", "c": "0c"}


def test_images_of_changed_data_are_paired_by_content(tmp_path: Path) -> None:
    file = write_evaluation(tmp_path / "report", "student/best/7", data={"fingerprint": "cd" * 32})
    with pytest.raises(UserError, match=r"no images\.csv beside it"):
        of_same_images(open_baseline(file), CONTENTS, LABELS, HERE)
    file.with_name("images.csv").write_text(contents_csv(CONTENTS))
    baseline = open_baseline(file)
    assert of_same_images(baseline, CONTENTS, LABELS, HERE).predictions == ROWS
    assert of_same_images(baseline, RENAMED, LABELS, HERE).predictions == {
        "x": ROWS["a"],
        "y": ROWS["b"],
        "c": ROWS["c"],
    }
    with pytest.raises(UserError, match=r"other images \(3 there, 3 here; b is in only one\)"):
        of_same_images(baseline, RENAMED | {"y": "0d"}, LABELS, HERE)
    with pytest.raises(UserError, match="x is labelled glioma"):
        of_same_images(baseline, RENAMED, ["notumor", *LABELS[1:]], HERE)
    file.with_name("images.csv").write_text("id,what\na,0a\n")
    with pytest.raises(UserError, match=r"not the images\.csv of an evaluation"):
        open_baseline(file)
