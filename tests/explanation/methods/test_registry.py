"""Every method explains the score that it declares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fakd_jax.explanation.methods.registry import CONTROLS, EXPLAINERS, create_explainer
from fakd_jax.explanation.scene.infill import mean_colours
from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.inference.network import Gradients, Network

SIDE = 16
SCORES = {
    "lime": "probability",
    "lime-package": "probability",
    "kernel-shap": "probability",
    "grad-cam": "logit",
    "grad-cam++": "logit",
    "hires-cam": "logit",
    "integrated-gradients": "logit",
    "occlusion": "probability",
    "rise": "probability",
    **dict.fromkeys(CONTROLS),
}


def a_scene() -> Scene:
    """Four superpixels in grey, whose mean colour, the infill, is theirs but for the noise."""
    superpixels = np.kron(np.arange(4).reshape(2, 2), np.ones((8, 8))).astype(np.int32)
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    return Scene(image, superpixels, mean_colours(image, superpixels))


def watched(asked: set[str]) -> Network:
    """A network that notes whether it is asked for probabilities or for logits."""

    def predict(images: np.ndarray) -> np.ndarray:
        asked.add("probability")
        second = images.mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - second, second], axis=1)

    def logit(result: Any) -> Any:
        asked.add("logit")
        return result

    maps = np.ones((4, 4, 2), np.float32)
    gradients = Gradients(
        lambda images, *others: logit(np.ones_like(images)),
        lambda *arguments: logit((maps, maps)),
        {"only": (4, 4)},
        lambda images, *others: logit(np.zeros((len(images), 2))),
    )
    return Network.from_function(
        predict, class_names=("a", "b"), image_size=SIDE, gradients=gradients
    )


@pytest.mark.parametrize("name", EXPLAINERS)
def test_the_declared_score_is_what_the_network_is_asked_for(name: str) -> None:
    options = {"num_samples": 20} if "num_samples" in vars(EXPLAINERS[name]) else {}
    explainer = create_explainer(name, **options)
    asked: set[str] = set()
    explainer.explain(a_scene(), watched(asked), 1, seed=0)
    assert asked == ({explainer.score} if explainer.score else set())
    assert explainer.score == SCORES[name]
    assert explainer.settings()["score"] == explainer.score
