"""Evaluation of audited data: metrics with and without duplicates of training images."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from fakd_jax.audit.record import audit_duplicates
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.sources import open_dataset
from fakd_jax.data.splits import make_split
from fakd_jax.evaluation.collect import GROUPS_COUNT_AS_DUPLICATES, SPLIT_UNKNOWN
from fakd_jax.evaluation.predictions_file import read_duplicate_groups
from tests.evaluation.runs import NAMES, draw_no_figures, evaluate, silent, write_images, write_run

COPIED = "Testing/glioma/1.png"
ORIGINAL = "Training/glioma/2.png"


@pytest.fixture(autouse=True)
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Duplicates change no figure."""
    draw_no_figures(monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Noise, in which one test image is a mirrored training image."""
    folder = write_images(tmp_path / "images", NAMES)
    with Image.open(folder / ORIGINAL) as original:
        ImageOps.mirror(original).save(folder / COPIED)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def dataset(data: Path, cache: Path) -> ImageDataset:
    return open_dataset(str(data), cache_dir=cache, log=silent)


@pytest.mark.parametrize("kind", ["official", "deduplicated", "grouped"])
def test_metrics_with_and_without_duplicates(
    kind: str, dataset: ImageDataset, cache: Path, tmp_path: Path
) -> None:
    audit = audit_duplicates(dataset, cache, silent)
    split = make_split(dataset, kind=kind, seed=0, groups=audit.groups, audit=audit.fingerprint)
    workdir = write_run(tmp_path / "workdir", dataset, cache, split)
    metrics = evaluate(workdir)
    assert metrics["subsets"]["audit"] == audit.fingerprint
    assert metrics["provenance"]["trained_on_audit"] == split.audit
    assert metrics["provenance"]["trained_on_split"] == f"{kind}, seed 0"
    assert metrics["bootstrap"]["unit"] == "duplicate group"
    every, duplicate, no_duplicate = metrics["subsets"]["rows"]
    assert duplicate["n"] == (0 if kind == "grouped" else 1)
    assert no_duplicate["n"] == every["n"] - duplicate["n"]
    # Only a deduplicated run leaves out of its metrics what the subsets count.
    counted = no_duplicate if kind == "deduplicated" else every
    assert (metrics["n"], metrics["accuracy"]) == (counted["n"], counted["accuracy"])
    files = workdir / "evaluation"
    assert (COPIED in (files / "predictions.csv").read_text()) == (kind == "official")
    assert "no duplicate" in (files / "table2.txt").read_text(encoding="utf-8")
    ids = [row.split(",")[0] for row in (files / "predictions.csv").read_text().splitlines()[1:]]
    grouped = Counter(audit.groups[id] for id in ids)
    several = {id: str(audit.groups[id]) for id in ids if grouped[audit.groups[id]] > 1}
    assert read_duplicate_groups(files / "duplicate_groups.csv") == several


@pytest.mark.parametrize("audited", [True, False])
def test_groups_that_the_run_was_given_count_together(
    audited: bool, dataset: ImageDataset, cache: Path, tmp_path: Path
) -> None:
    """Every two images are of one patient; without the audit's file they still are."""
    patients = {example.id: number // 2 for number, example in enumerate(dataset.examples)}
    split = make_split(dataset, kind="grouped", seed=0, groups=patients, given_groups="patients")
    workdir = write_run(tmp_path / "workdir", dataset, cache, split)
    if audited:
        audit_duplicates(dataset, cache, silent)
    metrics = evaluate(workdir)
    groups = read_duplicate_groups(workdir / "evaluation" / "duplicate_groups.csv")
    assert metrics["bootstrap"]["unit"] == "group"
    assert metrics["bootstrap"]["units"] < metrics["n"]
    assert all(
        groups[id] == groups[other]
        for id in groups
        for other in groups
        if patients[id] == patients[other]
    )
    assert (metrics["subsets"] is not None) == audited
    assert (GROUPS_COUNT_AS_DUPLICATES in metrics["notes"]) == audited


def test_without_an_audit_a_note_gives_the_command(
    data: Path, dataset: ImageDataset, cache: Path, tmp_path: Path
) -> None:
    workdir = write_run(tmp_path / "workdir", dataset, cache, make_split(dataset, seed=0))
    metrics = evaluate(workdir)
    assert metrics["subsets"] is None
    command = f"python -m fakd_jax.audit --data {data} --cache-dir {cache}"
    assert any(note.endswith(command) for note in metrics["notes"])
    assert command in (workdir / "evaluation" / "report.html").read_text(encoding="utf-8")


def test_audited_data_whose_training_images_are_unknown(
    data: Path, dataset: ImageDataset, cache: Path, tmp_path: Path
) -> None:
    workdir = write_run(tmp_path / "workdir", dataset, cache, make_split(dataset, seed=0))
    checkpoint = tmp_path / "alone"
    shutil.copytree(workdir / "student" / "best" / "7", checkpoint)
    audit = audit_duplicates(dataset, cache, silent)
    metrics = evaluate(checkpoint, source=str(data), output=tmp_path / "report")
    assert metrics["subsets"] == {"audit": audit.fingerprint, "rows": None}
    assert metrics["bootstrap"]["unit"] == "duplicate group"
    assert SPLIT_UNKNOWN in metrics["notes"]
    for file in ("report.html", "table2.txt"):
        assert "fakd_jax.audit" not in (tmp_path / "report" / file).read_text()
