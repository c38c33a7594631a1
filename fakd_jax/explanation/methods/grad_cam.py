"""Grad-CAM, Grad-CAM++ and HiRes-CAM: a feature map, weighted by the gradient of the logit.

The first two weigh whole channels, and take the last feature map. HiRes-CAM weighs every position
by itself: what it highlights did change the logit, also in an earlier and larger map.

The papers of the first two then clip negative values, which leaves an empty map where all are
negative. Here the sign is kept, as with every other method: what is negative speaks against the
class; `max(attribution, 0)` is the papers' map, but for the order of clipping and enlarging. On
MobileNetV3's last map (40 test MRI of a trained student) the papers' Grad-CAM would be empty for
the least likely class of 28 images. For the predicted class 98 % of the map is positive, background
included, so that only its differences are informative.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float64

from fakd_jax.errors import UserError
from fakd_jax.explanation.result import (
    Explainer,
    Explanation,
    FeatureMap,
    Score,
    from_attribution,
)
from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.inference.network import Gradients, Network, gradients_of


@dataclass(frozen=True)
class _ClassActivationMap(Explainer):
    """What the methods share.

    Attributes:
      layer: the feature map; None for the method's default.
    """

    score: ClassVar[Score] = "logit"
    default_layer: ClassVar[str] = "the last feature map"

    layer: str | None = None

    @abstractmethod
    def evidence(
        self, features: Float[np.ndarray, "h w K"], gradient: Float[np.ndarray, "h w K"]
    ) -> Float64[np.ndarray, "h w"]:
        """The evidence at each position, from a feature map and the logit's gradient."""

    def choose_layer(self, layers: Mapping[str, tuple[int, int]], image_size: int) -> str:
        """The default among layers in the order of computation, here the last."""
        return list(layers)[-1]

    def settings(self) -> dict[str, Any]:
        """See :class:`Explainer`."""
        return super().settings() | {
            "layer": self.layer or self.default_layer,
            "rectified": False,
            "enlarged": "bilinear, half-pixel centres",
        }

    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Explains a class's logit.

        Raises:
          UserError: the network has no gradients, or no such layer.
        """
        gradients = gradients_of(network)
        layer = self._layer_of(gradients, max(scene.image.shape))
        features, gradient = gradients.wrt_features(scene.image, class_index, layer)
        attribution = enlarge(self.evidence(features, gradient), scene.image.shape[:2])
        feature_map = FeatureMap(layer, *features.shape[:2])
        return from_attribution(scene, class_index, attribution, feature_map=feature_map)

    def _layer_of(self, gradients: Gradients, image_size: int) -> str:
        if not gradients.layers:
            raise UserError(f"{self.name} needs a feature map, and this network has none")
        layer = self.layer or self.choose_layer(gradients.layers, image_size)
        if layer not in gradients.layers:
            raise UserError(
                f"the network has no feature map {layer!r} for {self.name}; "
                f"choose one of {', '.join(gradients.layers)}"
            )
        return layer


class _ChannelWeights(_ClassActivationMap):
    """Weighs channels as a whole."""

    @staticmethod
    @abstractmethod
    def channel_weights(
        features: Float[np.ndarray, "h w K"], gradient: Float[np.ndarray, "h w K"]
    ) -> Float64[np.ndarray, " K"]:
        """The weight of each channel, from a feature map and the logit's gradient."""

    def evidence(
        self, features: Float[np.ndarray, "h w K"], gradient: Float[np.ndarray, "h w K"]
    ) -> Float64[np.ndarray, "h w"]:
        """See :class:`_ClassActivationMap`."""
        return features @ self.channel_weights(features, gradient)


@dataclass(frozen=True)
class GradCam(_ChannelWeights):
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391), equations 1 and 2."""

    name: ClassVar[str] = "grad-cam"

    @staticmethod
    def channel_weights(
        features: Float[np.ndarray, "h w K"], gradient: Float[np.ndarray, "h w K"]
    ) -> Float64[np.ndarray, " K"]:
        """Equation 1: α_k, the gradient's mean over the positions."""
        return gradient.mean(axis=(0, 1), dtype=np.float64)


@dataclass(frozen=True)
class GradCamPlusPlus(_ChannelWeights):
    """Grad-CAM++ (Chattopadhyay et al. 2018, arXiv:1710.11063), for the score exp(logit)."""

    name: ClassVar[str] = "grad-cam++"

    @staticmethod
    def channel_weights(
        features: Float[np.ndarray, "h w K"], gradient: Float[np.ndarray, "h w K"]
    ) -> Float64[np.ndarray, " K"]:
        """w_k = Σ_ij α_ij relu(g_ij), with α_ij = g_ij² / (2 g_ij² + Σ_ab A_ab · g_ij³).

        Equations 5 and 19: the n-th derivative of Y = exp(S) is Y · gⁿ where S is piecewise
        linear. Y cancels in α; in w it only scales the map, and is omitted, since it may overflow.

        α is 0 where its denominator is not positive. The paper assumes features that are not
        negative, as after ReLU: then the denominator is positive wherever g is. Channels with a
        negative sum, which hard-swish and linear bottlenecks leave, are outside that assumption:
        there the equation would turn gradients for the class into unbounded evidence against it.
        """
        gradient = gradient.astype(np.float64)
        denominator = 2 * gradient**2 + features.sum(axis=(0, 1), dtype=np.float64) * gradient**3
        alpha = np.divide(
            gradient**2, denominator, out=np.zeros_like(gradient), where=denominator > 0
        )
        return (alpha * np.maximum(gradient, 0)).sum(axis=(0, 1))


@dataclass(frozen=True)
class HiResCam(_ClassActivationMap):
    """HiRes-CAM (Draelos & Carin 2020, arXiv:2011.08891), equation 5.

    By default of the last map with a quarter of the image's side or more, as MobileNetV3's
    `features.3` and ResNet's `layer1`: small enough to mean something, large enough to point.
    """

    name: ClassVar[str] = "hires-cam"
    default_layer: ClassVar[str] = "the last feature map of a quarter of the image's side"

    def evidence(
        self, features: Float[np.ndarray, "h w K"], gradient: Float[np.ndarray, "h w K"]
    ) -> Float64[np.ndarray, "h w"]:
        """Σ_k A_k ⊙ g_k."""
        return (features.astype(np.float64) * gradient).sum(axis=-1)

    def choose_layer(self, layers: Mapping[str, tuple[int, int]], image_size: int) -> str:
        """The last map with a quarter of the image's side or more; the first if there is none."""
        large = [name for name, size in layers.items() if 4 * min(size) >= image_size]
        return large[-1] if large else next(iter(layers))


def enlarge(values: Float[np.ndarray, "h w"], size: tuple[int, int]) -> Float64[np.ndarray, "H W"]:
    """Interpolates a small map bilinearly with half-pixel centres, constant beyond the outermost.

    As `torch.nn.functional.interpolate(..., mode='bilinear', align_corners=False)`.
    """
    rows, columns = (_interpolation(n, N) for n, N in zip(values.shape, size, strict=True))
    return rows @ values @ columns.T


def _interpolation(few: int, many: int) -> Float64[np.ndarray, "N n"]:
    """The matrix that interpolates `few` values to `many`."""
    centres = (np.arange(many) + 0.5) * few / many - 0.5
    return np.stack([np.interp(centres, np.arange(few), one) for one in np.eye(few)], axis=1)
