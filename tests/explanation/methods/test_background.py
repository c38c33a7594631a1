"""No method that perturbs images touches the background, or calls it evidence."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fakd_jax.explanation.methods.kernel_shap import KernelShapExplainer
from fakd_jax.explanation.methods.lime import LimeExplainer
from fakd_jax.explanation.methods.occlusion import OcclusionExplainer
from fakd_jax.explanation.methods.rise import RiseExplainer
from fakd_jax.explanation.result import Explainer
from tests.explanation.methods.scenes import a_network, a_scene, watching_the_background

EXPLAINERS = [LimeExplainer(60), KernelShapExplainer(60), OcclusionExplainer(), RiseExplainer(60)]


@pytest.mark.parametrize("explainer", EXPLAINERS, ids=lambda explainer: explainer.name)
def test_the_background_is_neither_touched_nor_evidence(explainer: Explainer) -> None:
    scene = a_scene()
    network = a_network(lambda images: images.mean(axis=(1, 2, 3)) / 255)
    explanation = explainer.explain(scene, watching_the_background(scene, network), 1, 0)
    assert (explanation.attribution[~scene.foreground] == 0).all()
    assert explanation.attribution[scene.foreground].mean() > 0
    assert explanation.weights.shape == (16,)


@pytest.mark.parametrize("explainer", EXPLAINERS, ids=lambda explainer: explainer.name)
def test_they_fit_the_common_interface(explainer: Explainer) -> None:
    assert isinstance(explainer, Explainer)
    assert json.loads(json.dumps(explainer.settings())) == explainer.settings()
    assert explainer.settings()["method"] == explainer.name


def test_the_watch_notices_a_changed_background() -> None:
    scene = a_scene()
    network = watching_the_background(
        scene, a_network(lambda images: images.mean(axis=(1, 2, 3)) / 255)
    )
    changed = scene.image.copy()
    changed[0, 0] ^= 1
    with pytest.raises(AssertionError):
        network.predict_proba(np.stack([scene.image, changed]))
