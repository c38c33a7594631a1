"""`fakd export --format litert`: what a `.tflite` file computes, has with it, and how it fails."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.errors import UserError
from fakd_jax.export import litert
from fakd_jax.export.request import Request
from fakd_jax.export.run import export_checkpoint
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models.registry import available_models
from tests.tiny import CLASS_NAMES, IMAGE_SIZE, edit_metadata, save_tiny_checkpoint, tiny_predictor

runtime = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra litert")


@pytest.mark.parametrize("intensity", ["none", "head_percentiles"])
def test_logits_features_and_what_goes_with_them(tmp_path: Path, intensity: str) -> None:
    checkpoint = save_tiny_checkpoint(tmp_path / "run")
    stored = Preprocessing(IMAGE_SIZE, intensity=intensity).to_dict()
    decision = {"temperature": 1.5, "reject_threshold": 0.4}
    edit_metadata(checkpoint / "student" / "best" / "7", decision=decision, preprocessing=stored)
    file = tmp_path / "s.tflite"
    export_checkpoint(checkpoint, file, format="litert", log=lambda _: None)

    predictor = Predictor.from_checkpoint(checkpoint, dtype="float32")
    images = np.random.default_rng(0).integers(0, 256, (2, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    images[1] //= 8  # dark: its landmarks are others
    expected = predictor.predict_logits(images)
    run = runtime.Interpreter(str(file)).get_signature_runner()
    for image, logits in zip(images, expected, strict=True):
        computed = run(images=image[None])
        np.testing.assert_allclose(computed["logits"][0], logits, atol=1e-4 * np.abs(logits).max())
        layer = predictor.network.classifier_3  # reads the features
        from_features = computed["features"][0] @ np.asarray(layer.kernel[...])
        from_features += np.asarray(layer.bias[...])
        np.testing.assert_allclose(from_features, logits, atol=1e-4 * np.abs(logits).max())
    with zipfile.ZipFile(file) as appended:
        metadata = json.loads(appended.read("metadata.json"))
    assert metadata["class_names"] == list(CLASS_NAMES)
    assert metadata["decision"] == decision
    assert metadata["preprocessing"]["intensity"] == intensity


def test_a_file_that_computes_something_else_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = save_tiny_checkpoint(tmp_path / "run")
    right = litert._pointwise_as_convolution
    monkeypatch.setattr(
        litert, "_pointwise_as_convolution", lambda maps, kernel: 1.01 * right(maps, kernel)
    )
    with pytest.raises(UserError, match="not close enough"):
        export_checkpoint(checkpoint, tmp_path / "s.tflite", format="litert", log=lambda _: None)
    assert [each.name for each in tmp_path.iterdir()] == ["run"]


def test_an_operation_without_translation_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def program_of(predictor: Predictor) -> object:
        def program(images: jax.Array) -> dict[str, jax.Array]:
            values = jnp.linalg.cholesky(images[..., 0].astype(jnp.float32))[:, 0]
            return {"logits": values[:, :3], "features": values}

        return program

    monkeypatch.setattr(litert, "program_of", program_of)
    with pytest.raises(UserError, match="LiteRT"):
        litert.write(Request(tiny_predictor()), tmp_path / "s.tflite")


@pytest.mark.slow
@pytest.mark.parametrize("arch", available_models())
def test_every_network(tmp_path: Path, arch: str) -> None:
    from flax import nnx

    from fakd_jax.models import create_model

    predictor = Predictor(
        create_model(arch, num_classes=3, rngs=nnx.Rngs(0)),
        {"arch": arch, "num_classes": 3},
        preprocessing=Preprocessing(image_size=64),
        checkpoint=tmp_path,
        batch_size=4,
        dtype="float32",
    )
    file = tmp_path / "n.tflite"
    litert.write(Request(predictor), file)
    litert.verify(Request(predictor), file)
