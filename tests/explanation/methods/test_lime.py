"""LIME: finds planted evidence, repeats itself exactly, agrees with the package run by hand."""

from __future__ import annotations

import warnings

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
from fakd_jax.inference.network import Network, PredictFunction
from tests.explanation.methods.scenes import check_sampling, players, playing

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
    """A classifier of how many pixels of the square are bright.

    Not the mean brightness, which mean colours keep.
    """
    bright = (images[(slice(None), *SQUARE)] > 185).mean(axis=(1, 2, 3))
    return np.stack([1 - bright, bright], axis=1).astype(np.float32)


def network(predict: PredictFunction = looks_at_square) -> Network:
    return Network.from_function(predict, class_names=("other", "square"), image_size=SIDE)


def a_scene(image: np.ndarray, seed: int = 0) -> Scene:
    return PAPER.scene(image, seed)


def test_planted_evidence_is_the_top_superpixel() -> None:
    explanation = LimeExplainer(num_samples=200).explain(a_scene(textured_image()), network(), 1, 3)
    top = explanation.segments == np.abs(explanation.weights).argmax()
    square = np.zeros((SIDE, SIDE), bool)
    square[SQUARE] = True
    assert (top & square).sum() > 0.8 * square.sum()
    assert (top & square).sum() > 0.8 * top.sum()
    assert explanation.weights[explanation.segments[40, 60]] > 0.1
    assert explanation.fit is not None
    assert explanation.fit.r2 is not None
    assert explanation.fit.r2 > 0.9


def test_local_prediction_is_intercept_plus_all_weights() -> None:
    explanation = LimeExplainer(num_samples=60).explain(a_scene(textured_image()), network(), 1, 0)
    assert explanation.fit is not None
    total = explanation.fit.intercept + explanation.weights.sum()
    assert explanation.fit.prediction == pytest.approx(total, abs=1e-6)


def test_same_seed_repeats_bit_for_bit_and_another_does_not() -> None:
    image, explainer = textured_image(), LimeExplainer(num_samples=60)
    results = []
    for state, seed in enumerate((5, 5, 6)):
        np.random.seed(state)  # noqa: NPY002 - the global state that lime falls back to
        results.append(explainer.explain(a_scene(image), network(), 1, seed))
    first, again, other = results
    np.testing.assert_array_equal(first.weights, again.weights)
    np.testing.assert_array_equal(first.segments, again.segments)
    assert first.fit == again.fit
    assert (first.weights != other.weights).any()


def test_weights_are_those_of_the_lime_package() -> None:
    scene, seed = a_scene(textured_image()), 11
    ours = LimeExplainer(num_samples=100).explain(scene, network(), 1, seed)
    theirs = LimePackageExplainer(num_samples=100).explain(scene, network(), 1, seed)
    np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-9)
    assert ours.fit is not None
    assert theirs.fit is not None
    for name in ("intercept", "prediction", "r2"):
        assert getattr(ours.fit, name) == pytest.approx(getattr(theirs.fit, name), abs=1e-9)


def test_the_package_refuses_other_infills_and_backgrounds() -> None:
    for scene_builder in (SceneBuilder(), SceneBuilder(head_only=False, hide="inpaint")):
        with pytest.raises(UserError, match="--preset paper"):
            LimePackageExplainer(20).explain(
                scene_builder.scene(textured_image(), 0), network(), 1, 0
            )


def test_no_output_and_no_warning(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LimeExplainer(num_samples=40).explain(a_scene(textured_image()), network(), 1, 0)
        LimePackageExplainer(40).explain(a_scene(textured_image()), network(), 1, 0)
    assert capfd.readouterr() == ("", "")


def test_the_package_has_no_fit_to_a_constant_network() -> None:
    def constant(images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 2), 0.5, np.float32)

    scene = a_scene(textured_image())
    explanation = LimePackageExplainer(20).explain(scene, network(constant), 1, 0)
    assert explanation.fit is not None
    assert explanation.fit.r2 is None


def test_draws_until_the_top_is_stable_or_the_budget_is_spent() -> None:
    image = textured_image()
    clear = LimeExplainer(top=1).explain(a_scene(image), network(), 1, 0)
    assert clear.sampling is not None
    assert clear.sampling.stable
    assert clear.sampling.num_samples == FIRST_ROUND

    def noise(images: np.ndarray) -> np.ndarray:
        odd = images.sum(axis=(1, 2, 3), dtype=np.int64) % 97 / 97
        return np.stack([1 - odd, odd], axis=1).astype(np.float32)

    lost = LimeExplainer(max_samples=1500).explain(a_scene(image), network(noise), 1, 0)
    assert lost.sampling is not None
    assert not lost.sampling.stable
    assert lost.sampling.num_samples == 1500


def test_stopping_early_gives_the_explanation_of_that_many_samples() -> None:
    scene = a_scene(textured_image())
    grown = LimeExplainer(top=1, max_samples=3000).explain(scene, network(), 1, 2)
    assert grown.sampling is not None
    fixed = LimeExplainer(num_samples=grown.sampling.num_samples).explain(scene, network(), 1, 2)
    np.testing.assert_array_equal(grown.weights, fixed.weights)


def test_a_shorter_draw_is_the_beginning_of_a_longer_one() -> None:
    np.testing.assert_array_equal(
        draw_perturbations(700, 37, 5)[:500], draw_perturbations(500, 37, 5)
    )


def test_sampling_is_what_other_seeds_show() -> None:
    scene, explainer = a_scene(textured_image()), LimeExplainer(num_samples=250, top=5)

    def noisy(images: np.ndarray) -> np.ndarray:
        extra = images.sum(axis=(1, 2, 3), dtype=np.int64) % 89 / 200
        bright = 0.5 * looks_at_square(images)[:, 1] + extra
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)

    runs = [explainer.explain(scene, network(noisy), 1, seed) for seed in range(20)]
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
    r2 = weighted_r2(moved, fitted, np.ones(3))
    assert r2 == pytest.approx(1 - 0.18 / 0.24)


@pytest.mark.parametrize("kernel_width", [5e-324, 1e-200, 0.005, 0.02])
@pytest.mark.filterwarnings("error")
def test_a_kernel_too_narrow_for_any_perturbed_image_is_refused(kernel_width: float) -> None:
    def never(visible: np.ndarray) -> np.ndarray:
        raise AssertionError("what cannot count is not queried")

    explainer = LimeExplainer(300, kernel_width=kernel_width)
    with pytest.raises(UserError, match=r"none of 299 .* give a larger one \(default 0.25\)"):
        explainer.explain(players(48), playing(never), 1, 0)


@pytest.mark.parametrize(
    ("count", "num_samples", "kernel_width"), [(48, 300, 0.05), (48, 300, 1e300), (2, 20, 0.01)]
)
@pytest.mark.filterwarnings("error")
def test_a_kernel_that_anything_passes_gives_numbers(
    count: int, num_samples: int, kernel_width: float
) -> None:
    """Of two superpixels, only repetitions of the whole image count: they tell nothing, in numbers.

    Draws that held none of them would have no weight at all.
    """
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


@pytest.mark.parametrize(
    "options",
    [
        {"num_samples": 1},
        {"max_samples": 0},
        {"max_samples": 900, "num_samples": 500},
        *({"kernel_width": width} for width in (0.0, -0.25, np.nan, np.inf)),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        LimeExplainer(**options)
