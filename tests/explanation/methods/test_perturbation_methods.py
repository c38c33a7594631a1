"""What all methods that perturb images have in common, and every method's settings."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.kernel_shap import KernelShapExplainer
from fakd_jax.explanation.methods.lime import LimeExplainer
from fakd_jax.explanation.methods.occlusion import OcclusionExplainer
from fakd_jax.explanation.methods.registry import EXPLAINERS, create_explainer
from fakd_jax.explanation.methods.rise import RiseExplainer
from fakd_jax.explanation.result import Explainer
from tests.explanation.methods.scenes import a_network, a_scene, brightness

PERTURBING = [LimeExplainer(60), KernelShapExplainer(60), OcclusionExplainer(), RiseExplainer(60)]
all_of_them = pytest.mark.parametrize("explainer", PERTURBING, ids=lambda one: one.name)


@all_of_them
def test_the_background_is_neither_replaced_nor_evidence(explainer: Explainer) -> None:
    scene = a_scene()
    outside = ~scene.foreground

    def score(images: np.ndarray) -> np.ndarray:
        assert (images[:, outside] == scene.image[outside]).all()
        return brightness(images)

    explanation = explainer.explain(scene, a_network(score), 1, 0)
    assert (explanation.attribution[outside] == 0).all()
    assert explanation.attribution[scene.foreground].mean() > 0
    assert explanation.weights.shape == (16,)


@all_of_them
def test_evidence_for_one_class_is_evidence_against_the_other(explainer: Explainer) -> None:
    one, other = (
        explainer.explain(a_scene(), a_network(brightness), label, 0).attribution
        for label in (1, 0)
    )
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
    network = a_network(lambda images: (images * texture).mean(axis=(1, 2, 3)) ** 2 / 255**2)
    runs = []
    for state, seed in enumerate((5, 5, 6)):
        np.random.seed(state)  # noqa: NPY002 - the global state, which no method may use
        runs.append(explainer.explain(a_scene(), network, 1, seed))
    first, again, other = runs
    np.testing.assert_array_equal(first.attribution, again.attribution)
    np.testing.assert_array_equal(first.weights, again.weights)
    assert first.fit == again.fit
    assert (first.weights != other.weights).any() == explainer.seeded


@pytest.mark.parametrize("name", EXPLAINERS)
def test_settings_are_json_and_name_the_method(name: str) -> None:
    explainer = create_explainer(name)
    settings = explainer.settings()
    assert isinstance(explainer, Explainer)
    assert settings["method"] == name
    assert json.loads(json.dumps(settings)) == settings


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("method", "option", "values"),
    [
        ("lime", "num_samples", [1]),
        ("lime", "max_samples", [0]),
        ("lime", "kernel_width", [0.0, -0.25, NAN, INF]),
        ("kernel-shap", "num_samples", [-2, 0, 18, 999]),
        ("rise", "num_samples", [1]),
        ("rise", "cells", [1]),
        ("rise", "probability", [0.0, 1.0, NAN]),
        ("occlusion", "window", [0.0, -0.5, 1.1, NAN]),
        ("occlusion", "stride", [0.0, -0.5, 1.1, NAN]),
        ("integrated-gradients", "steps", [0]),
        ("centre", "width", [0.0, -1.0, NAN, INF]),
        ("edges", "smoothing", [-0.1, 1.5, NAN]),
    ],
)
def test_settings_out_of_range(method: str, option: str, values: list[float]) -> None:
    for value in values:
        with pytest.raises(UserError, match=option):
            create_explainer(method, **{option: value})
