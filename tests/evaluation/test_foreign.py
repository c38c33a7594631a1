"""Foreign and poor images in an evaluation: judged, counted, kept, and left out where unknown."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakd_jax import Predictor
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.sources import open_dataset
from fakd_jax.data.splits import make_split
from fakd_jax.evaluation import foreign
from fakd_jax.inference.adapter import weights_sha256
from fakd_jax.reference import Reference, find_reference
from fakd_jax.reference.fit import fit_reference
from fakd_jax.runtime.sha256sums import write_sums
from tests.evaluation.runs import NAMES, draw_no_figures, evaluate, silent, write_run
from tests.tiny import write_image

FOREIGN = "Testing/glioma/foreign.png"


@pytest.fixture(autouse=True)
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_no_figures(monkeypatch)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> ImageDataset:
    """Noise, 50 images per class to train and validate on; one test image is black."""
    folder = tmp_path_factory.mktemp("data") / "images"
    seeds = itertools.count()
    for part, count in (("Training", 50), ("Testing", 4)):
        for name, index in itertools.product(NAMES, range(count)):
            write_image(folder / part / name / f"{index}.png", next(seeds))
    Image.new("RGB", (40, 36)).save(folder / FOREIGN)
    return open_dataset(str(folder), cache_dir=cache, log=silent)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, dataset: ImageDataset, cache: Path) -> Path:
    split = make_split(dataset, seed=0, validation_fraction=0.5)
    return write_run(tmp_path_factory.mktemp("run") / "workdir", dataset, cache, split)


@pytest.fixture(scope="module")
def evaluated(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("evaluated") / "workdir"
    shutil.copytree(trained, workdir)
    with pytest.MonkeyPatch.context() as patch:
        draw_no_figures(patch)
        evaluate(workdir)
    return workdir


def found(workdir: Path) -> Reference | None:
    predictor = Predictor.from_checkpoint(workdir, batch_size=4)
    return find_reference(predictor.checkpoint, predictor.metadata, weights_sha256(predictor))


def test_the_record_counts_what_the_table_names(evaluated: Path) -> None:
    folder = evaluated / "evaluation"
    record = json.loads((folder / "metrics.json").read_text())["foreign_and_poor"]
    with (folder / "foreign_images.csv").open(newline="") as file:
        rows = {row.pop("id"): row for row in csv.DictReader(file)}
    assert record["foreign"]["n"] == record["poor"]["n"] == len(rows) == 13
    above = {id for id, row in rows.items() if row["foreign"] == "1"}
    assert FOREIGN in above
    assert record["foreign"]["count"] == len(above) <= 4
    threshold = record["foreign"]["threshold"]
    assert above == {id for id, row in rows.items() if float(row["ood_score"]) > threshold}
    assert "much darker" in rows[FOREIGN]["quality"]
    assert record["poor"]["count"] == sum(bool(row["quality"]) for row in rows.values())
    assert record["poor"]["reasons"]["much darker"] == 1
    assert (record["fitted"]["training_images"], record["fitted"]["validation_images"]) == (75, 75)


def test_the_scores_are_those_of_the_stored_reference(
    evaluated: Path, dataset: ImageDataset
) -> None:
    reference = found(evaluated)
    assert reference is not None
    predictor = Predictor.from_checkpoint(evaluated, batch_size=1)
    features, _ = predictor.features_and_logits(
        np.asarray(Image.fromarray(dataset.read(dataset.index_of(FOREIGN))).resize((32, 32)))[None]
    )
    with (evaluated / "evaluation" / "foreign_images.csv").open(newline="") as file:
        (score,) = (row["ood_score"] for row in csv.DictReader(file) if row["id"] == FOREIGN)
    assert reference.foreign_scores(features)[0] == pytest.approx(float(score), rel=1e-4)


def test_fitting_is_deterministic_and_draws_at_most_so_many(
    trained: Path, dataset: ImageDataset
) -> None:
    predictor = Predictor.from_checkpoint(trained, batch_size=4)
    split = json.loads((trained / "split.json").read_text())

    def fit(seed: int) -> Reference:
        return fit_reference(
            predictor, dataset, split["train"], split["val"], max_images=30, seed=seed
        )

    first, again, other = fit(0), fit(0), fit(1)
    np.testing.assert_array_equal(first.subspace.directions, again.subspace.directions)
    assert first.foreign_threshold == again.foreign_threshold != other.foreign_threshold
    assert first.fitted["training_images"] == 30


def test_a_reference_that_is_there_is_used_again_and_a_damaged_one_replaced(
    evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workdir = tmp_path / "workdir"
    shutil.copytree(evaluated, workdir)
    stored = workdir / "evaluation" / "reference.npz"
    whole = stored.read_bytes()
    stored.write_bytes(whole[:100])
    lines: list[str] = []
    evaluate(workdir, log=lines.append)
    assert any("damaged" in line for line in lines)
    assert stored.read_bytes() == whole
    monkeypatch.setattr(foreign, "_fit", None)  # would fail
    again = evaluate(workdir, split="val", output=tmp_path / "of val")
    assert again["foreign_and_poor"]["foreign"]["n"] == 75
    assert again["foreign_and_poor"]["foreign"]["rate"] <= 0.05
    assert (tmp_path / "of val" / "reference.npz").read_bytes() == whole


def test_without_training_images_or_time_nothing_is_judged(
    trained: Path, evaluated: Path, cache: Path, dataset: ImageDataset, tmp_path: Path
) -> None:
    workdir = tmp_path / "workdir"
    shutil.copytree(evaluated, workdir)
    fast = evaluate(workdir, calibration=False)
    assert fast["foreign_and_poor"] is None
    assert not (workdir / "evaluation" / "foreign_images.csv").exists()
    assert found(workdir) is not None  # still that of these weights
    alone = tmp_path / "alone"
    shutil.copytree(trained / "student" / "best" / "7", alone)
    unknown = evaluate(alone, source=str(dataset.folder), output=tmp_path / "report")
    assert unknown["foreign_and_poor"] is None
    assert any("not at hand" in note for note in unknown["notes"])
    found(evaluated).save(alone)  # as a bundle has it
    write_sums(alone)
    assert evaluate(alone, output=tmp_path / "report")["foreign_and_poor"] is not None


def test_too_few_images_are_a_note(dataset: ImageDataset, cache: Path, tmp_path: Path) -> None:
    split = make_split(dataset, seed=0, validation_fraction=0.1)
    workdir = write_run(tmp_path / "workdir", dataset, cache, split)
    metrics = evaluate(workdir)
    assert metrics["foreign_and_poor"] is None
    assert any("59 independent ones are needed" in note for note in metrics["notes"])


def test_other_data_are_judged_by_the_training_images(
    evaluated: Path, cache: Path, tmp_path: Path
) -> None:
    for name, index in itertools.product(NAMES, range(3)):
        path = write_image(tmp_path / "other" / "Testing" / name / f"{index}.png", 900 + index)
        Image.fromarray(255 - np.asarray(Image.open(path)) // 9).save(path)
    metrics = evaluate(
        evaluated, source=str(tmp_path / "other"), cache_dir=cache, output=tmp_path / "report"
    )
    record = metrics["foreign_and_poor"]
    assert record["poor"]["count"] == record["poor"]["n"] > 0
    assert record["poor"]["reasons"]["much brighter"] == record["poor"]["n"]
