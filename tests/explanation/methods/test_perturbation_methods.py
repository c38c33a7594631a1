"""What all methods that perturb images have in common, and every method's settings."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fakd_jax.explanation.methods.kernel_shap import KernelShapExplainer
from fakd_jax.explanation.methods.lime import LimeExplainer
from fakd_jax.explanation.methods.occlusion import OcclusionExplainer
from fakd_jax.explanation.methods.registry import EXPLAINERS, create_explainer
from fakd_jax.explanation.methods.rise import RiseExplainer
from fakd_jax.explanation.result import Explainer
from tests.explanation.methods.scenes import a_network, a_scene, watching_the_background

PERTURBING = [LimeExplainer(60), KernelShapExplainer(60), OcclusionExplainer(), RiseExplainer(60)]
all_of_them = pytest.mark.parametrize("explainer", PERTURBING, ids=lambda one: one.name)


def brightness(images: np.ndarray) -> np.ndarray:
    return images.mean(axis=(1, 2, 3)) / 255


@all_of_them
def test_the_background_is_neither_touched_nor_evidence(explainer: Explainer) -> None:
    scene = a_scene()
    network = watching_the_background(scene, a_network(brightness))
    explanation = explainer.explain(scene, network, 1, 0)
    assert (explanation.attribution[~scene.foreground] == 0).all()
    assert explanation.attribution[scene.foreground].mean() > 0
    assert explanation.weights.shape == (16,)


def test_a_changed_background_is_noticed() -> None:
    scene = a_scene()
    network = watching_the_background(scene, a_network(brightness))
    changed = scene.image.copy()
    changed[0, 0] ^= 1
    with pytest.raises(AssertionError):
        network.predict_proba(np.stack([scene.image, changed]))


@all_of_them
def test_evidence_for_one_class_is_evidence_against_the_other(explainer: Explainer) -> None:
    one, other = (
        explainer.explain(a_scene(), a_network(brightness), label, 0).attribution
        for label in (1, 0)
    )
    assert one.max() > 0
    np.testing.assert_allclose(one, -other, atol=1e-6)


@all_of_them
def test_a_constant_network_has_neither_attribution_nor_fit(explainer: Explainer) -> None:
    network = a_network(lambda images: np.full(len(images), 0.7))
    explanation = explainer.explain(a_scene(), network, 1, 0)
    np.testing.assert_allclose(explanation.attribution, 0, atol=1e-12)
    assert explanation.fit is None or explanation.fit.r2 is None


@all_of_them
def test_equal_seeds_give_equal_bits_and_others_differ(explainer: Explainer) -> None:
    texture = np.random.default_rng(0).random((32, 32, 3))

    def score(images: np.ndarray) -> np.ndarray:
        return (images * texture).mean(axis=(1, 2, 3)) ** 2 / 255**2

    first, again, other = (
        explainer.explain(a_scene(), a_network(score), 1, seed).weights for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() == explainer.seeded


@pytest.mark.parametrize("name", EXPLAINERS)
def test_settings_are_json_and_name_the_method(name: str) -> None:
    explainer = create_explainer(name)
    settings = explainer.settings()
    assert isinstance(explainer, Explainer)
    assert settings["method"] == name
    assert json.loads(json.dumps(settings)) == settings
