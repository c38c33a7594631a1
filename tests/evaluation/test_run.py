"""The whole evaluation: what it writes, which images it takes, what it refuses."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from fakd_jax import Predictor, __version__
from fakd_jax.data.sources import open_dataset
from fakd_jax.data.splits import make_split
from fakd_jax.errors import UserError
from fakd_jax.evaluation import run
from fakd_jax.evaluation.baseline import IDENTITY
from fakd_jax.evaluation.latency import measure_latency
from fakd_jax.inference.adapter import weights_sha256
from fakd_jax.metrics.calibration import fit_temperature
from tests.evaluation.runs import NAMES, draw_no_figures, evaluate, silent, write_images, write_run
from tests.tiny import edit_metadata, write_image

TABLES = {"predictions.csv", "val_predictions.csv", "images.csv"}
FIGURES = {
    "confusion_matrix.png",
    "reliability.png",
    "risk_coverage.png",
    "roc.png",
    "precision_recall.png",
    "curves.png",
}
REPORT = {"metrics.json", "table2.txt", "report.html"} | TABLES | FIGURES


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("data") / "images", NAMES)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Path, cache: Path) -> Path:
    workdir = tmp_path_factory.mktemp("run") / "workdir"
    dataset = open_dataset(str(data), cache_dir=cache, log=silent)
    return write_run(workdir, dataset, cache, make_split(dataset, seed=3, validation_fraction=0.4))


class Evaluated(NamedTuple):
    """A workdir after its evaluation, what that returned and what it said."""

    workdir: Path
    metrics: dict[str, Any]
    lines: list[str]


@pytest.fixture(scope="module")
def evaluated(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    workdir = tmp_path_factory.mktemp("evaluated") / "workdir"
    shutil.copytree(trained, workdir)
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        # Few repeats of one batch size that is compiled anyway.
        patch.setattr("fakd_jax.evaluation.latency.SECONDS_PER_BATCH_SIZE", 0.0)
        patch.setattr(run, "measure_latency", lambda predictor: measure_latency(predictor, (4,)))
        metrics = evaluate(workdir, log=lines.append, latency=True, explain_mistakes=1)
    return Evaluated(workdir, metrics, lines)


@pytest.fixture(autouse=True)
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only `evaluated`, of the whole module and hence made before, draws its figures."""
    draw_no_figures(monkeypatch)


@pytest.fixture
def workdir(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "workdir")
    return tmp_path / "workdir"


def read_csv(folder: Path, name: str = "predictions.csv") -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_report_of_a_workdir(evaluated: Evaluated) -> None:
    workdir, metrics, lines = evaluated
    folder = workdir / "evaluation"
    assert {path.name for path in folder.iterdir()} == REPORT
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert (metrics["n"], metrics["missed_tumour"]["n"]) == (9, 6)
    assert metrics["class_names"] == list(NAMES)
    assert np.sum(metrics["confusion_matrix"], axis=1).tolist() == [3, 3, 3]
    assert (folder / "table2.txt").read_text(encoding="utf-8") in "\n".join(lines)
    assert str(folder) in lines[-1]
    assert (folder / "report.html").read_text(encoding="utf-8").count("what speaks for ") == 2


def test_every_number_can_be_traced(evaluated: Evaluated, data: Path) -> None:
    provenance = dict(evaluated.metrics["provenance"])
    of_data = provenance.pop("data")
    assert (of_data["source"], of_data["same_as_training"]) == (str(data), True)
    assert len(of_data["fingerprint"]) == 64
    predictor = Predictor.from_checkpoint(evaluated.workdir)
    assert provenance.pop("weights_sha256") == weights_sha256(predictor)
    assert {"platform", "device", "cpu_count", "jax"} <= provenance.pop("hardware").keys()
    assert provenance == {
        "checkpoint": "student/best/7",
        "arch": "tiny_mobilenet",
        "head": "trained",
        "config": "fakd",
        "trained": {"step": 7, "epoch": 2},
        "split": "test",
        "split_origin": "split.json (official, seed 3)",
        "trained_on_split": "official, seed 3",
        "trained_on_audit": None,
        "preprocessing": predictor.preprocessing.to_dict(),
        "dtype": "float32",
        "batch_size": 4,
        "package_version": __version__,
    }


