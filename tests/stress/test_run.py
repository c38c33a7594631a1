"""The whole stress test: files, interruption, comparison, and its place in the evaluation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fakd_jax import Predictor
from fakd_jax.data.dataset import content_of
from fakd_jax.data.preprocessing import resize
from fakd_jax.data.sources import open_dataset
from fakd_jax.data.splits import make_split
from fakd_jax.errors import UserError
from fakd_jax.stress.images_file import read_stressed_images
from fakd_jax.stress.run import stress_checkpoint
from fakd_jax.stress.shifting import image_words, make_shift
from tests.evaluation.runs import NAMES, evaluate, silent, write_images, write_run
from tests.stress.examples import FAMILIES
from tests.tiny import edit_metadata

pytestmark = pytest.mark.slow
REPORT = {"stress.json", "stress.csv", "stress_images.csv", "stress.png", "stress.html"}
FILES = REPORT | {"predictions", ".lock"}


def stress(checkpoint: Path, **options: Any) -> dict[str, Any]:
    defaults = {"known_families": FAMILIES, "severities": (1, 5), "log": silent}
    return stress_checkpoint(checkpoint, **defaults | options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stress")
    data = write_images(folder / "images", NAMES)
    dataset = open_dataset(str(data), cache_dir=folder / "cache", log=silent)
    split = make_split(dataset, seed=3, validation_fraction=0.4)
    return write_run(folder / "workdir", dataset, folder / "cache", split)


@pytest.fixture
def workdir(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "workdir")
    return tmp_path / "workdir"


def logits_of(folder: Path, name: str) -> np.ndarray:
    (file,) = (folder / "predictions").rglob(f"{name}.npz")
    with np.load(file) as stored:
        return stored["logits"]


def test_a_workdir_is_stressed_and_its_evaluation_links_to_it(workdir: Path) -> None:
    lines: list[str] = []
    report = stress(workdir, log=lines.append)
    folder = workdir / "evaluation" / "stress"
    assert {path.name for path in folder.iterdir()} == FILES
    stored = json.loads((folder / "stress.json").read_text())
    assert stored == json.loads(json.dumps(report))
    assert [row["family"] for row in report["conditions"]] == [
        "clean",
        *["dark"] * 2,
        *["noise"] * 2,
    ]
    assert any(line.startswith("[3/5] dark: ") for line in lines)
    assert report["temperature"] is not None
    assert report["provenance"]["split_origin"] == "split.json (official, seed 3)"

    images = read_stressed_images(folder / "stress_images.csv")
    right = sum(image.right for image in images.values())
    assert right == round(4 * report["n"] * report["summary"]["mean"]["accuracy"])

    metrics = evaluate(workdir)
    assert report["conditions"][0]["accuracy"] == metrics["accuracy"]
    assert report["conditions"][0]["nll"] == pytest.approx(metrics["nll"])
    assert metrics["stress"]["summary"]["mean"]["accuracy"] == report["summary"]["mean"]["accuracy"]
    page = (workdir / "evaluation" / "report.html").read_text(encoding="utf-8")
    assert 'href="stress/stress.html"' in page
    assert evaluate(workdir / "teacher")["stress"] is None
    other = evaluate(workdir, split="val", output=workdir / "evaluation", calibration=False)
    assert other["stress"] is None  # of other images
    (folder / "stress.json").write_text('{"summary": 1}')
    with pytest.raises(UserError, match=r"stress\.json is damaged"):
        evaluate(workdir)


def test_predictions_are_those_of_the_shifted_files(workdir: Path, tmp_path: Path) -> None:
    """Written to a file after the shift and read again, an image gets the same prediction."""
    report = stress(workdir, families=("noise",))
    logits = logits_of(workdir / "evaluation" / "stress", "noise-5")
    source = Path(report["provenance"]["data"]["source"])
    ids = sorted(str(path.relative_to(source)) for path in source.glob("Testing/*/*.png"))
    originals = [np.asarray(Image.open(source / id)) for id in ids]
    words = image_words([content_of(image) for image in originals])
    images = np.stack([resize(image, 32) for image in originals])
    shift = make_shift(FAMILIES["noise"], 0)
    files = []
    for index, image in enumerate(np.asarray(shift(images, words, np.full(9, 0.1, np.float32)))):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
        files.append(np.asarray(Image.open(tmp_path / f"{index}.png")))
    predictor = Predictor.from_checkpoint(workdir, batch_size=4)
    np.testing.assert_allclose(logits, predictor.predict_logits(np.stack(files)), rtol=1e-5)


def test_a_stopped_test_goes_on_where_it_stopped(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stress(workdir, output=workdir / "whole")
    computed: list[int] = []
    logits_of_batch = Predictor.logits_of_batch

    def counted(self: Predictor, batch: np.ndarray) -> np.ndarray:
        if len(computed) == 11:  # 3 batches as they are, 2 to validate, 3 per condition
            raise KeyboardInterrupt
        computed.append(len(batch))
        return logits_of_batch(self, batch)

    shutil.rmtree(workdir / "whole" / "predictions")
    monkeypatch.setattr(Predictor, "logits_of_batch", counted)
    with pytest.raises(KeyboardInterrupt):
        stress(workdir)
    computed.clear()
    resumed = stress(workdir)
    assert len(computed) == 2 * 3
    assert resumed == whole
    computed.clear()
    again = stress(workdir)
    assert not computed
    assert again == whole
    computed.clear()
    reseeded = stress(workdir, seed=1, families=("noise",))
    assert len(computed) == 2 * 3
    assert reseeded["conditions"][0] == whole["conditions"][0]


def test_two_networks_see_the_same_images(workdir: Path) -> None:
    alone = stress(workdir / "teacher")
    report = stress(workdir, compare_with=workdir / "teacher")
    assert report["other"]["conditions"] == alone["conditions"]
    assert report["other"]["provenance"]["checkpoint"] == "teacher/best/7"
    for row, other, difference in zip(
        report["conditions"],
        report["other"]["conditions"],
        report["comparison"]["conditions"],
        strict=True,
    ):
        assert difference["difference"] == pytest.approx(row["accuracy"] - other["accuracy"])
    itself = stress(workdir, compare_with=workdir)
    assert itself["comparison"]["mean"]["difference"] == 0
    page = (workdir / "evaluation" / "stress" / "stress.html").read_text(encoding="utf-8")
    assert "Comparison with another network" in page


def test_wrong_input_is_refused_before_the_work(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictor, "logits_of_batch", None)
    with pytest.raises(UserError, match="unknown split"):
        stress(workdir, split="dev")
    with pytest.raises(UserError, match="must not be negative"):
        stress(workdir, seed=-1)
    with pytest.raises(UserError, match="unknown families"):
        stress(workdir, families=("fog",))
    (workdir / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        stress(workdir, output=workdir / "file")
    other = workdir.parent / "other"
    shutil.copytree(workdir, other)
    split = json.loads((other / "split.json").read_text())
    split["test"] = split["test"][:-1]
    (other / "split.json").write_text(json.dumps(split))
    with pytest.raises(UserError, match=r"are others \(8 there, 9 here"):
        stress(workdir, compare_with=other)


def test_without_a_negative_class_no_missed_tumours_are_reported(workdir: Path) -> None:
    edit_metadata(workdir / "student" / "best" / "7", negative_class="")
    report = stress(workdir, families=("dark",), severities=(3,), calibration=False)
    assert report["summary"]["mean"]["missed_tumour"] is None
    assert report["summary"]["most_missed"] is None
    assert report["temperature"] is report["threshold"] is None
