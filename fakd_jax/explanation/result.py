"""What an explainer takes and returns, and which superpixels matter most."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int32

from fakd_jax.explanation.scene.scene import Scene, mean_by_superpixel
from fakd_jax.inference.network import Network

Score = Literal["probability", "logit", "log-odds"]
"""An output of the network for one class: its probability, or its logit, the value before softmax.
Of a class rather than another (:mod:`fakd_jax.explanation.target`), their log-odds."""

NEGLIGIBLE = 1e-6
"""Less than this is rounding: probabilities are float32, whose step near 1 is 6e-8."""


@dataclass(frozen=True)
class LocalFit:
    """The linear model of the network near one image that LIME and KernelSHAP fit.

    Attributes:
      intercept: its output with every superpixel replaced.
      prediction: its output for the whole image.
      r2: its R² on the perturbed images, weighted as in the fit; below 0 where the constraint of
        KernelSHAP makes it worse than a constant. None where the network's outputs for these
        images do not differ.
    """

    intercept: float
    prediction: float
    r2: float | None


@dataclass(frozen=True)
class Sampling:
    """How certain a method that draws perturbations at random is of its weights.

    Attributes:
      num_samples: perturbed images drawn.
      low: lower end of the 95 % interval of each superpixel's weight, ``[S]``.
      high: upper end.
      top: how many superpixels count as the top.
      jaccard: mean Jaccard index of the tops of two runs with other seeds, estimated, in [0, 1].
      target: the Jaccard index from which the explanation counts as stable.
    """

    num_samples: int
    low: Float[np.ndarray, " S"]
    high: Float[np.ndarray, " S"]
    top: int
    jaccard: float
    target: float

    @property
    def stable(self) -> bool:
        """Whether another seed would show much the same."""
        return self.jaccard >= self.target


MIN_MAP_SIDE = 5
"""The least height and width at which a feature map can point at a lesion."""

COMPLETE = 0.05
"""The largest relative error at which Sundararajan et al. (2017) call an integral complete."""


@dataclass(frozen=True)
class FeatureMap:
    """The feature map that a class activation map enlarges.

    Attributes:
      layer: its name.
      height: positions per column.
      width: positions per row.
    """

    layer: str
    height: int
    width: int

    @property
    def coarse(self) -> bool:
        """Whether it has too few positions to point at a lesion."""
        return min(self.height, self.width) < MIN_MAP_SIDE


@dataclass(frozen=True)
class Completeness:
    """Whether attributions add up to what they should: the difference of two outputs.

    Attributes:
      attributed: the sum of the attributions.
      difference: the output for the image less that for the baseline.
    """

    attributed: float
    difference: float

    @property
    def error(self) -> float:
        """The sum less what it should be."""
        return self.attributed - self.difference

    @property
    def relative_error(self) -> float | None:
        """The size of the error as a fraction of the difference; None where that is negligible."""
        size = abs(self.difference)
        return abs(self.error) / size if size >= NEGLIGIBLE else None

    @property
    def complete(self) -> bool:
        """Whether the error is at most 5 % of the difference."""
        return abs(self.error) <= max(NEGLIGIBLE, COMPLETE * abs(self.difference))


@dataclass(frozen=True)
class Explanation:
    """What in one image speaks for and against one class.

    Every method gives it by pixel and by the scene's superpixels, so that methods can be compared.
    A method that weighs superpixels paints them with their weights; a method that weighs pixels
    gives a superpixel their mean.

    Attributes:
      class_index: the explained class.
      segments: the scene's label map: superpixels 0 … S-1, background -1.
      weights: positive where a superpixel speaks for the class.
      attribution: likewise by pixel.
      fit: the local linear model, if the method has one.
      sampling: how certain the weights are, if the method draws at random and estimates it.
      feature_map: what the method enlarges, if it is a class activation map.
      completeness: of integrated gradients.
    """

    class_index: int
    segments: Int32[np.ndarray, "H W"]
    weights: Float[np.ndarray, " S"]
    attribution: Float[np.ndarray, "H W"]
    fit: LocalFit | None = None
    sampling: Sampling | None = None
    feature_map: FeatureMap | None = None
    completeness: Completeness | None = None

    @property
    def by_superpixel(self) -> bool:
        """Whether the attribution is constant over each superpixel."""
        return np.array_equal(self.attribution, painted(self.segments, self.weights))


def painted(
    segments: Int32[np.ndarray, "H W"], weights: Float[np.ndarray, " S"]
) -> Float[np.ndarray, "H W"]:
    """Each superpixel filled with its weight; the background is 0."""
    return np.append(weights, 0.0)[segments]


def from_weights(
    scene: Scene,
    class_index: int,
    weights: Float[np.ndarray, " S"],
    *,
    fit: LocalFit | None = None,
    sampling: Sampling | None = None,
) -> Explanation:
    """The explanation of a method that weighs superpixels."""
    attribution = painted(scene.superpixels, weights)
    return Explanation(class_index, scene.superpixels, weights, attribution, fit, sampling)


def from_attribution(
    scene: Scene,
    class_index: int,
    attribution: Float[np.ndarray, "H W"],
    **facts: Any,
) -> Explanation:
    """The explanation of a method that weighs pixels; `facts` are further fields."""
    attribution = attribution.astype(np.float64)
    weights = mean_by_superpixel(scene, attribution)
    return Explanation(class_index, scene.superpixels, weights, attribution, **facts)


class Explainer(ABC):
    """A method of explanation.

    Subclasses are frozen dataclasses whose fields are the settings.

    Attributes:
      name: under which it is registered.
      score: what it explains, the unit of its attributions; None if it ignores the network.
      seeded: whether its result depends on the seed.
      libraries: whose versions its result depends on.
    """

    name: ClassVar[str]
    score: ClassVar[Score | None]
    seeded: ClassVar[bool] = False
    libraries: ClassVar[tuple[str, ...]] = ()

    def settings(self) -> dict[str, Any]:
        """Every choice that the result depends on but scene and seed, as JSON-able values."""
        versions = {library: version(library) for library in self.libraries}
        facts = {"method": self.name, "score": self.score, **vars(self)}
        return facts | ({"versions": versions} if versions else {})

    @property
    def num_predictions(self) -> int:
        """The most images that the network predicts for one explanation (for progress)."""
        return 0

    @abstractmethod
    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Explains the :data:`score` of one class.

        Args:
          scene: the image with its superpixels and infill.
          network: to query.
          class_index: in [0, C).
          seed: in [0, 2**31); equal arguments give equal results, bit for bit, as far as the
            network is deterministic.
        """


@dataclass(frozen=True)
class TopSuperpixel:
    """One of the superpixels that weigh most.

    Attributes:
      superpixel: its number in the label map.
      weight: signed, never negligible.
      area: the fraction of the image that it covers, in (0, 1].
    """

    superpixel: int
    weight: float
    area: float

    @property
    def positive(self) -> bool:
        """Whether it speaks for the explained class."""
        return self.weight > 0


def top_superpixels(explanation: Explanation, count: int) -> list[TopSuperpixel]:
    """The `count` superpixels of largest absolute weight, heaviest first.

    Superpixels of negligible weight are left out, so there may be fewer. Ties go to the smaller
    number.
    """
    weights, segments = explanation.weights, explanation.segments
    areas = np.bincount(segments[segments >= 0], minlength=len(weights)) / segments.size
    order: Sequence[int] = np.argsort(-np.abs(weights), kind="stable")[:count].tolist()
    return [
        TopSuperpixel(s, float(weights[s]), float(areas[s]))
        for s in order
        if abs(weights[s]) >= NEGLIGIBLE
    ]
