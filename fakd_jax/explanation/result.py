"""What every explainer takes and returns, and which superpixels of it matter most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8

PredictFunction: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""Images uint8 ``[N, H, W, 3]`` to class probabilities float32 ``[N, C]``, for any N from 1."""

HiddenPredictFunction: TypeAlias = Callable[
    [np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray
]
"""Image, replacement (uint8 ``[H, W, 3]``), segments (int32 ``[H, W]``) and, for each of N
copies, which of the S superpixels are shown (bool ``[N, S]``), to probabilities ``[N, C]``."""

NEGLIGIBLE = 1e-6
"""Less than this is rounding: probabilities come as float32, whose step near 1 is 6e-8."""


@dataclass(frozen=True)
class Explanation:
    """One image's superpixels and what each contributes to one class's probability.

    Attributes:
      class_index: the class that is explained.
      segments: label map int32 ``[H, W]``; superpixels are numbered 0 … S-1 without gaps.
      weights: float64 ``[S]``; `weights[s]` is how much showing superpixel `s` adds to the
        probability of the class in the local linear model (negative: it takes away).
      intercept: the local model's output with every superpixel hidden.
      local_prediction: the local model's output for the whole image.
      fidelity_r2: the local model's R² on the perturbed images, weighted by their proximity;
        1 where it follows the network exactly, 0 where it says nothing. None where the
        probability never moved: then there was nothing to follow.
    """

    class_index: int
    segments: Int32[np.ndarray, "H W"]
    weights: Float[np.ndarray, " S"]
    intercept: float
    local_prediction: float
    fidelity_r2: float | None


@dataclass(frozen=True)
class Network:
    """What is explained: how it can be asked, and what must be known of it.

    Attributes:
      predict_proba: uint8 images ``[N, S, S, 3]`` to probabilities ``[N, C]``.
      predict_hidden: the same for copies of one image in which superpixels are hidden.
      batch_size: N, the same at every call: what is ragged gets filled up.
      class_names: of its C outputs, in their order.
      image_size: S, the side of its input.
      provenance: where it comes from, as JSON-able values; goes into every result.
    """

    predict_proba: PredictFunction
    predict_hidden: HiddenPredictFunction
    batch_size: int
    class_names: Sequence[str]
    image_size: int
    provenance: Mapping[str, Any]


@runtime_checkable
class Explainer(Protocol):
    """A method of explanation."""

    name: ClassVar[str]

    def settings(self) -> dict[str, Any]:
        """Every choice that the result depends on, seed aside, as JSON-able values."""
        ...

    @property
    def num_predictions(self) -> int:
        """How many images the network predicts for one explanation (for progress)."""
        ...

    def explain(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        network: Network,
        class_index: int,
        seed: int,
    ) -> Explanation:
        """Explains the probability that `network` gives `image` for `class_index`."""
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
    areas = np.bincount(explanation.segments.ravel(), minlength=len(explanation.weights))
    order = np.argsort(-np.abs(explanation.weights), kind="stable")[:count]
    return [
        TopSuperpixel(
            int(s), float(explanation.weights[s]), float(areas[s] / explanation.segments.size)
        )
        for s in order
        if abs(explanation.weights[s]) >= NEGLIGIBLE
    ]


def superpixel_mask(explanation: Explanation, superpixel: int) -> Bool[np.ndarray, "H W"]:
    """Where in the image a superpixel lies."""
    return explanation.segments == superpixel
