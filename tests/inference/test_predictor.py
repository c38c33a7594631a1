"""The predictor: shapes, ranges, padding, preprocessing, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax import Predictor
from fakd_jax.data.preprocessing import Preprocessing, normalise, resize
from fakd_jax.errors import UserError
from fakd_jax.inference.predictor import softmax
from fakd_jax.models.layers import BatchNorm
from tests.tiny import IMAGE_SIZE as SIDE
from tests.tiny import edit_metadata, save_tiny_checkpoint, tiny_predictor

CLASSES = ("glioma", "notumor", "pituitary")
IMAGES = np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return save_tiny_checkpoint(folder, CLASSES, head_scale=1) / "student" / "best" / "7"


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return Predictor.from_checkpoint(checkpoint, batch_size=4, dtype="float32")


def changed(checkpoint: Path, folder: Path, **metadata: Any) -> Path:
    """A copy of the checkpoint with other metadata."""
    copy = folder / "changed"
    shutil.copytree(checkpoint, copy)
    edit_metadata(copy, **metadata)
    return copy


def test_attributes_come_from_the_checkpoint(predictor: Predictor, checkpoint: Path) -> None:
    assert predictor.arch == "tiny_mobilenet"
    assert predictor.class_names == CLASSES
    assert predictor.num_classes == 3
    assert predictor.preprocessing == Preprocessing(image_size=SIDE)
    assert predictor.checkpoint == checkpoint
    assert predictor.batch_size == 4
    assert predictor.dtype == "float32"
    of_workdir = Predictor.from_checkpoint(checkpoint.parents[2])
    assert of_workdir.checkpoint == checkpoint
    assert of_workdir.dtype == ("float32" if jax.default_backend() == "cpu" else "bfloat16")


def test_logits_are_the_networks_on_normalised_images(predictor: Predictor) -> None:
    normalised = jnp.asarray(normalise(IMAGES, (0.5,) * 3, (0.5,) * 3))
    expected = nnx.jit(lambda model, inputs: model(inputs))(predictor.network, normalised)
    np.testing.assert_allclose(predictor.predict_logits(IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_probabilities_are_the_softmax_of_the_logits(predictor: Predictor) -> None:
    probabilities = predictor.predict_proba(IMAGES)
    np.testing.assert_array_equal(probabilities, softmax(predictor.predict_logits(IMAGES)))
    extreme = np.array([[1e4, -1e4, 0], [-1e38, -1e38, -1e38]], np.float32)
    np.testing.assert_allclose(softmax(extreme), [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)


def test_a_row_does_not_depend_on_the_others(predictor: Predictor) -> None:
    together = predictor.predict_logits(IMAGES)
    for index in range(len(IMAGES)):
        alone = predictor.predict_logits(IMAGES[index : index + 1])
        np.testing.assert_allclose(alone[0], together[index], rtol=1e-5, atol=1e-6)
    # In the same place of its batch, a row has the same bits.
    others = np.concatenate([IMAGES[:2], IMAGES[4:]])
    np.testing.assert_array_equal(predictor.predict_logits(others)[:2], together[:2])


def test_any_number_of_images_compiles_once(checkpoint: Path) -> None:
    predictor = Predictor.from_checkpoint(checkpoint, batch_size=4)
    for count in (0, 1, 3, 4, 5, 6):
        assert predictor.predict_proba(IMAGES[:count]).shape == (count, 3)
    assert predictor._outputs._cache_size() == 1
    assert predictor.predict_proba(np.zeros((0, 50, 40, 3), np.float32)).shape == (0, 3)


@pytest.mark.parametrize(
    "same",
    [jnp.asarray(IMAGES), *((IMAGES / 255).astype(f"float{bits}") for bits in (16, 32, 64))],
    ids=lambda images: f"{type(images).__name__} {images.dtype}",
)
def test_arrays_of_other_types_give_the_same_logits(predictor: Predictor, same: Any) -> None:
    np.testing.assert_array_equal(predictor.predict_logits(same), predictor.predict_logits(IMAGES))


def test_other_sizes_are_resized_as_in_training(predictor: Predictor) -> None:
    large = np.random.default_rng(1).integers(0, 256, (2, 50, 41, 3), dtype=np.uint8)
    resized = np.stack([resize(image, SIDE) for image in large])
    np.testing.assert_array_equal(
        predictor.predict_logits(large), predictor.predict_logits(resized)
    )


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((SIDE, SIDE, 3), np.uint8),
        np.zeros((1, 3, SIDE, SIDE), np.uint8),
        np.zeros((1, 0, SIDE, 3), np.uint8),
        np.zeros((1, SIDE, SIDE, 3), np.int64),
        np.full((1, SIDE, SIDE, 3), 255.0),
        np.full((1, SIDE, SIDE, 3), -0.1),
        np.full((1, SIDE, SIDE, 3), np.nan),
    ],
    ids=["one", "channels first", "empty", "int64", "0..255", "negative", "nan"],
)
def test_anything_but_a_batch_of_images_is_refused(predictor: Predictor, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="images must"):
        predictor.predict_proba(wrong)


def test_bfloat16_is_close_and_returns_float32(checkpoint: Path, predictor: Predictor) -> None:
    rough = Predictor.from_checkpoint(checkpoint, batch_size=4, dtype="bfloat16")
    probabilities = rough.predict_proba(IMAGES)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, predictor.predict_proba(IMAGES), atol=0.05)
    # It is the network that was validated: folded batch norms would be rounded to bfloat16 with
    # the weights. A compiler rounds two programs differently, by up to a bit or two.
    predicts = rough.folded.merge(rough.folded.variables)
    assert any(isinstance(module, BatchNorm) for _, module in nnx.iter_graph(predicts))
    batch = normalise(IMAGES[:4], rough.preprocessing.mean, rough.preprocessing.std)
    validated = nnx.jit(lambda model, inputs: model(inputs))(rough.network, batch)
    np.testing.assert_allclose(
        rough.logits_of_batch(IMAGES[:4]), validated, rtol=0, atol=2**-7 * np.abs(validated).max()
    )


@pytest.mark.parametrize("head", ["untrained", "absent"])
def test_an_untrained_head_must_be_allowed(checkpoint: Path, tmp_path: Path, head: str) -> None:
    untrained = changed(checkpoint, tmp_path, head=head, preprocessing=None, class_names=None)
    with pytest.raises(UserError, match=head):
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
        ({"class_names": ["glioma"]}, "names 1 classes"),
        ({"num_classes": 4, "class_names": None}, "misshaped"),
    ],
)
def test_metadata_must_fit_the_network(
    checkpoint: Path, tmp_path: Path, metadata: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Predictor.from_checkpoint(changed(checkpoint, tmp_path, **metadata))


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"dtype": "float8"}])
def test_settings_out_of_range_are_refused(checkpoint: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        Predictor.from_checkpoint(checkpoint, **wrong)


def test_another_order_of_classes_moves_the_outputs_alone() -> None:
    predictor = tiny_predictor()
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    logits = predictor.predict_logits(images)
    other = predictor.with_class_order(("2", "0", "1"))
    assert other.class_names == ("2", "0", "1")
    np.testing.assert_array_equal(other.predict_logits(images), logits[:, [2, 0, 1]])
    np.testing.assert_array_equal(predictor.predict_logits(images), logits)
    assert predictor.with_class_order(predictor.class_names) is predictor


def test_features_come_with_the_logits_from_one_program(predictor: Predictor) -> None:
    logits = predictor.logits_of_batch(IMAGES[:4])
    compiled = predictor._outputs._cache_size()
    features, same = predictor.features_and_logits(IMAGES[:4])
    assert predictor._outputs._cache_size() == compiled
    np.testing.assert_array_equal(same, logits)
    assert (features.shape, features.dtype) == ((4, 32), np.float32)
    last = predictor.network.classifier_3
    by_hand = features @ np.asarray(last.kernel[...]) + np.asarray(last.bias[...])
    np.testing.assert_allclose(by_hand, logits, rtol=1e-4, atol=1e-5)
    reordered = predictor.with_class_order(CLASSES[::-1])
    np.testing.assert_array_equal(reordered.features_and_logits(IMAGES[:4])[0], features)


def test_features_in_bfloat16_are_returned_as_float32(checkpoint: Path) -> None:
    rough = Predictor.from_checkpoint(checkpoint, batch_size=4, dtype="bfloat16")
    assert rough.features_and_logits(IMAGES[:4])[0].dtype == np.float32


def test_unknown_features_are_an_error(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "_outputs", lambda *_: (None, jnp.zeros((1, 3))))
    assert predictor.logits_of_batch(IMAGES[:1]).shape == (1, 3)
    with pytest.raises(UserError, match="no single linear layer"):
        predictor.features_and_logits(IMAGES[:1])
