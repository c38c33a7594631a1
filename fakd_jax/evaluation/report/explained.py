"""Why a network was mistaken: its worst mistakes, the prediction explained against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fakd_jax.data.preprocessing import resize
from fakd_jax.evaluation.report.mistakes import Explained, Mistake

if TYPE_CHECKING:
    from fakd_jax.inference.predictor import Predictor

MISTAKES_EXPLAINED = 6
METHOD, OPTIONS = "occlusion", {"window": 1 / 5}
"""Of the methods that take about a second per image, the one that orders the evidence best, by
insertion less deletion on a student's mistakes; its default windows take three times as long."""


def explain_mistakes(predictor: Predictor, mistakes: Sequence[Mistake], most: int) -> list[Mistake]:
    """Adds to the first mistakes what speaks for the wrong class rather than the true one.

    By occlusion, at most 82 predictions per image, and in float32. Of a group of mistakes, such as
    copies of one image, only the first is explained: the others would show the same.

    Args:
      predictor: that made the mistakes.
      mistakes: the worst first.
      most: how many to explain.
    """
    chosen = [index for index, mistake in enumerate(mistakes) if mistake.follows is None][:most]
    explained = list(mistakes)
    if not chosen:
        return explained
    from fakd_jax.explanation.api import explain_prepared
    from fakd_jax.explanation.methods.registry import create_explainer
    from fakd_jax.explanation.scene.builder import SceneBuilder
    from fakd_jax.explanation.target import TargetRule
    from fakd_jax.inference.adapter import network_of

    network, explainer = network_of(predictor.in_float32()), create_explainer(METHOD, **OPTIONS)
    for index in chosen:
        mistake = mistakes[index]
        found = explain_prepared(
            network,
            resize(mistake.image, network.image_size),
            explainer,
            SceneBuilder(),
            rule=TargetRule(mistake.prediction, mistake.truth),
            original=mistake.image,
        )
        explanation = Explained(found.overlay(), found.reading())
        explained[index] = replace(mistake, explanation=explanation)
    return explained
