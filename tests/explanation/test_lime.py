"""LIME: finds planted evidence, repeats itself exactly, agrees with the package run by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from fakd_jax.errors import UserError
from fakd_jax.explanation.batching import in_fixed_batches
from fakd_jax.explanation.hiding import hiding_on_host
from fakd_jax.explanation.lime import LimeExplainer
from fakd_jax.explanation.registry import EXPLAINERS, create_explainer
from fakd_jax.explanation.result import Network, PredictFunction
from fakd_jax.explanation.superpixels import Quickshift

SIDE = 96
SQUARE = (slice(20, 60), slice(40, 80))


def textured_image(seed: int = 0) -> np.ndarray:
    """A dim, blotchy image with a brighter, speckled square at `SQUARE`."""
    generator = np.random.default_rng(seed)
    noise = gaussian_filter(generator.normal(size=(SIDE, SIDE, 1)), (6, 6, 0))
    image = np.repeat(70 + 50 * noise / np.abs(noise).max(), 3, axis=2)
    image[SQUARE] = generator.choice([165, 195], size=(40, 40, 1))
    return image.astype(np.uint8)


def looks_at_square(images: np.ndarray) -> np.ndarray:
    """A classifier that knows nothing but how many pixels of the square are bright.

    Not the mean brightness: LIME hides a superpixel behind its mean, which keeps that.
    """
    bright = (images[(slice(None), *SQUARE)] > 185).mean(axis=(1, 2, 3))
    return np.stack([1 - bright, bright], axis=1).astype(np.float32)


def network(predict: PredictFunction = looks_at_square) -> Network:
    return Network(predict, hiding_on_host(predict), 32, ("other", "square"), SIDE, {})


def test_planted_evidence_is_the_top_superpixel() -> None:
    explanation = LimeExplainer(num_samples=200).explain(textured_image(), network(), 1, 3)
    top = explanation.segments == np.abs(explanation.weights).argmax()
    square = np.zeros((SIDE, SIDE), bool)
    square[SQUARE] = True
    assert (top & square).sum() > 0.8 * square.sum()
    assert (top & square).sum() > 0.8 * top.sum()
    assert explanation.weights[explanation.segments[40, 60]] > 0.1
    assert explanation.fidelity_r2 is not None
    assert explanation.fidelity_r2 > 0.9


def test_evidence_counts_against_the_other_class() -> None:
    weights = {
        label: LimeExplainer(num_samples=100).explain(textured_image(), network(), label, 3)
        for label in (0, 1)
    }
    np.testing.assert_allclose(weights[0].weights, -weights[1].weights, atol=1e-6)


def test_local_prediction_is_intercept_plus_all_weights() -> None:
    explanation = LimeExplainer(num_samples=60).explain(textured_image(), network(), 1, 0)
    total = explanation.intercept + explanation.weights.sum()
    assert explanation.local_prediction == pytest.approx(total, abs=1e-6)


def test_same_seed_repeats_bit_for_bit_and_another_does_not() -> None:
    image, explainer = textured_image(), LimeExplainer(num_samples=60)
    first, again, other = (explainer.explain(image, network(), 1, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.weights, again.weights)
    np.testing.assert_array_equal(first.segments, again.segments)
    assert first.fidelity_r2 == again.fidelity_r2
    assert first.weights.shape != other.weights.shape or (first.weights != other.weights).any()


def test_nothing_depends_on_the_global_random_state() -> None:
    image, explainer = textured_image(), LimeExplainer(num_samples=60)
    results = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002 - the very state that lime falls back to
        results.append(explainer.explain(image, network(), 1, 5).weights)
    np.testing.assert_array_equal(*results)


def test_weights_are_those_of_the_package_run_by_hand() -> None:
    from lime.lime_image import LimeImageExplainer

    image, seed = textured_image(), 11
    ours = LimeExplainer(num_samples=100).explain(image, network(), 1, seed)
    theirs = LimeImageExplainer(random_state=np.random.RandomState(seed)).explain_instance(
        image,
        looks_at_square,
        labels=(1,),
        top_labels=None,
        num_samples=100,
        segmentation_fn=lambda image: Quickshift()(image, seed),
        random_seed=seed,
    )
    by_hand = dict(theirs.local_exp[1])
    np.testing.assert_allclose(ours.weights, [by_hand[s] for s in range(len(by_hand))], atol=1e-9)
    assert ours.intercept == pytest.approx(theirs.intercept[1], abs=1e-9)
    assert ours.fidelity_r2 == pytest.approx(theirs.score, abs=1e-9)


def test_superpixels_are_seeded_numbered_without_gaps_and_follow_lime_defaults() -> None:
    from skimage.segmentation import quickshift

    image = textured_image()
    labels = Quickshift()(image, 4)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))
    expected = quickshift(image, kernel_size=4, max_dist=200, ratio=0.2, rng=4)
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("side", [8, 64])
def test_uniform_image_and_constant_network_explain_nothing(side: int) -> None:
    def constant(images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 3), 1 / 3, np.float32)

    image = np.zeros((side, side, 3), np.uint8)
    explanation = LimeExplainer(num_samples=20).explain(image, network(constant), 2, 0)
    np.testing.assert_allclose(explanation.weights, 0, atol=1e-6)
    assert explanation.fidelity_r2 is None


def test_no_output_and_no_warning(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LimeExplainer(num_samples=40).explain(textured_image(), network(), 1, 0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("count", [1, 7, 8, 9, 20])
def test_ragged_batches_are_filled_and_the_filling_dropped(count: int) -> None:
    shapes, told = set(), []

    def predict(images: np.ndarray) -> np.ndarray:
        shapes.add(images.shape)
        return looks_at_square(images)

    images = np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
    result = in_fixed_batches(predict, 8, told.append)(images)
    np.testing.assert_array_equal(result, looks_at_square(images))
    assert shapes == {(8, SIDE, SIDE, 3)}
    assert sum(told) == count


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [(np.zeros(8), "shape"), (np.zeros((7, 2)), "shape"), (np.full((8, 2), np.nan), "finite")],
)
def test_wrong_answers_of_the_network_are_refused(answer: np.ndarray, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        in_fixed_batches(lambda images: answer, 8)(np.zeros((3, 9, 9, 3), np.uint8))


def test_registry_knows_lime_and_lists_it_for_unknown_names() -> None:
    explainer = create_explainer("lime", num_samples=10)
    assert isinstance(explainer, LimeExplainer)
    assert explainer.settings()["num_samples"] == 10
    assert set(EXPLAINERS) == {"lime"}
    with pytest.raises(UserError, match="unknown method 'shap'; known: lime"):
        create_explainer("shap")


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(UserError, match="num_samples"):
        create_explainer("lime", num_samples=1)
