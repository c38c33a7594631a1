"""The script that compares runtimes: whose turn it is, and what it prints."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fakd_jax.export.images import Images, RealImages
from fakd_jax.inference.onnx import OnnxNetwork
from fakd_jax.inference.predictor import Predictor
from tests.tiny import IMAGE_SIZE, save_tiny_checkpoint


@pytest.fixture(scope="module")
def script(load_script) -> ModuleType:
    return load_script("compare_runtimes")


def test_runtimes_take_turns(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "PAUSE", 0.0)
    calls: list[str] = []
    runs = {name: lambda images, name=name: calls.append(name) for name in "ab"}
    found = script.times(runs, np.zeros((2, 4, 4, 3), np.uint8), 3)
    assert "".join(calls) == "aabb" + "bbaa" + "aabb" + "bbaa"
    assert all(median > 0 for median, _ in found.values())


def test_the_table(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = save_tiny_checkpoint(tmp_path / "run")
    pixels = np.random.default_rng(0).integers(0, 256, (32, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    predictor = Predictor.from_checkpoint(checkpoint)
    labels = predictor.predict_logits(pixels).argmax(axis=1)
    labels[:8] = (labels[:8] + 1) % 4  # a quarter is wrong
    images = RealImages(Images("images", pixels, labels), None)

    class Stub:
        metadata = {"precision": "int8"}  # noqa: RUF012
        predict_logits = staticmethod(lambda batch: -predictor.predict_logits(batch))

    file = tmp_path / "s.onnx"
    file.write_bytes(bytes(2_500_000))
    monkeypatch.setattr(script, "find_images", lambda *_: images)
    monkeypatch.setattr(script, "use_compilation_cache", lambda: None)
    monkeypatch.setattr(OnnxNetwork, "open", lambda path: Stub())
    script.main(["--checkpoint", str(checkpoint), "--onnx", str(file), "--repeats", "1"])
    rows = {line.split("  ")[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert rows["JAX float32"][-3:][0] == "100.00%"
    assert rows["JAX float32"][-1] == "75.00%"
    assert rows["ONNX Runtime int8"][-4] == "2.5"
    assert rows["ONNX Runtime int8"][-3] != "100.00%"
