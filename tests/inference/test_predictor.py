"""The predictor: shapes, ranges, padding, preprocessing, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax import Predictor
from fakd_jax.data.preprocessing import Preprocessing, normalise, resize
from fakd_jax.errors import UserError
from fakd_jax.inference.predictor import softmax
from fakd_jax.models import create_model
from fakd_jax.models.checkpoint import save_model
from fakd_jax.models.state import model_state

SIDE = 32
METADATA: dict[str, Any] = {
    "arch": "tiny_mobilenet",
    "num_classes": 3,
    "class_names": ["glioma", "notumor", "pituitary"],
    "overrides": {},
    "preprocessing": Preprocessing(image_size=SIDE).to_dict(),
    "negative_class": "notumor",
    "head": "trained",
    "source": {},
    "data": None,
    "config": None,
    "package_version": "0",
}


def tiny_model() -> nnx.Module:
    model = create_model("tiny_mobilenet", num_classes=3, rngs=nnx.Rngs(0))
    model.eval()
    return model


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predictor") / "run" / "student" / "best" / "7"
    save_model(folder, model_state(tiny_model()), METADATA)
    return folder


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return Predictor.from_checkpoint(checkpoint, batch_size=4, dtype="float32")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)


def changed(checkpoint: Path, folder: Path, **metadata: Any) -> Path:
    """A copy of the checkpoint with other metadata."""
    copy = folder / "changed"
    shutil.copytree(checkpoint, copy)
    file = copy / "metadata.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | metadata))
    return copy


def test_the_checkpoints_facts(predictor: Predictor, checkpoint: Path) -> None:
    assert predictor.arch == "tiny_mobilenet"
    assert predictor.class_names == ("glioma", "notumor", "pituitary")
    assert predictor.num_classes == 3
    assert predictor.preprocessing == Preprocessing(image_size=SIDE)
    assert predictor.checkpoint == checkpoint
    assert predictor.batch_size == 4
    assert predictor.dtype == "float32"


def test_logits_are_the_networks_on_normalised_images(
    predictor: Predictor, images: np.ndarray
) -> None:
    normalised = jnp.asarray(normalise(images, (0.5,) * 3, (0.5,) * 3))
    expected = nnx.jit(lambda model, inputs: model(inputs))(tiny_model(), normalised)
    np.testing.assert_allclose(predictor.predict_logits(images), expected, rtol=1e-4, atol=1e-5)


def test_probabilities_are_float32_and_sum_to_one(predictor: Predictor, images: np.ndarray) -> None:
    probabilities = predictor.predict_proba(images)
    assert isinstance(probabilities, np.ndarray)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (6, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(probabilities, softmax(predictor.predict_logits(images)))


def test_a_row_does_not_depend_on_the_others(predictor: Predictor, images: np.ndarray) -> None:
    together = predictor.predict_logits(images)
    for index in range(len(images)):
        alone = predictor.predict_logits(images[index : index + 1])
        np.testing.assert_allclose(alone[0], together[index], rtol=1e-5, atol=1e-6)


def test_a_row_has_the_same_bits_in_the_same_place_of_any_batch(
    predictor: Predictor, images: np.ndarray
) -> None:
    whole = predictor.predict_logits(images[:4])
    np.testing.assert_array_equal(predictor.predict_logits(images[:1]), whole[:1])
    others = np.concatenate([images[:2], images[4:]])
    np.testing.assert_array_equal(predictor.predict_logits(others)[:2], whole[:2])


def test_one_shape_is_compiled_whatever_the_number(checkpoint: Path, images: np.ndarray) -> None:
    predictor = Predictor.from_checkpoint(checkpoint, batch_size=4)
    for count in (1, 3, 4, 5, 6):
        predictor.predict_proba(images[:count])
    assert predictor._logits._cache_size() == 1


def test_no_images_give_no_rows(predictor: Predictor) -> None:
    for empty in (np.zeros((0, SIDE, SIDE, 3), np.uint8), np.zeros((0, 50, 40, 3), np.float32)):
        assert predictor.predict_proba(empty).shape == (0, 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_the_same_images(predictor: Predictor, images: np.ndarray, dtype: type) -> None:
    floats = (images / 255).astype(dtype)
    np.testing.assert_array_equal(
        predictor.predict_logits(floats), predictor.predict_logits(images)
    )


def test_jax_arrays_are_images_too(predictor: Predictor, images: np.ndarray) -> None:
    np.testing.assert_array_equal(
        predictor.predict_logits(jnp.asarray(images)), predictor.predict_logits(images)
    )


def test_any_size_is_resized_as_in_training(predictor: Predictor) -> None:
    large = np.random.default_rng(1).integers(0, 256, (2, 50, 41, 3), dtype=np.uint8)
    resized = np.stack([resize(image, SIDE) for image in large])
    np.testing.assert_array_equal(
        predictor.predict_logits(large), predictor.predict_logits(resized)
    )


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((SIDE, SIDE, 3), np.uint8),
        np.zeros((1, SIDE, SIDE, 1), np.uint8),
        np.zeros((1, 3, SIDE, SIDE), np.uint8),
        np.zeros((1, 0, SIDE, 3), np.uint8),
        np.zeros((1, SIDE, SIDE, 3), np.int64),
        np.full((1, SIDE, SIDE, 3), 255.0),
        np.full((1, SIDE, SIDE, 3), -0.1),
        np.full((1, SIDE, SIDE, 3), np.nan),
    ],
    ids=["one", "grey", "channels first", "empty", "int64", "0..255", "negative", "nan"],
)
def test_what_is_not_a_batch_of_images_is_refused(predictor: Predictor, wrong: np.ndarray) -> None:
    with pytest.raises((ValueError, TypeError)):
        predictor.predict_proba(wrong)


def test_softmax_is_safe_for_extreme_logits() -> None:
    logits = np.array([[1e4, -1e4, 0], [-1e38, -1e38, -1e38]], np.float32)
    np.testing.assert_allclose(softmax(logits), [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)


def test_a_workdir_means_its_best_student(checkpoint: Path) -> None:
    assert Predictor.from_checkpoint(checkpoint.parents[2]).checkpoint == checkpoint


def test_auto_is_float32_on_a_cpu(checkpoint: Path) -> None:
    import jax

    expected = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    assert Predictor.from_checkpoint(checkpoint).dtype == expected


def test_bfloat16_is_close_and_gives_float32(
    checkpoint: Path, predictor: Predictor, images: np.ndarray
) -> None:
    rough = Predictor.from_checkpoint(checkpoint, batch_size=4, dtype="bfloat16")
    probabilities = rough.predict_proba(images)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, predictor.predict_proba(images), atol=0.05)


@pytest.mark.parametrize("head", ["untrained", "absent"])
def test_an_untrained_head_is_refused(checkpoint: Path, tmp_path: Path, head: str) -> None:
    untrained = changed(checkpoint, tmp_path, head=head, preprocessing=None, class_names=None)
    with pytest.raises(UserError, match=f"is {head}.*guesses"):
        Predictor.from_checkpoint(untrained)
    allowed = Predictor.from_checkpoint(untrained, allow_untrained=True)
    assert allowed.preprocessing == Preprocessing()
    assert allowed.class_names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"arch": "resnet5000"}, "resnet5000"),
        ({"arch": "tiny_resnet"}, "do not fit"),
        ({"preprocessing": None}, "preprocessing"),
        ({"preprocessing": {"image_size": 32}}, "preprocessing"),
        ({"class_names": ["glioma"]}, "names 1 classes and its network has 3"),
        ({"num_classes": 4, "class_names": None}, "misshaped"),
        ({"format_version": 99}, "99"),
    ],
)
def test_metadata_that_does_not_fit(
    checkpoint: Path, tmp_path: Path, metadata: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Predictor.from_checkpoint(changed(checkpoint, tmp_path, **metadata))


def test_a_damaged_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    copy = changed(checkpoint, tmp_path)
    for file in (copy / "model").rglob("*"):
        if file.is_file():
            file.write_bytes(b"damaged")
    with pytest.raises(UserError, match="damaged"):
        Predictor.from_checkpoint(copy)


def test_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint"):
        Predictor.from_checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"dtype": "float8"}])
def test_wrong_choices(checkpoint: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        Predictor.from_checkpoint(checkpoint, **wrong)
