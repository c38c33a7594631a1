"""Evaluation of audited data: metrics with and without duplicates of training images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from fakd_jax.audit.record import audit_duplicates
from fakd_jax.data.sources import open_dataset
from fakd_jax.data.splits import make_split
from fakd_jax.evaluation.run import evaluate_checkpoint
from tests.evaluation.runs import NAMES, write_images, write_run

COPIED = "Testing/glioma/1.png"
ORIGINAL = "Training/glioma/2.png"


def silent(line: str) -> None:
    pass


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Noise, in which one test image is a mirrored training image."""
    folder = write_images(tmp_path / "images", NAMES)
    with Image.open(folder / ORIGINAL) as original:
        ImageOps.mirror(original).save(folder / COPIED)
    return folder


def evaluate(data: Path, tmp_path: Path, kind: str) -> tuple[dict[str, Any], Path]:
    cache = tmp_path / "cache"
    dataset = open_dataset(str(data), cache_dir=cache, log=silent)
    audit = audit_duplicates(dataset, cache, silent)
    split = make_split(dataset, kind=kind, seed=0, groups=audit.groups, audit=audit.fingerprint)
    workdir = write_run(tmp_path / "workdir", dataset, cache, split)
    metrics = evaluate_checkpoint(workdir, latency=False, log=silent)
    assert metrics["subsets"]["audit"] == audit.fingerprint
    return metrics, workdir / "evaluation"


def test_an_official_split_with_and_without_duplicates(data, tmp_path):
    metrics, folder = evaluate(data, tmp_path, "official")
    every, duplicate, no_duplicate = metrics["subsets"]["rows"]
    assert (metrics["n"], every["n"], duplicate["n"], no_duplicate["n"]) == (9, 9, 1, 8)
    assert every["accuracy"] == metrics["accuracy"]
    assert metrics["bootstrap"]["unit"] == "duplicate group"
    assert "no duplicate" in (folder / "table2.txt").read_text(encoding="utf-8")


def test_a_deduplicated_run_leaves_duplicates_out_of_its_metrics_and_counts_them_apart(
    data, tmp_path
):
    metrics, folder = evaluate(data, tmp_path, "deduplicated")
    every, duplicate, no_duplicate = metrics["subsets"]["rows"]
    assert (metrics["n"], every["n"], duplicate["n"], no_duplicate["n"]) == (8, 9, 1, 8)
    assert no_duplicate["accuracy"] == metrics["accuracy"]
    assert COPIED not in (folder / "predictions.csv").read_text(encoding="utf-8")
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "1 of 9 images have a duplicate among the training images. 1 test images" in report
    assert metrics["provenance"]["trained_on_split"] == "deduplicated, seed 0"
    assert metrics["provenance"]["trained_on_audit"] == metrics["subsets"]["audit"]


def test_a_grouped_run_has_no_duplicates(data, tmp_path):
    metrics, _ = evaluate(data, tmp_path, "grouped")
    every, duplicate, no_duplicate = metrics["subsets"]["rows"]
    assert duplicate["n"] == 0
    assert every["n"] == no_duplicate["n"] == metrics["n"]


def test_without_an_audit_a_note_gives_the_command(data, tmp_path):
    cache = tmp_path / "cache"
    dataset = open_dataset(str(data), cache_dir=cache, log=silent)
    split = make_split(dataset, seed=0)
    workdir = write_run(tmp_path / "workdir", dataset, cache, split)
    metrics = evaluate_checkpoint(workdir, latency=False, log=silent)
    assert metrics["subsets"] is None
    command = f"python -m fakd_jax.audit --data {data} --cache-dir {cache}"
    assert (
        f"the data has not been checked for duplicates of training images: {command}"
        in metrics["notes"]
    )
    assert command in (workdir / "evaluation" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", ["outside a workdir", "other data"])
def test_audited_data_whose_training_images_are_unknown(place, data, tmp_path):
    cache = tmp_path / "cache"
    dataset = open_dataset(str(data), cache_dir=cache, log=silent)
    workdir = write_run(tmp_path / "workdir", dataset, cache, make_split(dataset, seed=0))
    if place == "other data":
        checkpoint, tested = workdir, write_images(tmp_path / "other", NAMES, seed=1)
    else:
        checkpoint, tested = tmp_path / "alone", data
        shutil.copytree(workdir / "student" / "best" / "7", checkpoint)
    audit = audit_duplicates(open_dataset(str(tested), cache_dir=cache, log=silent), cache, silent)
    folder = tmp_path / "report"
    metrics = evaluate_checkpoint(
        checkpoint, source=str(tested), output=folder, latency=False, log=silent
    )
    assert metrics["subsets"] == {"audit": audit.fingerprint, "rows": None}
    assert metrics["bootstrap"]["unit"] == "duplicate group"
    assert any(note.startswith("the data was audited, but") for note in metrics["notes"])
    text = (folder / "report.html").read_text() + (folder / "table2.txt").read_text()
    assert "fakd_jax.audit" not in text
