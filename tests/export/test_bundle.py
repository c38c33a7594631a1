"""Bundles: what is in them, who opens them, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fakd_jax.errors import DamagedError, UserError
from fakd_jax.export.bundle.bundle import ONNX_FILE
from fakd_jax.export.run import export_checkpoint
from fakd_jax.inference.adapter import weights_sha256
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models.checkpoint import load_metadata, resolve_checkpoint
from fakd_jax.runs.decision import find_decision
from fakd_jax.runtime.sha256sums import damaged_files
from tests.evaluation.runs import NAMES, evaluate, silent, write_images
from tests.reference.references import a_reference
from tests.tiny import CLASS_NAMES, IMAGE_SIZE, contents, edit_metadata, save_tiny_checkpoint

quiet = {"format": "bundle", "log": silent}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKD_JAX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """A student, its evaluation and its reference, whose metadata name the maker's paths."""
    workdir = save_tiny_checkpoint(tmp_path / "run")
    checkpoint = workdir / "student" / "best" / "7"
    home = f"{tmp_path}/home/dr.smith"
    edit_metadata(
        checkpoint,
        data={"source": f"{home}/scans", "name": "scans", "fingerprint": "f" * 64},
        config={"name": "fakd", "data": {"source": f"{home}/scans", "cache_dir": home}},
        operator="Dr Smith",
    )
    digest = weights_sha256(Predictor.from_checkpoint(workdir))
    recall = {"recall": 0.5, "recall_ci95": [0.25, 0.75]}
    metrics = {
        "n": 12,
        "accuracy": 0.75,
        "accuracy_ci95": [0.4, 0.9],
        "per_class": dict.fromkeys(CLASS_NAMES, recall),
        "missed_tumour": {"count": 1, "n": 9, "rate": 0.11, "ci95": [0.02, 0.44]},
        "ece": 0.1,
        "ece_ci95": [0.05, 0.2],
        "notes": [f"{home}/scans was not audited"],
        "calibration": {"temperature": {"value": 1.5}},
        "selective": {"reject": {"threshold": 0.4}},
        "provenance": {
            "weights_sha256": digest,
            "split": "test",
            "data": {"source": home, "fingerprint": "e" * 64, "same_as_training": False},
        },
    }
    evaluation = workdir / "evaluation"
    evaluation.mkdir()
    (evaluation / "metrics.json").write_text(json.dumps(metrics))
    a_reference(digest).save(evaluation)
    return workdir


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_a_bundle_predicts_as_the_checkpoint(workdir: Path, tmp_path: Path, name: str) -> None:
    bundle = export_checkpoint(workdir, tmp_path / "out" / name, **quiet)
    opened, original = (Predictor.from_checkpoint(path) for path in (bundle, workdir))
    np.testing.assert_array_equal(opened.predict_logits(IMAGES), original.predict_logits(IMAGES))
    assert not damaged_files(opened.checkpoint)
    files = {path.name for path in opened.checkpoint.iterdir()}
    assert {"README.md", "reference.json", "reference.npz", "model"} <= files
    decision = find_decision(opened.checkpoint, opened.metadata, weights_sha256(opened))
    assert decision is not None
    assert (decision.temperature, decision.reject_threshold) == (1.5, 0.4)
    assert opened.metadata["metrics"]["accuracy_ci95"] == [0.4, 0.9]
    assert opened.metadata["data"] == {"fingerprint": "f" * 64}


def test_nothing_of_the_makers_machine(workdir: Path, tmp_path: Path) -> None:
    bundle = export_checkpoint(workdir, tmp_path / "out" / "bundle", **quiet)
    everything = b"".join(contents(bundle).values())
    for text in (str(tmp_path), str(Path.home()) + "/", "smith", "Smith", "scans"):
        assert text.encode() not in everything


def test_a_path_that_would_get_in_is_refused(workdir: Path, tmp_path: Path) -> None:
    digest = weights_sha256(Predictor.from_checkpoint(workdir))
    place = {"place": str(workdir / "student" / "best" / "7")}
    dataclasses.replace(a_reference(digest), fitted=place).save(workdir / "evaluation")
    with pytest.raises(UserError, match=r"reference\.json would name the path"):
        export_checkpoint(workdir, tmp_path / "out" / "bundle", **quiet)
    assert not list((tmp_path / "out").iterdir())


def test_what_belongs_to_other_weights_is_left_out(workdir: Path, tmp_path: Path) -> None:
    for name in ("metrics.json", "reference.json"):
        file = workdir / "evaluation" / name
        file.write_text(file.read_text().replace('"weights_sha256": "', '"weights_sha256": "0'))
    bundle = export_checkpoint(workdir, tmp_path / "bundle", **quiet)
    metadata = load_metadata(bundle)
    assert metadata["metrics"] is None
    assert metadata["decision"] is None
    assert not (bundle / "reference.json").exists()
    card = (bundle / "README.md").read_text()
    assert "No evaluation of these weights" in card
    assert "not calibrated" in card


