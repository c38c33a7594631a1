"""`fakd export --format onnx`: what is written, verified, refused, and read without JAX."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from fakd_jax.data.preprocessing import Preprocessing, resize
from fakd_jax.errors import DamagedError, UserError
from fakd_jax.export.images import Images, RealImages
from fakd_jax.export.onnx import file as onnx_file
from fakd_jax.export.request import Request
from fakd_jax.export.run import export_checkpoint
from fakd_jax.export.verification import Tolerance, verify_logits
from fakd_jax.inference.onnx import OnnxNetwork
from fakd_jax.inference.predictor import Predictor, softmax
from tests.tiny import (
    CLASS_NAMES,
    IMAGE_SIZE,
    edit_metadata,
    save_tiny_checkpoint,
    tiny_predictor,
    write_image,
)

REPOSITORY = Path(__file__).resolve().parents[3]

quiet = {"log": lambda _: None}


def noise(batch: int, height: int = IMAGE_SIZE, width: int = IMAGE_SIZE) -> np.ndarray:
    return np.random.default_rng(batch).integers(0, 256, (batch, height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, Path]:
    folder = tmp_path_factory.mktemp("onnx")
    checkpoint = save_tiny_checkpoint(folder / "run")
    decision = {"temperature": 1.5, "reject_threshold": 0.4}
    preprocessing = Preprocessing(IMAGE_SIZE, intensity="head_percentiles").to_dict()
    edit_metadata(
        checkpoint / "student" / "best" / "7", decision=decision, preprocessing=preprocessing
    )
    file = export_checkpoint(checkpoint, folder / "s.onnx", format="onnx", **quiet)
    return Predictor.from_checkpoint(checkpoint, dtype="float32", batch_size=4), file


def test_logits_and_features_of_any_batch(exported: tuple[Predictor, Path]) -> None:
    predictor, file = exported
    network = OnnxNetwork.open(file)
    for batch in (1, 5):
        features, logits = network.features_and_logits(noise(batch))
        expected = predictor.predict_logits(noise(batch))
        assert np.ptp(expected) > 0.1 * np.abs(expected).max() > 0
        np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
        layer = predictor.network.classifier_3  # reads the features
        from_features = features @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
        np.testing.assert_allclose(from_features, logits, atol=1e-4 * np.abs(logits).max())


def test_images_of_any_size(exported: tuple[Predictor, Path]) -> None:
    _, file = exported
    logits = OnnxNetwork.open(file).predict_logits(noise(2, 50, 41))
    assert logits.shape == (2, len(CLASS_NAMES))
    assert np.isfinite(logits).all()


def test_what_goes_with_the_network(exported: tuple[Predictor, Path]) -> None:
    network = OnnxNetwork.open(exported[1])
    assert network.class_names == CLASS_NAMES
    assert network.image_size == IMAGE_SIZE
    assert network.metadata["decision"] == {"temperature": 1.5, "reject_threshold": 0.4}
    assert network.metadata["negative_class"] == "notumor"
    stored = onnxruntime.InferenceSession(exported[1]).get_modelmeta().custom_metadata_map
    assert json.loads(stored["precision"]) == "float32"
    assert str(exported[1].parent) not in str(stored)


def test_predicting_imports_no_jax(exported: tuple[Predictor, Path]) -> None:
    code = (
        "import sys, numpy as np\n"
        "from fakd_jax.inference.onnx import OnnxNetwork\n"
        f"network = OnnxNetwork.open({str(exported[1])!r})\n"
        "network.predict_logits(np.zeros((1, 40, 36, 3), np.uint8))\n"
        "heavy = {'jax', 'flax', 'scipy', 'matplotlib', 'grain', 'tensorflow_datasets', 'onnx'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = save_tiny_checkpoint(tmp_path / "run")
    predict = OnnxNetwork.predict_logits
    monkeypatch.setattr(
        OnnxNetwork, "predict_logits", lambda self, images: predict(self, images) * 1.01
    )
    with pytest.raises(UserError, match="not close enough"):
        export_checkpoint(checkpoint, tmp_path / "s.onnx", format="onnx", **quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_refusals(tmp_path: Path) -> None:
    checkpoint = save_tiny_checkpoint(tmp_path / "run")
    onnx = {"format": "onnx", **quiet}
    with pytest.raises(UserError, match="calibrated on training images"):
        export_checkpoint(checkpoint, tmp_path / "s.onnx", precision="int8", **onnx)
    with pytest.raises(UserError, match=r"does not end in \.onnx"):
        export_checkpoint(checkpoint, tmp_path / "s.zip", **onnx)
    with pytest.raises(UserError, match="not in int8"):
        export_checkpoint(checkpoint, tmp_path / "s.zip", format="stablehlo", precision="int8")
    with pytest.raises(UserError, match="for bundles"):
        export_checkpoint(checkpoint, tmp_path / "s.onnx", with_onnx=True, **onnx)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_damaged_files_are_refused(exported: tuple[Predictor, Path], tmp_path: Path) -> None:
    damaged = tmp_path / "s.onnx"
    damaged.write_bytes(exported[1].read_bytes()[:-2000])
    with pytest.raises(DamagedError, match="export it again"):
        OnnxNetwork.open(damaged)
    with pytest.raises(UserError, match="there is no file"):
        OnnxNetwork.open(tmp_path / "none.onnx")


@pytest.mark.parametrize("precision", ["float16", "int8"])
@pytest.mark.slow
def test_fewer_bits(tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = tiny_predictor(num_classes=4)
    training = Images("noise", noise(16), np.zeros(16, int))
    monkeypatch.setattr(predictor, "checkpoint", tmp_path)
    onnx_file.write(Request(predictor, precision, RealImages(None, training)), tmp_path / "s.onnx")
    network = OnnxNetwork.open(tmp_path / "s.onnx")
    assert network.metadata["precision"] == precision
    expected = predictor.predict_logits(noise(8))
    difference = np.abs(network.predict_logits(noise(8)) - expected).max()
    assert 0 < difference < 0.1 * np.abs(expected).max()


def test_agreement_and_accuracy_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = tiny_predictor(num_classes=4)
    real = noise(20)
    labels = predictor.predict_logits(real).argmax(axis=1)
    images = Images("noise", real, labels)

    def worse(wrong: int):
        def logits(pixels: np.ndarray) -> np.ndarray:
            right = predictor.predict_logits(pixels)
            flat = pixels.reshape(len(pixels), -1)
            for row, image in enumerate(flat):
                if any(np.array_equal(image, each.ravel()) for each in real[:wrong]):
                    right[row] = -right[row]
            return right

        return logits

    limits = {"int8": Tolerance(agreement=0.9, accuracy_loss=0.07)}
    monkeypatch.setattr("fakd_jax.export.verification.TOLERANCES", limits)
    assert "same class on 95.00%" in verify_logits(predictor, worse(1), images, "int8")
    with pytest.raises(UserError, match="accuracy may fall by 7"):
        verify_logits(predictor, worse(2), images, "int8")
    with pytest.raises(UserError, match=r"at least 90.0% of the classes"):
        verify_logits(predictor, worse(3), images, "int8")
    with pytest.raises(UserError, match="not finite"):
        verify_logits(
            predictor, lambda pixels: np.full((len(pixels), 4), np.nan, np.float32), None, "int8"
        )


def test_the_loader_of_the_examples_gives_the_same_probabilities(
    exported: tuple[Predictor, Path], tmp_path: Path
) -> None:
    predictor, file = exported
    picture = write_image(tmp_path / "slice.png", 3)
    image = resize(np.asarray(Image.open(picture)), IMAGE_SIZE)[None]
    probabilities = softmax(predictor.predict_logits(image) / 1.5)[0]  # its temperature
    example = REPOSITORY / "examples" / "onnx_student.py"
    command = [sys.executable, str(example), str(file), str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _, *words = done.stdout.removeprefix(str(picture)).split("=")
    found = [float(word.split()[0]) for word in words]
    np.testing.assert_allclose(found, probabilities, atol=1e-3)
    assert "not sure" in done.stdout  # below its threshold of 0.4: the logits hardly differ
