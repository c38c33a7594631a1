"""One method on one image: its explanation and every figure of merit of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32

from fakd_jax.explanation.quality.background import background_share
from fakd_jax.explanation.quality.faithfulness import Curves, deletion_insertion
from fakd_jax.explanation.quality.fidelity import (
    HeldOut,
    ask_held_out,
    local_fidelity,
)
from fakd_jax.explanation.quality.localisation import localisation_of
from fakd_jax.explanation.quality.randomisation import Randomisation, randomisation_of
from fakd_jax.explanation.quality.stability import Stability, stability_of, without_negligible
from fakd_jax.explanation.result import Explainer, Explanation
from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.inference.network import Network


@dataclass(frozen=True)
class Stage:
    """What all methods share of one image.

    Attributes:
      scene: the image as it is explained.
      probabilities: what the network says of it.
      class_index: the class that is explained, the predicted one.
      seed: of the image; the runs of a method take it and the seeds after it.
      held_out: the network's answers to hidings that no method was fitted to.
      lesion: where the lesion is, if that is known.
      right: whether the class is the image's own; False where nobody said.
    """

    scene: Scene
    probabilities: Float32[np.ndarray, " C"]
    class_index: int
    seed: int
    held_out: HeldOut
    lesion: Bool[np.ndarray, "H W"] | None
    right: bool


@dataclass(frozen=True)
class Trial:
    """How much is measured.

    Attributes:
      seeds: runs of a method that draws at random, at least 2.
      top: how many superpixels count as the top.
      reinitialised: the network with all its weights drawn anew, once for each of some seeds.
    """

    seeds: int
    top: int
    reinitialised: Sequence[Network]


def set_stage(
    scene: Scene,
    network: Network,
    seed: int,
    lesion: Bool[np.ndarray, "H W"] | None,
    true_class: str | None,
) -> Stage:
    """Asks the network what all methods need to know of an image.

    Args:
      scene: the image as it is to be explained.
      network: who is asked.
      seed: of the image.
      lesion: its lesion, not empty, or None.
      true_class: of the image, or None where nobody said.
    """
    probabilities = network.predict_proba(scene.image[None])[0]
    class_index = int(probabilities.argmax())
    return Stage(
        scene=scene,
        probabilities=probabilities,
        class_index=class_index,
        seed=seed,
        held_out=ask_held_out(scene, network, seed),
        lesion=lesion,
        right=network.class_names[class_index] == true_class,
    )


def measure(
    explainer: Explainer, stage: Stage, network: Network, trial: Trial
) -> tuple[Explanation, dict[str, Any]]:
    """Explains and judges.

    The explanation is that of the first seed; the others serve to tell how far it depends on it.

    Returns:
      The explanation, and what a cell holds of it as JSON-able values: `measures` by key of
      :data:`~fakd_jax.explanation.benchmark.metrics.MEASURES`, `randomisation`, `curves`,
      `intervals`, `fit_r2`, `num_samples`, `told_jaccard` (of the first run alone), `weights`.
    """
    scene, class_index = stage.scene, stage.class_index
    seeds = range(stage.seed, stage.seed + (trial.seeds if explainer.seeded else 1))
    runs = [explainer.explain(scene, network, class_index, seed) for seed in seeds]
    first = runs[0]
    # Equal runs of a method that draws nothing need not be computed.
    weights = np.stack([run.weights for run in runs] * (1 if explainer.seeded else trial.seeds))
    stability = stability_of(weights, trial.top)
    speaks = bool(without_negligible(weights).any())
    curves = deletion_insertion(scene, network, first.attribution, class_index)
    randomisation = _randomisation(explainer, stage, weights, trial)
    cell = {
        "measures": {
            # To say nothing again and again is no merit.
            "rank_correlation": stability.rank_correlation if speaks else None,
            "jaccard": stability.jaccard if speaks else None,
            "sign_agreement": stability.sign_agreement if speaks else None,
            "deletion": curves.deletion_area,
            "insertion": curves.insertion_area,
            "gap": curves.gap,
            "local_fidelity": local_fidelity(stage.held_out, first),
            "dependence": randomisation.dependence if randomisation else None,
            "randomised_correlation": randomisation.similarity if randomisation else None,
            **_localisation(first.attribution, stage),
            "background": background_share(first.attribution, scene.foreground),
        },
        "randomisation": asdict(randomisation) if randomisation else None,
        "curves": _curves_record(curves),
        "intervals": _intervals_record(stability) if explainer.seeded else None,
        "fit_r2": first.fit.r2 if first.fit else None,
        "num_samples": first.sampling.num_samples if first.sampling else None,
        "told_jaccard": first.sampling.jaccard if first.sampling else None,
        "weights": first.weights.tolist(),
    }
    return first, cell


def _randomisation(
    explainer: Explainer, stage: Stage, weights: Float[np.ndarray, "N S"], trial: Trial
) -> Randomisation | None:
    """Compares with explanations of reinitialised networks, each with a seed no other run has."""
    if not trial.reinitialised:
        return None
    after = stage.seed + trial.seeds
    reinitialised = [
        explainer.explain(stage.scene, network, stage.class_index, after + index).weights
        for index, network in enumerate(trial.reinitialised)
    ]
    return randomisation_of(weights, np.stack(reinitialised))


def _localisation(attribution: Float[np.ndarray, "H W"], stage: Stage) -> dict[str, float | None]:
    """Where a wrong class is explained, its evidence need not lie in the lesion."""
    if stage.lesion is None or not stage.right:
        return {"pointing": None, "dice": None, "mass_in_mask": None}
    return asdict(localisation_of(attribution, stage.lesion))


def _curves_record(curves: Curves) -> dict[str, list[float]]:
    return {
        "fraction": curves.fraction.tolist(),
        "deletion": curves.deletion.tolist(),
        "insertion": curves.insertion.tolist(),
    }


def _intervals_record(stability: Stability) -> dict[str, list[float]]:
    return {"low": stability.low.tolist(), "high": stability.high.tolist()}