def test_latency_names_the_device_and_the_repeats(evaluated: Evaluated) -> None:
    (row,) = evaluated.metrics["latency"]
    assert (row["batch"], row["repeats"], row["dtype"]) == (4, 5, "float32")
    assert row["device"]
    assert 0 < row["median_ms"] <= row["p95_ms"]
    assert row["median_ms_per_image"] == row["median_ms"] / 4


def test_predictions_are_the_predictors(evaluated: Evaluated, data: Path) -> None:
    rows = read_csv(evaluated.workdir / "evaluation")
    assert list(rows[0]) == ["id", "label", "prediction", *(f"p_{name}" for name in NAMES)]
    ids = [row["id"] for row in rows]
    assert ids == sorted(ids)
    assert ids[0] == "Testing/glioma/0.png"
    assert [row["label"] for row in rows] == [id.split("/")[1] for id in ids]
    images = np.stack([np.asarray(Image.open(data / id)) for id in ids])
    predictor = Predictor.from_checkpoint(evaluated.workdir, batch_size=4)
    probabilities = predictor.predict_proba(images)
    read = np.array([[row[f"p_{name}"] for name in NAMES] for row in rows], np.float32)
    np.testing.assert_array_equal(read, probabilities)
    assert [row["prediction"] for row in rows] == [NAMES[i] for i in probabilities.argmax(axis=1)]


def test_the_batch_size_changes_no_metric(evaluated: Evaluated, tmp_path: Path) -> None:
    first, second = evaluated.metrics, evaluate(evaluated.workdir, batch_size=9, output=tmp_path)
    for key in ("accuracy", "confusion_matrix", "missed_tumour"):
        assert first[key] == second[key]
    assert first["nll"] == pytest.approx(second["nll"], rel=1e-5)


def test_validation_images_choose_temperature(evaluated: Evaluated, data: Path) -> None:
    workdir, metrics, _ = evaluated
    rows = read_csv(workdir / "evaluation", "val_predictions.csv")
    ids = [row["id"] for row in rows]
    assert set(ids) == set(json.loads((workdir / "split.json").read_text())["val"])
    fitted = metrics["calibration"]["temperature"]
    assert fitted["fitted_on"] == {"split": "val", "n": 6}
    predictor = Predictor.from_checkpoint(workdir, batch_size=4)
    images = np.stack([np.asarray(Image.open(data / id)) for id in ids])
    labels = np.array([NAMES.index(row["label"]) for row in rows])
    expected = fit_temperature(predictor.predict_logits(images), labels).value
    assert fitted["value"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "why"),
    [({"calibration": False}, "not asked for"), ({"split": "val"}, "are the validation images")],
)
def test_without_validation_images_there_is_a_note(
    workdir: Path, options: dict[str, Any], why: str
) -> None:
    split = options.get("split", "test")
    folder = workdir / ("evaluation" if split == "test" else f"evaluation-{split}")
    folder.mkdir()
    (folder / "val_predictions.csv").write_text("of an earlier evaluation")
    metrics = evaluate(workdir, **options)
    assert metrics["calibration"]["temperature"] is metrics["selective"]["reject"] is None
    assert metrics["latency"] is metrics["subsets"] is metrics["comparison"] is None
    assert why in metrics["notes"][-1]
    assert not (folder / "val_predictions.csv").exists()
    chosen = json.loads((workdir / "split.json").read_text())[split]
    assert {row["id"] for row in read_csv(folder)} == set(chosen)


def test_two_models_on_the_same_images(workdir: Path) -> None:
    teacher = evaluate(workdir / "teacher")
    assert not (workdir / "evaluation" / "metrics.json").exists()
    assert json.loads((workdir / "evaluation" / "teacher" / "metrics.json").read_text()) == teacher
    student = evaluate(workdir, compare=workdir / "teacher")
    compared = student["comparison"]
    assert compared["with"]["checkpoint"] == "teacher/best/7"
    assert compared["with"] == {key: teacher["provenance"][key] for key in IDENTITY}
    assert compared["n"] == 9
    assert compared["difference"] == pytest.approx(student["accuracy"] - teacher["accuracy"])
    right = compared["both_right"] + compared["only_this_right"]
    assert right == round(9 * student["accuracy"])


