"""The same logits in PyTorch: weights from there and back, and of our own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from fakd_jax.convert.run import convert_weights
from fakd_jax.convert.task import Task
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.export.run import export_checkpoint
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models import create_model
from fakd_jax.models.checkpoint import save_model
from fakd_jax.models.state import model_state
from tests.tiny import CLASS_NAMES, IMAGE_SIZE

pytestmark = pytest.mark.torch

PREPROCESSING = Preprocessing(IMAGE_SIZE, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
IMAGES = np.random.default_rng(1).integers(0, 256, (5, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
quiet = {"log": lambda _: None}


def torch_logits(model, images):
    torch = pytest.importorskip("torch")
    inputs = torch.from_numpy(np.asarray(PREPROCESSING.inputs(images)).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        return model(inputs).numpy()


def assert_close(actual, expected):
    assert np.abs(actual - expected).max() <= 1e-4 * np.abs(expected).max()


def test_pytorchs_network_converted_and_exported_again(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    from tests.torch_networks import ResNet, trained_resnet

    theirs = trained_resnet()
    torch.save({"model": theirs.state_dict()}, tmp_path / "w.pth")
    task = Task(CLASS_NAMES, PREPROCESSING)
    convert_weights("tiny_resnet", tmp_path / "w.pth", tmp_path / "ours", task=task, **quiet)
    logits = Predictor.from_checkpoint(tmp_path / "ours").predict_logits(IMAGES)
    expected = torch_logits(theirs, IMAGES)
    assert np.ptp(expected) > 1
    assert_close(logits, expected)

    file = export_checkpoint(tmp_path / "ours", tmp_path / "back.safetensors", **quiet)
    back = ResNet().eval()
    back.load_state_dict(load_file(file))
    np.testing.assert_array_equal(torch_logits(back, IMAGES), expected)


def test_our_network_in_pytorch(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from safetensors.torch import load_file

    from tests.torch_networks import ResNet

    model = create_model("tiny_resnet", num_classes=4, rngs=nnx.Rngs(3))
    metadata = {"arch": "tiny_resnet", "num_classes": 4, "head": "trained"}
    metadata |= Task(CLASS_NAMES, PREPROCESSING).to_metadata()
    save_model(tmp_path / "ours", model_state(model), metadata)
    file = export_checkpoint(tmp_path / "ours", tmp_path / "w.safetensors", **quiet)
    theirs = ResNet().eval()
    theirs.load_state_dict(load_file(file))
    logits = Predictor.from_checkpoint(tmp_path / "ours").predict_logits(IMAGES)
    assert_close(torch_logits(theirs, IMAGES), logits)


def test_a_one_channel_network_gives_the_same_on_a_repeated_channel(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from tests.torch_networks import trained_resnet

    grey = trained_resnet()
    grey.conv1.weight = torch.nn.Parameter(grey.conv1.weight[:, :1].clone())
    torch.save(grey.state_dict(), tmp_path / "w.pth")
    task = Task(CLASS_NAMES, Preprocessing(IMAGE_SIZE, (0.4,) * 3, (0.3,) * 3))
    options = {"task": task, "grey_stem": True, **quiet}
    convert_weights("tiny_resnet", tmp_path / "w.pth", tmp_path / "ours", **options)
    images = np.repeat(IMAGES[..., :1], 3, axis=-1)
    logits = Predictor.from_checkpoint(tmp_path / "ours").predict_logits(images)
    inputs = task.preprocessing.inputs(images)[..., :1]
    with torch.no_grad():
        expected = grey(torch.from_numpy(np.asarray(inputs).transpose(0, 3, 1, 2).copy())).numpy()
    assert_close(logits, expected)
