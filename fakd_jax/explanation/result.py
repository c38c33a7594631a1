"""What every explainer takes and returns, and which superpixels of it matter most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int32

from fakd_jax.explanation.scene.scene import Scene, mean_by_superpixel
from fakd_jax.inference.network import Network

NEGLIGIBLE = 1e-6
"""Less than this is rounding: probabilities come as float32, whose step near 1 is 6e-8."""


@dataclass(frozen=True)
class LocalFit:
    """The linear model of the network near one image that LIME and KernelSHAP fit.

    Attributes:
      intercept: its output with every superpixel hidden.
      prediction: its output for the whole image.
      r2: its R² on the perturbed images, weighted as in the fit; 1 where it follows the network
        exactly, 0 where it says nothing, below 0 where what KernelSHAP is bound to says less than
        nothing. None where the answers to these images do not differ (those that KernelSHAP meets
        exactly, all shown and all hidden, are not among them): there was nothing to follow, though
        there may be weights.
    """

    intercept: float
    prediction: float
    r2: float | None


@dataclass(frozen=True)
class Sampling:
    """How sure a method that draws perturbations at random is of its weights.

    Attributes:
      num_samples: perturbed images drawn.
      low: of each superpixel's weight, the lower end of its 95 % interval, ``[S]``.
      high: the upper end.
      top: how many superpixels count as the top.
      jaccard: how much of the top two runs with other seeds are expected to share: the mean
        Jaccard index, in [0, 1].
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


@dataclass(frozen=True)
class Explanation:
    """What of one image speaks for and against one class.

    Every method tells it twice: by pixel, and by the scene's superpixels, so that methods can be
    laid side by side. A method that weighs superpixels paints them in their weight; a method that
    weighs pixels gives a superpixel their mean.

    Attributes:
      class_index: the class that is explained.
      segments: label map int32 ``[H, W]`` of the scene: superpixels 0 … S-1, background -1.
      weights: float64 ``[S]``, positive where a superpixel speaks for the class.
      attribution: float64 ``[H, W]``, likewise of every pixel.
      fit: the local linear model, where the method has one.
      sampling: how sure the weights are, where the method draws at random and tells.
    """

    class_index: int
    segments: Int32[np.ndarray, "H W"]
    weights: Float[np.ndarray, " S"]
    attribution: Float[np.ndarray, "H W"]
    fit: LocalFit | None = None
    sampling: Sampling | None = None

    @property
    def by_superpixel(self) -> bool:
        """Whether the attribution is nothing but the superpixels in their weights."""
        return np.array_equal(self.attribution, painted(self.segments, self.weights))


def painted(
    segments: Int32[np.ndarray, "H W"], weights: Float[np.ndarray, " S"]
) -> Float[np.ndarray, "H W"]:
    """The superpixels in their weights; the background is 0."""
    return np.append(weights, 0.0)[segments]


def from_weights(
    scene: Scene,
    class_index: int,
    weights: Float[np.ndarray, " S"],
    *,
    fit: LocalFit | None = None,
    sampling: Sampling | None = None,
) -> Explanation:
    """The explanation of a method that weighs superpixels; the background is 0."""
    attribution = painted(scene.superpixels, weights)
    return Explanation(class_index, scene.superpixels, weights, attribution, fit, sampling)


def from_attribution(
    scene: Scene, class_index: int, attribution: Float[np.ndarray, "H W"]
) -> Explanation:
    """The explanation of a method that weighs pixels."""
    weights = mean_by_superpixel(scene, attribution)
    return Explanation(class_index, scene.superpixels, weights, attribution.astype(np.float64))


@runtime_checkable
class Explainer(Protocol):
    """A method of explanation.

    Attributes:
      name: by which it is registered.
      seeded: whether its result depends on the seed.
      needs_gradients: whether it asks for `Network.gradients`.
    """

    name: ClassVar[str]
    seeded: ClassVar[bool]
    needs_gradients: ClassVar[bool]

    def settings(self) -> dict[str, Any]:
        """Every choice that the result depends on, scene and seed aside, as JSON-able values."""
        ...

    @property
    def num_predictions(self) -> int:
        """How many images the network predicts at most for one explanation (for progress)."""
        ...

    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Explains the score that `network` gives `scene.image` for `class_index`.

        Args:
          scene: the image with its superpixels and what hides them.
          network: who is asked.
          class_index: in [0, C).
          seed: in [0, 2**31); equal arguments give equal results, bit for bit, as far as the
            network is deterministic.
        """
        ...


@dataclass(frozen=True)
class TopSuperpixel:
    """One of the superpixels that weigh most.

    Attributes:
      superpixel: its number in the label map.
      weight: its signed weight, never negligible.
      area: the fraction of the image it covers, in (0, 1].
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

    Superpixels of negligible weight say nothing and are never among them, so fewer than
    `count` may come back. Ties go to the smaller number.
    """
    weights, segments = explanation.weights, explanation.segments
    areas = np.bincount(segments[segments >= 0], minlength=len(weights)) / segments.size
    order: Sequence[int] = np.argsort(-np.abs(weights), kind="stable")[:count].tolist()
    return [
        TopSuperpixel(s, float(weights[s]), float(areas[s]))
        for s in order
        if abs(weights[s]) >= NEGLIGIBLE
    ]


def superpixel_mask(explanation: Explanation, superpixel: int) -> Bool[np.ndarray, "H W"]:
    """Where in the image a superpixel lies."""
    return explanation.segments == superpixel
