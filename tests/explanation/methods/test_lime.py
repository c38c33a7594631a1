"""LIME: finds planted evidence, repeats itself exactly, agrees with the package run by hand."""

from __future__ import annotations

import warnings
from dataclasses import astuple

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.lime import (
    FIRST_ROUND,
    LimeExplainer,
    draw_perturbations,
    weighted_ridge,
)
from fakd_jax.explanation.methods.lime_package import LimePackageExplainer
from fakd_jax.explanation.methods.local_fit import weighted_r2
from fakd_jax.explanation.scene.builder import PAPER, SceneBuilder
from fakd_jax.explanation.scene.scene import Scene
from tests.explanation.methods.scenes import (
    a_network,
    check_sampling,
    players,
    playing,
    that_predicts_nothing,
)

SIDE = 96
SQUARE = (slice(20, 60), slice(40, 80))


def textured_image() -> np.ndarray:
    """A dim, blotchy image with a brighter, speckled square at `SQUARE`."""
    generator = np.random.default_rng(0)
    noise = gaussian_filter(generator.normal(size=(SIDE, SIDE, 1)), (6, 6, 0))
    image = np.repeat(70 + 50 * noise / np.abs(noise).max(), 3, axis=2)
    image[SQUARE] = generator.choice([165, 195], size=(40, 40, 1))
    return image.astype(np.uint8)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return PAPER.scene(textured_image(), 0)


def looks_at_square(images: np.ndarray) -> np.ndarray:
    """A score of how many pixels of the square are bright (mean colours keep the mean)."""
    return (images[(slice(None), *SQUARE)] > 185).mean(axis=(1, 2, 3))


NETWORK = a_network(looks_at_square, SIDE)


def test_planted_evidence_is_the_top_superpixel(scene: Scene) -> None:
    explanation = LimeExplainer(num_samples=200).explain(scene, NETWORK, 1, 3)
    top = explanation.segments == np.abs(explanation.weights).argmax()
    square = np.zeros((SIDE, SIDE), bool)
    square[SQUARE] = True
    assert (top & square).sum() > 0.8 * square.sum()
    assert (top & square).sum() > 0.8 * top.sum()
    assert explanation.weights[explanation.segments[40, 60]] > 0.1
    assert explanation.fit is not None
    assert explanation.fit.r2 is not None
    assert explanation.fit.r2 > 0.9
    total = explanation.fit.intercept + explanation.weights.sum()
    assert explanation.fit.prediction == pytest.approx(total, abs=1e-6)


def test_weights_are_those_of_the_lime_package(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = LimeExplainer(num_samples=100).explain(scene, NETWORK, 1, 11)
        theirs = LimePackageExplainer(num_samples=100).explain(scene, NETWORK, 1, 11)
    assert capfd.readouterr() == ("", "")
    np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-9)
    assert ours.fit is not None
    assert theirs.fit is not None
    assert astuple(ours.fit) == pytest.approx(astuple(theirs.fit), abs=1e-9)


@pytest.mark.parametrize("builder", [SceneBuilder(), SceneBuilder(head_only=False, hide="inpaint")])
def test_the_package_requires_the_papers_scene(builder: SceneBuilder) -> None:
    with pytest.raises(UserError, match="--preset paper"):
        LimePackageExplainer(20).explain(builder.scene(textured_image(), 0), NETWORK, 1, 0)


def test_the_package_has_no_fit_to_a_constant_network(scene: Scene) -> None:
    constant = a_network(lambda images: np.full(len(images), 0.5), SIDE)
    explanation = LimePackageExplainer(20).explain(scene, constant, 1, 0)
    assert explanation.fit is not None
    assert explanation.fit.r2 is None


def noisy(images: np.ndarray, share: float = 1) -> np.ndarray:
    """A score that a change of any pixel scatters, and the square's for the rest."""
    noise = images.sum(axis=(1, 2, 3), dtype=np.int64) % 97 / 97
    return share * noise + (1 - share) * looks_at_square(images)


def test_draws_until_the_top_is_stable_or_the_budget_is_spent(scene: Scene) -> None:
    clear = LimeExplainer(top=1).explain(scene, NETWORK, 1, 0).sampling
    lost = LimeExplainer(max_samples=1500).explain(scene, a_network(noisy, SIDE), 1, 0).sampling
    assert clear is not None
    assert lost is not None
    assert (clear.stable, clear.num_samples) == (True, FIRST_ROUND)
    assert (lost.stable, lost.num_samples) == (False, 1500)


