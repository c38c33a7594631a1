"""Which class is explained, and contrasts: exact log-odds for probabilities and logits alike."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from fakd_jax.errors import UserError
from fakd_jax.explanation import explain_image
from fakd_jax.explanation.methods.grad_cam import GradCam
from fakd_jax.explanation.methods.integrated_gradients import IntegratedGradients
from fakd_jax.explanation.methods.kernel_shap import KernelShapExplainer
from fakd_jax.explanation.methods.registry import METHODS
from fakd_jax.explanation.scene.builder import SceneBuilder
from fakd_jax.explanation.scene.superpixels import Slic
from fakd_jax.explanation.target import Target, TargetRule, contrasted
from fakd_jax.inference.adapter import network_of
from fakd_jax.inference.network import Network
from tests.explanation.methods.scenes import players
from tests.tiny import tiny_predictor

NAMES = ("glioma", "notumor", "pituitary")
PROBABILITIES = np.array([0.2, 0.5, 0.3], np.float32)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("predicted", (1, None)),
        ("runner-up", (2, None)),
        ("true", (0, None)),
        ("glioma", (0, None)),
        ("glioma:pituitary", (0, 2)),
        ("predicted:runner-up", (1, 2)),
        ("predicted:true", (1, 0)),
    ],
)
def test_rules_name_the_classes_of_an_image(text: str, expected: tuple[int, int | None]) -> None:
    rule = TargetRule.parse(text, NAMES)
    assert str(rule) == text
    target = rule.of_image(PROBABILITIES, NAMES, "glioma")
    assert (target.class_index, target.against) == expected


def test_a_class_goes_before_a_role_and_before_a_contrast() -> None:
    names = ("true", "a:b", "a")
    assert TargetRule.parse("true", names).of_image(PROBABILITIES, names).class_index == 0
    assert TargetRule.parse("a:b", names).of_image(PROBABILITIES, names) == Target(1)


@pytest.mark.parametrize("text", ["cat", "glioma:cat", "glioma:glioma", "true:true", ":", ""])
def test_rules_that_no_image_could_have_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        TargetRule.parse(text, NAMES)


def test_rules_that_one_image_does_not_have_are_refused() -> None:
    with pytest.raises(UserError, match="not known"):
        TargetRule("true").of_image(PROBABILITIES, NAMES)
    with pytest.raises(UserError, match="twice"):
        TargetRule("predicted", "notumor").of_image(PROBABILITIES, NAMES)
    with pytest.raises(UserError, match="runner-up"):
        TargetRule("runner-up").of_image(np.ones(1, np.float32), ("only",))


def test_the_log_odds_of_a_softmax_are_the_difference_of_its_logits() -> None:
    """Also where a probability rounds to 1, and whatever the third class."""
    logits = np.random.default_rng(0).normal(0, 12, (50, 3))

    def predict(images: np.ndarray) -> np.ndarray:
        return softmax(logits[: len(images)], axis=1).astype(np.float32)

    network = Network.from_function(predict, class_names=NAMES, image_size=1)
    found = contrasted(network, 2).predict_proba(np.zeros((50, 1, 1, 3), np.uint8))
    np.testing.assert_allclose(found, logits - logits[:, [2]], atol=1e-5)


def test_log_odds_against_nothing_are_refused() -> None:
    network = Network.from_function(
        lambda images: np.tile(np.float32([1, 0]), (len(images), 1)),
        class_names=("a", "b"),
        image_size=1,
    )
    with pytest.raises(UserError, match="probability of 0"):
        contrasted(network, 1).predict_proba(np.zeros((1, 1, 1, 3), np.uint8))


def test_shapley_values_of_a_contrast_are_the_games_of_logits() -> None:
    """Each player adds its own logits, so that its value is their difference, exactly."""
    own = np.random.default_rng(0).normal(size=(4, 3))

    def predict(images: np.ndarray) -> np.ndarray:
        return softmax((images[:, 0, :, 0] == 255) @ own, axis=1).astype(np.float32)

    network = Network.from_function(predict, class_names=NAMES, image_size=4, batch_size=16)
    explain = KernelShapExplainer(num_samples=20).explain
    explanation = explain(players(4), contrasted(network, 2), 0, seed=0)
    np.testing.assert_allclose(explanation.weights, own[:, 0] - own[:, 2], atol=1e-5)
    single = explain(players(4), network, 0, seed=0)
    assert np.abs(single.weights - own[:, 0]).max() > 0.1


def test_gradients_of_a_contrast_are_those_of_the_difference() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    network = network_of(tiny_predictor())
    scene = SceneBuilder(Slic(count=8)).scene(image, 0)
    view = Target(0, 2).view(network)
    for method in (GradCam(), IntegratedGradients(steps=4)):
        one, other = (method.explain(scene, network, index, 0) for index in (0, 2))
        found = method.explain(scene, view, 0, 0)
        expected = one.attribution - other.attribution
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found.attribution, expected, atol=1e-5 * scale)
    assert found.completeness is not None
    assert one.completeness is not None
    assert other.completeness is not None
    assert found.completeness.difference == pytest.approx(
        one.completeness.difference - other.completeness.difference, abs=1e-6
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_explains_a_contrast_and_its_mirror(method: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    samples = {"num_samples": 20} if "num_samples" in vars(METHODS[method]) else {}
    one, other = (
        explain_image(
            tiny_predictor(),
            image,
            method=method,
            target=target,
            contrast=contrast,
            scene_builder=SceneBuilder(Slic(count=8)),
            **samples,
        )
        for target, contrast in (("0", "2"), (2, 0))
    )
    assert (one.target, one.contrast, one.score) == ("0", "2", "log-odds")
    if method != "grad-cam++":  # which is not linear in the gradient
        scale = np.abs(one.weights).max()
        np.testing.assert_allclose(one.weights, -other.weights, atol=1e-4 * scale)


def test_log_odds_are_of_the_probabilities_reported() -> None:
    explanation = explain_image(
        tiny_predictor(),
        np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8),
        method="kernel-shap",
        contrast="runner-up",
        num_samples=20,
    )
    assert explanation.fit is not None
    logs = log_softmax(np.log(explanation.probabilities))
    expected = logs[explanation.class_index] - logs[explanation.against]
    assert explanation.fit.prediction == pytest.approx(expected, abs=1e-5)