def test_a_comparison_across_images_is_refused_before_the_work(workdir: Path) -> None:
    evaluate(workdir, split="val", output=workdir / "of val", calibration=False)
    lines: list[str] = []
    with pytest.raises(UserError, match=r"other images \(6 there, 9 here"):
        evaluate(workdir, compare=workdir / "of val", log=lines.append)
    assert not any(line.startswith("evaluation:") for line in lines)


def test_a_checkpoint_outside_a_workdir(
    workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(workdir / "student" / "best" / "7", alone)
    monkeypatch.chdir(tmp_path)
    assert evaluate(alone)["provenance"]["split_origin"] == "the data itself"
    written = {path.name for path in (tmp_path / "evaluation").iterdir()}
    assert written == REPORT - {"curves.png", "val_predictions.csv"}
    with pytest.raises(UserError, match="only the run that chose"):
        evaluate(alone, split="val")


def test_other_data_of_the_same_classes(workdir: Path, cache: Path, tmp_path: Path) -> None:
    other = write_images(tmp_path / "other", NAMES, seed=1)
    report = tmp_path / "of other"
    metrics = evaluate(workdir, source=str(other), cache_dir=cache, output=report)
    assert metrics["provenance"]["data"]["same_as_training"] is False
    assert metrics["provenance"]["split_origin"] == "the data itself"
    # The run's own validation images choose the temperature, as for its own test images.
    chosen_on = metrics["calibration"]["temperature"]["fitted_on"]
    assert chosen_on == evaluate(workdir)["calibration"]["temperature"]["fitted_on"]
    with pytest.raises(UserError, match="belongs to other data"):
        evaluate(workdir, source=str(other), cache_dir=cache, split="train")
    with pytest.raises(UserError, match="is of other images"):
        evaluate(workdir, compare=report)


def test_changed_data_are_evaluated_and_compared_by_content(
    evaluated: Evaluated, data: Path, cache: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(data, changed)
    tested = changed / "Testing" / NAMES[0] / "1.png"
    with Image.open(tested) as image:
        image.save(tested.with_name("renamed.bmp"))
    tested.rename(changed / "Training" / NAMES[0] / "moved.png")  # a copy now, still a test image
    write_image(changed / "Testing" / NAMES[1] / "new.png", 99)
    metrics = evaluate(
        evaluated.workdir,
        source=str(changed),
        cache_dir=cache,
        output=tmp_path / "report",
        compare=evaluated.workdir,
    )
    assert (metrics["n"], metrics["accuracy"]) == (9, evaluated.metrics["accuracy"])
    comparison = metrics["comparison"]
    assert (comparison["only_this_right"], comparison["only_other_right"]) == (0, 0)
    (note,) = (note for note in metrics["notes"] if "data differ" in note)
    assert "of its 9 test images" in note
    assert "0 are missing; 2 images of the data are in no part" in note


def test_data_of_other_classes_are_refused(trained: Path, cache: Path, tmp_path: Path) -> None:
    other = write_images(tmp_path / "other", ("glioma", "abscess"))
    with pytest.raises(UserError, match=r"abscess are none .*glioma, notumor, pituitary"):
        evaluate(trained, source=str(other), cache_dir=cache, output=tmp_path / "report")


@pytest.mark.parametrize(
    ("negative", "note"),
    [("healthy", "no class healthy"), (None, "config.data.negative_class"), ("", None)],
)
def test_without_a_negative_class_missed_tumours_are_not_counted(
    workdir: Path, negative: str | None, note: str | None
) -> None:
    edit_metadata(workdir / "student" / "best" / "7", negative_class=negative)
    metrics = evaluate(workdir)
    assert metrics["missed_tumour"] is None
    notes = [line for line in metrics["notes"] if "missed tumours are not counted" in line]
    assert (note in notes[0]) if note else not notes


def test_arguments_are_checked_before_the_work(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown split"):
        evaluate(trained, split="dev")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write.*--output"):
        evaluate(trained, output=tmp_path / "file")