def test_stopping_early_gives_the_explanation_of_that_many_samples(scene: Scene) -> None:
    grown = LimeExplainer(top=1, max_samples=3000).explain(scene, NETWORK, 1, 2)
    assert grown.sampling is not None
    fixed = LimeExplainer(num_samples=grown.sampling.num_samples).explain(scene, NETWORK, 1, 2)
    np.testing.assert_array_equal(grown.weights, fixed.weights)


def test_a_shorter_draw_is_a_prefix_of_a_longer_one() -> None:
    shorter = draw_perturbations(500, 37, 5)
    np.testing.assert_array_equal(draw_perturbations(700, 37, 5)[:500], shorter)


def test_sampling_is_what_other_seeds_show(scene: Scene) -> None:
    explainer = LimeExplainer(num_samples=250, top=5)
    half_noise = a_network(lambda images: noisy(images, 0.5), SIDE)
    runs = [explainer.explain(scene, half_noise, 1, seed) for seed in range(20)]
    check_sampling(runs, 5, jaccard=0.15)


def test_ridge_is_scikit_learns_under_every_weighting() -> None:
    from sklearn.linear_model import Ridge

    generator = np.random.default_rng(0)
    rows = generator.random((40, 9)) < 0.5
    values = generator.normal(size=40) + 100
    importance = generator.random((3, 40)) * generator.integers(0, 3, (3, 40))
    weights, intercepts = weighted_ridge(rows, values, importance, 0.7)
    for b in range(3):
        model = Ridge(alpha=0.7).fit(rows, values, sample_weight=importance[b])
        np.testing.assert_allclose(weights[b], model.coef_, atol=1e-10)
        assert intercepts[b] == pytest.approx(model.intercept_, abs=1e-9)
        fitted = rows @ weights[b] + intercepts[b]
        r2 = weighted_r2(values, fitted, importance[b])
        assert r2 == pytest.approx(model.score(rows, values, sample_weight=importance[b]))


def test_r2_is_none_for_constant_values() -> None:
    moved, fitted = np.array([0.3, 0.3, 0.9]), np.array([0.2, 0.4, 0.5])
    assert weighted_r2(moved, fitted, np.array([1.0, 1e-300, 0.0])) is None
    assert weighted_r2(np.full(3, 0.1), fitted, np.full(3, 1 / 3)) is None
    assert weighted_r2(np.zeros(0), np.zeros(0), np.zeros(0)) is None
    # The mean is 0.5: 2 · 0.2² + 0.4² of variation, 0.1² + 0.1² + 0.4² of it left.
    assert weighted_r2(moved, fitted, np.ones(3)) == pytest.approx(1 - 0.18 / 0.24)


@pytest.mark.parametrize("kernel_width", [5e-324, 1e-200, 0.005, 0.02])
@pytest.mark.filterwarnings("error")
def test_a_kernel_too_narrow_for_any_perturbed_image_is_refused(kernel_width: float) -> None:
    explainer = LimeExplainer(300, kernel_width=kernel_width)
    with pytest.raises(UserError, match="none of 299"):
        explainer.explain(players(48), that_predicts_nothing(None, 32), 1, 0)


@pytest.mark.parametrize(
    ("count", "num_samples", "kernel_width"), [(48, 300, 0.05), (48, 300, 1e300), (2, 20, 0.01)]
)
@pytest.mark.filterwarnings("error")
def test_a_wider_kernel_gives_finite_numbers(
    count: int, num_samples: int, kernel_width: float
) -> None:
    """Of two superpixels only repetitions of the whole image count, where any is drawn."""
    explainer, passed = LimeExplainer(num_samples, kernel_width=kernel_width), 0
    for seed in range(10):
        visible = draw_perturbations(num_samples, count, seed)
        if count == 2 and not visible[1:].all(axis=1).any():
            continue
        game = playing(lambda visible: 0.2 + 0.6 * visible.mean(axis=1))
        explanation = explainer.explain(players(count), game, 1, seed)
        fit, sampling = explanation.fit, explanation.sampling
        assert fit is not None
        assert sampling is not None
        reported = [*explanation.weights, *sampling.low, *sampling.high, sampling.jaccard]
        assert np.isfinite([*reported, fit.intercept, fit.prediction]).all()
        assert fit.r2 is None if count == 2 else 0 < fit.r2 <= 1
        passed += 1
    assert passed >= 5
