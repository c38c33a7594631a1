"""A teacher's classes and preprocessing beside a run's: the same, adapted, or refused."""

from __future__ import annotations

import logging
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.errors import UserError
from fakd_jax.experiment.teacher_loading import load_teacher, require_same_task
from fakd_jax.models import create_model
from fakd_jax.models.checkpoint import save_model
from fakd_jax.models.state import model_state
from fakd_jax.training.metric_log import LOGGER

NAMES = ("glioma", "meningioma", "notumor", "pituitary")
OTHER_ORDER = ("notumor", "pituitary", "glioma", "meningioma")
HERE = Preprocessing(32)
IMAGENET = Preprocessing(32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)


@pytest.fixture
def log(caplog, monkeypatch):
    """The log, even if an earlier test has called logging_to."""
    monkeypatch.setattr(LOGGER, "propagate", True)
    caplog.set_level(logging.INFO, LOGGER.name)
    return caplog


def save(folder: Path, **changes: object) -> Path:
    """A converted network of these classes."""
    model = create_model("tiny_resnet", num_classes=4, rngs=nnx.Rngs(0))
    metadata = {
        "arch": "tiny_resnet",
        "num_classes": 4,
        "class_names": list(NAMES),
        "preprocessing": HERE.to_dict(),
        "head": "pretrained",
    }
    save_model(folder, model_state(model), metadata | changes)
    return folder


def load(checkpoint: Path, **more: bool):
    return load_teacher(checkpoint, NAMES, HERE, dtype=jnp.float32, **more)


def logits(teacher, preprocessing: Preprocessing = HERE) -> np.ndarray:
    return np.asarray(teacher.network()(preprocessing.inputs(IMAGES)))


def test_a_converted_teacher_of_the_same_task_is_taken_as_it_is(tmp_path, log):
    converted, digest = load(save(tmp_path / "a"))
    trained, of_trained = load(save(tmp_path / "b", head="trained"))
    assert converted.preprocessing is trained.preprocessing is None
    assert digest == of_trained
    assert len(log.messages) == 2  # what was loaded, and no more


def test_classes_in_another_order_are_put_in_the_datas(tmp_path, log):
    plain, digest = load(save(tmp_path / "a"))
    teacher, other = load(save(tmp_path / "b", class_names=list(OTHER_ORDER)))
    order = [OTHER_ORDER.index(name) for name in NAMES]
    np.testing.assert_array_equal(logits(teacher), logits(plain)[:, order])
    assert other != digest
    assert "order of the data's classes" in log.messages[-1]


def test_images_are_normalised_as_the_teacher_was_trained(tmp_path, log):
    _, digest = load(save(tmp_path / "a"))
    teacher, other = load(save(tmp_path / "b", preprocessing=IMAGENET.to_dict()))
    assert teacher.preprocessing == IMAGENET
    assert other != digest
    assert "0.485" in log.messages[-1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": None}, "does not say what its classes are.*--class-names"),
        ({"preprocessing": None}, "does not say what its classes are.*--mean"),
        ({"class_names": ["a", "b", "c", "d"]}, "was trained on the classes a, b, c, d, the data"),
        (
            {"preprocessing": Preprocessing(48, intensity="head_percentiles").to_dict()},
            "image_size 48, here 32; intensity head_percentiles, here none",
        ),
        ({"head": "untrained"}, "is untrained; fine-tune it"),
        ({"head": None}, "is unknown; fine-tune it"),
    ],
)
def test_what_does_not_fit_or_is_unknown_is_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        load(save(tmp_path / "a", **changes))
    assert "\n" not in str(caught.value)


def test_an_untrained_head_that_is_allowed_needs_no_classes(tmp_path):
    unknown = {"class_names": None, "preprocessing": None, "head": "absent"}
    teacher, _ = load(save(tmp_path / "a", **unknown), allow_untrained=True)
    assert teacher.preprocessing is None
    with pytest.raises(UserError, match="does not say"):
        load(save(tmp_path / "b", **unknown | {"head": "pretrained"}), allow_untrained=True)
    size = {"preprocessing": Preprocessing(48).to_dict()}
    with pytest.raises(UserError, match="image_size 48"):
        load(save(tmp_path / "c", **unknown | size), allow_untrained=True)


def test_the_order_of_classes_is_the_teachers_own():
    metadata = {"class_names": list(OTHER_ORDER), "preprocessing": IMAGENET.to_dict()}
    assert require_same_task(Path("t"), metadata, NAMES, HERE) == (OTHER_ORDER, IMAGENET)
