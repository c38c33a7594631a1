"""Evaluation on data that the network was not trained on, some of which are its training images."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance, ImageOps

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.sources import open_dataset
from fakd_jax.data.splits import Split, make_split
from fakd_jax.errors import UserError
from fakd_jax.stress.run import stress_checkpoint
from tests.evaluation.runs import NAMES, draw_no_figures, evaluate, silent, write_images, write_run

ALTERED = "Testing/glioma/1.png"
EQUAL = "Testing/notumor/0.png"


@pytest.fixture(autouse=True)
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies change no figure."""
    draw_no_figures(monkeypatch)


@pytest.fixture
def dataset(tmp_path: Path) -> ImageDataset:
    """The training data: noise."""
    images = write_images(tmp_path / "own", NAMES)
    return open_dataset(str(images), cache_dir=tmp_path / "cache", log=silent)


@pytest.fixture
def split(dataset: ImageDataset) -> Split:
    return make_split(dataset, seed=0)


@pytest.fixture
def workdir(dataset: ImageDataset, split: Split, tmp_path: Path) -> Path:
    return write_run(tmp_path / "workdir", dataset, tmp_path / "cache", split)


@pytest.fixture
def other(dataset: ImageDataset, split: Split, tmp_path: Path) -> Path:
    """Other noise, with a training image mirrored and darkened and another as it is."""
    folder = write_images(tmp_path / "other", NAMES, seed=1)
    with Image.open(dataset.folder / split.train[0]) as image:
        ImageEnhance.Brightness(ImageOps.mirror(image)).enhance(0.7).save(folder / ALTERED)
    shutil.copy(dataset.folder / split.train[1], folder / EQUAL)
    return folder


def test_copies_count_in_no_headline(
    workdir: Path, other: Path, split: Split, dataset: ImageDataset
) -> None:
    lines: list[str] = []
    metrics = evaluate(workdir, source=str(other), log=lines.append)
    learnt = len(split.train) + len(split.val)
    assert metrics["external"] == {
        "training_data": dataset.source,
        "learnt_images": learnt,
        "compared_with": learnt,
        "left_out": 2,
    }
    assert metrics["n"] == 7
    every, copies, rest = metrics["subsets"]["rows"]
    assert (every["n"], copies["n"], rest["n"]) == (9, 2, 7)
    assert rest["accuracy"] == metrics["accuracy"]
    (files,) = workdir.glob("evaluation-*")
    predicted = (files / "predictions.csv").read_text()
    assert ALTERED not in predicted
    assert EQUAL not in predicted
    with (files / "copies_of_training.csv").open() as rows:
        found = {
            row["id"]: (row["learnt_from"], row["orientation"]) for row in csv.DictReader(rows)
        }
    assert found == {
        ALTERED: (split.train[0], "mirrored"),
        EQUAL: (split.train[1], "as it is"),
    }
    assert any("1 of the 9 images are altered copies" in note for note in metrics["notes"])
    assert any("1 of the 9 test images" in note for note in metrics["notes"])
    assert sum("comparing 9 images" in line for line in lines) == 1
    # The run's own validation images choose the temperature and a threshold.
    assert metrics["calibration"]["temperature"]["fitted_on"]["n"] == len(split.val)
    assert [point["chosen"] for point in metrics["tumour"]["points"]] == [
        "most probable class",
        "validation",
        "these images",
    ]
    reported = (files / "metrics.json").read_bytes()
    own = evaluate(workdir)
    assert own["external"] is None
    assert not (workdir / "evaluation" / "copies_of_training.csv").exists()
    assert (files / "metrics.json").read_bytes() == reported


def test_without_the_training_images_only_equal_ones_are_found(
    workdir: Path, other: Path, dataset: ImageDataset, tmp_path: Path
) -> None:
    moved = dataset.folder.rename(tmp_path / "moved")
    metrics = evaluate(workdir, source=str(other))
    assert metrics["n"] == 8
    assert metrics["external"]["compared_with"] == 0
    assert metrics["external"]["left_out"] == 1
    assert any("--training-data" in note for note in metrics["notes"])
    found = evaluate(workdir, source=str(other), training_data=str(moved))
    assert found["n"] == 7
    with pytest.raises(UserError, match="no data at"):
        evaluate(workdir, source=str(other), training_data=str(tmp_path / "nowhere"))


def test_nothing_but_copies_is_refused(
    workdir: Path, dataset: ImageDataset, split: Split, tmp_path: Path
) -> None:
    for number, id in enumerate(split.train[:3]):
        target = tmp_path / "copies" / Path(id).parent.name / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(dataset.folder / id) as image:
            ImageOps.flip(image).save(target)
    with pytest.raises(UserError, match="all 3 images are copies"):
        evaluate(workdir, source=str(tmp_path / "copies"))


def test_a_stress_test_leaves_copies_out_too(workdir: Path, other: Path, tmp_path: Path) -> None:
    stress_checkpoint(
        workdir,
        source=str(other),
        families=["gamma"],
        severities=[3],
        output=tmp_path / "stress",
        log=silent,
    )
    assert len((tmp_path / "stress" / "stress_images.csv").read_text().splitlines()) == 8
