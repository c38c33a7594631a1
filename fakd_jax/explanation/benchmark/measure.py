"""Measures one method on one image: the explanation and every metric of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32

from fakd_jax.explanation.benchmark.metrics import METRICS
from fakd_jax.explanation.quality.faithfulness import deletion_insertion
from fakd_jax.explanation.quality.fidelity import HeldOut, local_fidelity, predict_held_out
from fakd_jax.explanation.quality.localisation import background_share, localisation_of
from fakd_jax.explanation.quality.randomisation import Randomisation, randomisation_of
from fakd_jax.explanation.quality.stability import stability_of, without_negligible
from fakd_jax.explanation.result import Explainer, Explanation
from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.inference.network import Network


@dataclass(frozen=True)
class ImageContext:
    """What all methods share for one image.

    Attributes:
      scene: the image with its superpixels.
      probabilities: the network's prediction.
      class_index: the explained class, the predicted one.
      seed: of the first run of each method; further runs take the seeds after it.
      held_out: predictions for perturbations that no method was fitted to; None if only
        localisation is measured.
      lesion: the lesion's mask, not empty; None where it is unknown.
      correct: whether the predicted class is the true one; False where that is unknown.
    """

    scene: Scene
    probabilities: Float32[np.ndarray, " C"]
    class_index: int
    seed: int
    held_out: HeldOut | None
    lesion: Bool[np.ndarray, "H W"] | None
    correct: bool


@dataclass(frozen=True)
class Protocol:
    """How every method is measured.

    Attributes:
      seeds: runs of a method that draws at random, at least 2.
      top: how many superpixels count as the top.
      reinitialised: copies of the network with all weights re-initialised, each from its own seed.
      localisation_only: whether one run of each method is compared with the lesion, and nothing
        else is measured: a fraction of the time.
    """

    seeds: int
    top: int
    reinitialised: Sequence[Network]
    localisation_only: bool = False


def image_context(
    scene: Scene,
    network: Network,
    seed: int,
    lesion: Bool[np.ndarray, "H W"] | None,
    true_class: str | None,
    *,
    perturbed: bool = True,
) -> ImageContext:
    """Runs the network on an image and, if `perturbed`, on its held-out perturbations."""
    probabilities = network.predict_proba(scene.image[None])[0]
    class_index = int(probabilities.argmax())
    return ImageContext(
        scene=scene,
        probabilities=probabilities,
        class_index=class_index,
        seed=seed,
        held_out=predict_held_out(scene, network, seed) if perturbed else None,
        lesion=lesion,
        correct=network.class_names[class_index] == true_class,
    )


def measure(
    explainer: Explainer, context: ImageContext, network: Network, protocol: Protocol
) -> tuple[Explanation, dict[str, Any]]:
    """Explains an image and measures the explanation of the first seed.

    Returns:
      The explanation, and its part of the cell as JSON-able values: `metrics` by the keys of
      :data:`~fakd_jax.explanation.benchmark.metrics.METRICS`, `randomisation`, `curves`,
      `intervals`, `fit_r2`, `num_samples`, `estimated_jaccard` (the method's own estimate from its
      first run), `feature_map`, `completeness` and `weights`. A deterministic method has neither
      stability nor intervals; what is not measured is None.
    """
    scene, class_index = context.scene, context.class_index
    if protocol.localisation_only or context.held_out is None:
        alone = explainer.explain(scene, network, class_index, context.seed)
        unmeasured = dict.fromkeys(metric.key for metric in METRICS)
        return alone, {
            "metrics": unmeasured | _places(alone, context),
            **dict.fromkeys(("randomisation", "curves", "intervals")),
            **_facts(alone),
        }
    seeds = range(context.seed, context.seed + (protocol.seeds if explainer.seeded else 1))
    runs = [explainer.explain(scene, network, class_index, seed) for seed in seeds]
    first = runs[0]
    # A deterministic method would only repeat its run: no seeds, no stability between them.
    weights = np.stack([run.weights for run in runs] * (1 if explainer.seeded else protocol.seeds))
    stability = stability_of(weights, protocol.top)
    # Repeating an empty explanation is no sign of stability either.
    measure_stability = explainer.seeded and bool(without_negligible(weights).any())
    curves = deletion_insertion(scene, network, first.attribution, class_index)
    randomisation = _randomisation(explainer, context, weights, protocol)
    cell = {
        "metrics": {
            "rank_correlation": stability.rank_correlation if measure_stability else None,
            "jaccard": stability.jaccard if measure_stability else None,
            "sign_agreement": stability.sign_agreement if measure_stability else None,
            "deletion": curves.deletion_area,
            "insertion": curves.insertion_area,
            "gap": curves.gap,
            "local_fidelity": local_fidelity(context.held_out, first),
            "dependence": randomisation.dependence if randomisation else None,
            "randomised_correlation": randomisation.similarity if randomisation else None,
            **_places(first, context),
        },
        "randomisation": asdict(randomisation) if randomisation else None,
        "curves": {
            "fraction": curves.fraction.tolist(),
            "deletion": curves.deletion.tolist(),
            "insertion": curves.insertion.tolist(),
        },
        "intervals": {"low": stability.low.tolist(), "high": stability.high.tolist()}
        if explainer.seeded
        else None,
        **_facts(first),
    }
    return first, cell


def _facts(explanation: Explanation) -> dict[str, Any]:
    """What a method says about its own explanation."""
    fit, sampling = explanation.fit, explanation.sampling
    feature_map, completeness = explanation.feature_map, explanation.completeness
    return {
        "fit_r2": fit.r2 if fit else None,
        "num_samples": sampling.num_samples if sampling else None,
        "estimated_jaccard": sampling.jaccard if sampling else None,
        "feature_map": asdict(feature_map) if feature_map else None,
        "completeness": asdict(completeness) if completeness else None,
        "weights": explanation.weights.tolist(),
    }


def _randomisation(
    explainer: Explainer,
    context: ImageContext,
    weights: Float[np.ndarray, "N S"],
    protocol: Protocol,
) -> Randomisation | None:
    """Compares with explanations of re-initialised networks, each with a seed of its own."""
    if not protocol.reinitialised:
        return None
    first_seed = context.seed + protocol.seeds
    reinitialised = [
        explainer.explain(context.scene, network, context.class_index, seed).weights
        for seed, network in enumerate(protocol.reinitialised, start=first_seed)
    ]
    return randomisation_of(weights, np.stack(reinitialised))


def _places(explanation: Explanation, context: ImageContext) -> dict[str, float | None]:
    """Where the evidence lies.

    In the lesion or not is undefined for a wrong prediction: evidence for another class need not
    lie there.
    """
    attribution = explanation.attribution
    in_lesion: dict[str, float | None] = {"pointing": None, "dice": None, "mass_in_mask": None}
    if context.lesion is not None and context.correct:
        in_lesion = {**localisation_of(attribution, context.lesion)}
    return {**in_lesion, "background": background_share(attribution, context.scene.foreground)}
