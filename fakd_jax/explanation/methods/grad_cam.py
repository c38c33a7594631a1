"""Grad-CAM and Grad-CAM++: where in the image the channels lie that the logit hangs on.

Both weigh the channels of a feature map by what the gradient of the class's logit says of them,
sum them up, and enlarge the sum to the image.

Both papers then cut off what is negative, and a map that is negative everywhere comes out as
nothing, all blue. Here the sign is kept: what is negative speaks against the class, as with every
other method, and `max(attribution, 0)` is the papers' map. On MobileNetV3's last map (40 test MRI of a
trained student) the papers' Grad-CAM would be empty for the least likely class of 28 images and
nearly so of 35, and of none for the predicted class. There the opposite holds: 98 % of the map is
positive, background and all, so that only its differences tell anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float64

from fakd_jax.errors import UserError
from fakd_jax.explanation.result import Explanation, from_attribution
from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.inference.network import Gradients, Network, gradients_of


@dataclass(frozen=True)
class _ClassActivationMap(ABC):
    """What the two methods share.

    Attributes:
      layer: the feature map; None for the last that has more than one position.
    """

    name: ClassVar[str]
    seeded: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = True

    layer: str | None = None

    @staticmethod
    @abstractmethod
    def channel_weights(
        features: Float[np.ndarray, "h w K"], gradient: Float[np.ndarray, "h w K"]
    ) -> Float64[np.ndarray, " K"]:
        """How much each channel of a feature map counts, given the logit's gradient by it."""

    def settings(self) -> dict[str, Any]:
        """Every choice that the attribution depends on, as JSON-able values."""
        return {
            "method": self.name,
            "layer": self.layer or "the last feature map",
            "rectified": False,
            "enlarged": "bilinear, half-pixel centres",
            "score": "logit",
        }

    @property
    def num_predictions(self) -> int:
        """None: a gradient is taken, nothing is predicted."""
        return 0

    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Explains a class's logit; see :class:`fakd_jax.explanation.result.Explainer`.

        Raises:
          UserError: the network has no gradients, or no such layer.
        """
        gradients = gradients_of(network)
        layer = self._layer_of(gradients)
        features, gradient = gradients.wrt_features(scene.image, class_index, layer)
        evidence = features @ self.channel_weights(features, gradient)
        return from_attribution(scene, class_index, enlarge(evidence, scene.image.shape[:2]))

    def _layer_of(self, gradients: Gradients) -> str:
        if not gradients.layers:
            raise UserError(f"{self.name} needs a feature map, and this network has none")
        layer = self.layer or gradients.layers[-1]
        if layer not in gradients.layers:
            raise UserError(
                f"the network has no feature map {layer!r} for {self.name}; "
                f"choose one of {', '.join(gradients.layers)}"
            )
        return layer


@dataclass(frozen=True)
class GradCam(_ClassActivationMap):
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391), equations 1 and 2."""

    name: ClassVar[str] = "grad-cam"

    @staticmethod
    def channel_weights(
        features: Float[np.ndarray, "h w K"], gradient: Float[np.ndarray, "h w K"]
    ) -> Float64[np.ndarray, " K"]:
        """Equation 1: α_k, the gradient's mean over the positions."""
        return gradient.mean(axis=(0, 1), dtype=np.float64)


@dataclass(frozen=True)
class GradCamPlusPlus(_ClassActivationMap):
    """Grad-CAM++ (Chattopadhyay et al. 2018, arXiv:1710.11063), for the score exp(logit)."""

    name: ClassVar[str] = "grad-cam++"

    @staticmethod
    def channel_weights(
        features: Float[np.ndarray, "h w K"], gradient: Float[np.ndarray, "h w K"]
    ) -> Float64[np.ndarray, " K"]:
        """w_k = Σ_ij α_ij relu(g_ij), with α_ij = g_ij² / (2 g_ij² + Σ_ab A_ab · g_ij³).

        Equations 5 and 19: of Y = exp(S), the n-th derivative is Y · gⁿ as far as S is piecewise
        linear. Y cancels in α; in w it only scales the map, and is left out, since it may
        overflow.

        α is 0 where its denominator is not positive. At 0, as wherever g is 0, equation 19 says
        nothing; below 0 it would turn a gradient for the class into evidence against it, without
        bound near 0. The paper (arXiv:1710.11063) supposes features that are not negative, as
        after the ReLU of its networks: then the denominator is positive wherever g is, and α at
        most 1/2. Hard-swish and linear bottlenecks leave channels whose sum is negative, outside
        of that assumption: at none of the positions of MobileNetV3's last map is a denominator
        below 0, at up to 9 % of an image's in `features.6`.
        """
        gradient = gradient.astype(np.float64)
        denominator = 2 * gradient**2 + features.sum(axis=(0, 1), dtype=np.float64) * gradient**3
        alpha = np.divide(
            gradient**2, denominator, out=np.zeros_like(gradient), where=denominator > 0
        )
        return (alpha * np.maximum(gradient, 0)).sum(axis=(0, 1))


def enlarge(values: Float[np.ndarray, "h w"], size: tuple[int, int]) -> Float64[np.ndarray, "H W"]:
    """Interpolates a small map bilinearly, pixels having half-pixel centres.

    As `torch.nn.functional.interpolate(..., mode='bilinear', align_corners=False)`: outside of
    the outermost centres, the map goes on as it is there.
    """
    rows, columns = (_interpolation(n, N) for n, N in zip(values.shape, size, strict=True))
    return rows @ values @ columns.T


def _interpolation(few: int, many: int) -> Float64[np.ndarray, "N n"]:
    """The matrix that interpolates `few` values to `many`."""
    centres = (np.arange(many) + 0.5) * few / many - 0.5
    return np.stack([np.interp(centres, np.arange(few), one) for one in np.eye(few)], axis=1)