def test_the_model_card(workdir: Path, tmp_path: Path) -> None:
    import yaml

    bundle = export_checkpoint(workdir, tmp_path / "bundle", **quiet)
    card = (bundle / "README.md").read_text()
    _, header, text = card.split("---\n", 2)
    assert yaml.safe_load(header)["pipeline_tag"] == "image-classification"
    assert "| accuracy | 75.0% | 40.0% to 90.0% |" in text
    assert "| missed tumours (1 of 9) | 11.0% | 2.0% to 44.0% |" in text
    assert "| sensitivity for notumor | 50.0% | 25.0% to 75.0% |" in text
    assert "divided by 1.5000" in text


def test_equal_bundles_of_a_bundle(workdir: Path, tmp_path: Path) -> None:
    """A bundle of a bundle keeps all that is known."""
    first = export_checkpoint(workdir, tmp_path / "first.zip", **quiet)
    again = export_checkpoint(first, tmp_path / "again", **quiet)
    before, after = load_metadata(resolve_checkpoint(first)), load_metadata(again)
    assert before == after
    kept = workdir / "evaluation" / "reference.npz"
    assert (again / "reference.npz").read_bytes() == kept.read_bytes()


@pytest.mark.slow
def test_with_onnx(workdir: Path, tmp_path: Path) -> None:
    bundle = export_checkpoint(workdir, tmp_path / "bundle", with_onnx=True, **quiet)
    assert (bundle / ONNX_FILE).is_file()
    assert not damaged_files(bundle)


def test_a_bundle_is_evaluated(tmp_path: Path) -> None:
    run = save_tiny_checkpoint(tmp_path / "run", NAMES)
    bundle = export_checkpoint(run, tmp_path / "b.zip", **quiet)
    data = write_images(tmp_path / "data", NAMES)
    options = {"source": str(data), "cache_dir": tmp_path / "prepared", "calibration": False}
    metrics = evaluate(bundle, output=tmp_path / "evaluation", **options)
    assert metrics["n"] == 9
    assert metrics["provenance"]["weights_sha256"] == weights_sha256(Predictor.from_checkpoint(run))


def repacked(bundle: Path, file: Path, change) -> Path:
    """A copy of a zip in which a function from name and content gives each member."""
    with zipfile.ZipFile(bundle) as before, zipfile.ZipFile(file, "w") as after:
        for name in before.namelist():
            after.writestr(*change(name, before.read(name)))
    return file


def test_damaged_and_unsafe_zips_are_refused(workdir: Path, tmp_path: Path) -> None:
    bundle = export_checkpoint(workdir, tmp_path / "b.zip", **quiet)

    def bent(name: str, content: bytes) -> tuple[str, bytes]:
        return name, content[:-1] + b"!" if "/d/" in name else content

    with pytest.raises(DamagedError, match="changed"):
        Predictor.from_checkpoint(repacked(bundle, tmp_path / "bent.zip", bent))
    cut = tmp_path / "cut.zip"
    cut.write_bytes(bundle.read_bytes()[:-200])
    with pytest.raises(UserError, match="truncated"):
        resolve_checkpoint(cut)
    outside = repacked(bundle, tmp_path / "outside.zip", lambda name, text: (f"../{name}", text))
    with pytest.raises(UserError, match="lead out of the folder"):
        resolve_checkpoint(outside)
    other = repacked(bundle, tmp_path / "other.zip", lambda name, text: (f"a/b/{name}", text))
    with pytest.raises(UserError, match="is no bundle"):
        resolve_checkpoint(other)
    folder = repacked(bundle, tmp_path / "folder.zip", lambda name, text: (f"mine/{name}", text))
    assert resolve_checkpoint(folder).name == "mine"


def test_a_zip_is_unpacked_once(
    workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = export_checkpoint(workdir, tmp_path / "b.zip", **quiet)
    first = resolve_checkpoint(bundle)
    monkeypatch.setattr("fakd_jax.models.bundles.extract_archive", None)
    bundle.rename(tmp_path / "renamed.zip")
    assert resolve_checkpoint(tmp_path / "renamed.zip") == first


def test_stablehlo(workdir: Path, tmp_path: Path) -> None:
    from jax import export

    file = export_checkpoint(workdir, tmp_path / "s.zip", format="stablehlo", log=silent)
    with zipfile.ZipFile(file) as zipped:
        content = zipped.read("network.stablehlo")
        program = export.deserialize(bytearray(content))
        metadata = json.loads(zipped.read("metadata.json"))
    assert metadata["class_names"] == list(CLASS_NAMES)
    assert metadata["decision"]["temperature"] == 1.5
    for folder in (Path(__file__).parents[2], Path(np.__file__).parents[1]):
        assert str(folder).encode() not in content
    expected = Predictor.from_checkpoint(workdir).predict_logits(IMAGES)
    found = np.asarray(program.call(IMAGES)["logits"])
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
