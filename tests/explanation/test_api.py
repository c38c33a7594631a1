"""Explaining an image as a library: any method, any class, arrays and files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakd_jax.errors import UserError
from fakd_jax.explanation import explain_image
from fakd_jax.explanation.api import image_seed
from fakd_jax.explanation.methods.registry import EXPLAINERS
from fakd_jax.explanation.scene.builder import PAPER, SceneBuilder
from fakd_jax.explanation.scene.superpixels import Slic
from fakd_jax.inference.predictor import Predictor
from tests.tiny import tiny_predictor

SIDE = 32
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 36, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return tiny_predictor(num_classes=2, batch_size=8)


@pytest.mark.parametrize("method", EXPLAINERS)
def test_any_method_explains_any_class(predictor: Predictor, method: str) -> None:
    samples = {"num_samples": 20} if "num_samples" in vars(EXPLAINERS[method]) else {}
    scene_builder = PAPER if method == "lime-package" else SceneBuilder(Slic(count=8))
    explanation = explain_image(
        predictor, IMAGE, method=method, target="1", scene_builder=scene_builder, **samples
    )
    assert explanation.target == "1"
    assert explanation.method == method
    assert explanation.attribution.shape == explanation.segments.shape == (SIDE, SIDE)
    assert explanation.weights.shape == (explanation.segments.max() + 1,)
    assert np.isfinite(explanation.attribution).all()
    np.testing.assert_array_equal(
        explanation.probabilities, predictor.predict_proba(IMAGE[None])[0]
    )


def test_files_floats_and_indices_give_the_same_explanation(
    predictor: Predictor, tmp_path: Path
) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "image.png")
    found = [
        explain_image(predictor, image, target=target, num_samples=20)
        for image in (IMAGE, IMAGE / 255, tmp_path / "image.png", str(tmp_path / "image.png"))
        for target in ("0", 0)
    ]
    for explanation in found[1:]:
        np.testing.assert_array_equal(explanation.weights, found[0].weights)


def test_the_predicted_class_is_explained_and_drawn(predictor: Predictor) -> None:
    explanation = explain_image(predictor, IMAGE, num_samples=20)
    assert explanation.target == explanation.prediction
    buffer = io.BytesIO()
    explanation.figure(true_class="0").savefig(buffer, format="png")
    assert Image.open(buffer).size == (1600, 660)


def test_attribution_and_overlay_have_the_size_of_the_original(predictor: Predictor) -> None:
    explanation = explain_image(predictor, IMAGE, num_samples=20)
    attribution = explanation.attribution_of_original()
    assert attribution.shape == IMAGE.shape[:2]
    assert attribution.dtype == np.float32
    assert set(np.unique(attribution)) <= set(np.append(explanation.weights, 0).astype(np.float32))
    picture = explanation.overlay()
    assert picture.shape == IMAGE.shape
    np.testing.assert_array_equal(picture[attribution == 0], IMAGE[attribution == 0])


def bright_halves(images: np.ndarray) -> np.ndarray:
    """Two classes: whether the left half is bright. Takes images of any size."""
    bright = 0.01 + 0.98 * images[:, :, : images.shape[2] // 2].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - bright, bright], axis=1).astype(np.float32)


def test_any_function_of_images_is_explained_at_their_own_size() -> None:
    squares = np.zeros((40, 36, 3), np.uint8)
    squares[10:30, 4:14] = squares[10:30, 22:32] = 255
    options = {"method": "occlusion", "scene_builder": SceneBuilder(Slic(8), head_only=False)}
    names = ("dark", "bright")
    named = explain_image(bright_halves, squares, target="bright", class_names=names, **options)
    assert named.attribution.shape == squares.shape[:2]
    assert named.attribution[20, 9] > 10 * np.abs(named.attribution[:, 24:]).max()
    contrast = explain_image(
        bright_halves, squares, target=np.argmax([0, 1]), contrast=np.int64(0), **options
    )
    assert (contrast.target, contrast.contrast, contrast.score) == ("1", "0", "log-odds")
    assert contrast.attribution[20, 9] > named.attribution[20, 9] > 0


@pytest.mark.parametrize("names", [("one",), ("one", "two", "three")])
def test_a_function_of_other_classes_than_named_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=f"{len(names)} class_names are given for 2 outputs"):
        explain_image(bright_halves, IMAGE, class_names=names, target=names[-1])


@pytest.mark.parametrize("method", ["grad-cam", "integrated-gradients"])
def test_a_method_that_needs_gradients_says_so_of_a_function(method: str) -> None:
    with pytest.raises(UserError, match="gradients"):
        explain_image(bright_halves, IMAGE, method=method)


def test_a_network_that_predicts_in_bfloat16_is_explained_in_float32() -> None:
    rough, exact = (tiny_predictor(num_classes=2, dtype=dtype) for dtype in ("bfloat16", "float32"))
    one, other = (explain_image(one, IMAGE, num_samples=20) for one in (rough, exact))
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    np.testing.assert_array_equal(one.weights, other.weights)


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": "cat"},
        {"target": 2},
        {"target": 1.0},
        {"contrast": [0]},
        {"target": "true"},
        {"contrast": "cat"},
        {"target": "0", "contrast": "0"},
        {"target": "0:1", "contrast": "1"},
        {"class_names": ("a", "b")},
        {"method": "shap"},
        {"seed": -1},
    ],
)
def test_wrong_choices_are_refused(predictor: Predictor, wrong: dict[str, object]) -> None:
    with pytest.raises(UserError):
        explain_image(predictor, IMAGE, **wrong)


def test_an_images_seed_depends_on_pixels_and_seed_and_has_31_bits() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    seeds = [image_seed(0, image), image_seed(1, image), image_seed(0, image + 1)]
    assert len(set(seeds)) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert image_seed(0, image.copy()) == seeds[0]
