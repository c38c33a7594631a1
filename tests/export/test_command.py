"""`fakd export`: what it writes, verifies and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from fakd_jax.errors import UserError
from fakd_jax.export import __main__ as command
from fakd_jax.export import pytorch, run
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models.checkpoint import load_model
from fakd_jax.models.state import flatten_state, model_state
from fakd_jax.models.torch_weights import to_state_dict
from fakd_jax.models.torch_weights.names import key_table
from tests.tiny import CLASS_NAMES, IMAGE_SIZE, edit_metadata, save_tiny_checkpoint


@pytest.fixture(autouse=True)
def _no_compilation_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "use_compilation_cache", lambda: None)


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    return save_tiny_checkpoint(tmp_path / "run")


def export(workdir: Path, output: Path, *flags: str) -> None:
    command.main(["--checkpoint", str(workdir), "--output", str(output), *flags])


def test_what_is_written(workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "student.safetensors"
    export(workdir, file, "--format", "torch")
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    predictor = Predictor.from_checkpoint(workdir)
    expected = to_state_dict(model_state(predictor.network), key_table(predictor.network))
    written = safetensors.numpy.load_file(file)
    assert written.keys() == expected.keys()
    for key, value in expected.items():
        assert written[key].dtype == np.float32
        np.testing.assert_array_equal(written[key], value)
    with safetensors.safe_open(file, "numpy") as opened:
        header = opened.metadata()
    assert header["format"] == "pt"
    described = {key: json.loads(header[key]) for key in ("arch", "class_names", "preprocessing")}
    assert described["arch"] == "tiny_mobilenet"
    assert described["class_names"] == list(CLASS_NAMES)
    assert described["preprocessing"]["image_size"] == IMAGE_SIZE
    printed = capsys.readouterr().out
    assert f"wrote {file} (" in printed
    assert f"{len(expected)} arrays and the logits of 2 images, bit for bit" in printed
    assert "load_state_dict" in printed


@pytest.mark.parametrize("what", ["an array", "logits"])
def test_what_does_not_read_back_is_not_kept(
    workdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    original = pytorch.read_weights

    def altered(*arguments: Any, **options: Any) -> Any:
        weights = original(*arguments, **options)
        weights.arrays["classifier.3.bias"] = weights.arrays["classifier.3.bias"] + 1
        return weights

    if what == "an array":
        monkeypatch.setattr(pytorch, "read_weights", altered)
    else:
        answers = iter([np.zeros((2, 4), np.float32), np.ones((2, 4), np.float32)])
        monkeypatch.setattr(Predictor, "predict_logits", lambda *_: next(answers))
    found = "classifier_3.bias" if what == "an array" else "logits"
    with pytest.raises(UserError, match=rf"does not read back as it was written \(.*{found}"):
        export(workdir, tmp_path / "w.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_refusals(workdir: Path, tmp_path: Path) -> None:
    existing = tmp_path / "thesis.safetensors"
    existing.write_text("precious")
    with pytest.raises(UserError, match="exists; choose another --output"):
        export(workdir, existing)
    assert existing.read_text() == "precious"
    with pytest.raises(UserError, match=r"does not end in \.safetensors"):
        export(workdir, tmp_path / "w.pth")
    with pytest.raises(UserError, match="cannot write"):
        export(workdir, existing / "w.safetensors")
    with pytest.raises(UserError, match="invalid choice: 'onnxx'"):
        export(workdir, tmp_path / "w.safetensors", "--format", "onnxx")
    with pytest.raises(UserError, match="unknown format 'onnxx'; choose one of torch, onnx"):
        run.export_checkpoint(workdir, tmp_path / "w.safetensors", format="onnxx")
    edit_metadata(workdir / "student" / "best" / "7", head="untrained")
    with pytest.raises(UserError, match="would be guesses"):
        export(workdir, tmp_path / "w.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"run", existing.name}


def test_there_and_back(workdir: Path, tmp_path: Path) -> None:
    from fakd_jax.convert.run import convert_weights

    export(workdir, tmp_path / "w.safetensors")
    convert_weights("tiny_mobilenet", tmp_path / "w.safetensors", tmp_path / "back")
    before, _ = load_model(workdir / "student" / "best" / "7")
    after, _ = load_model(tmp_path / "back")
    for path, value in flatten_state(before).items():
        np.testing.assert_array_equal(flatten_state(after)[path], value)
