"""Controls: explanations that never query the network, which every method must beat.

A metric by which a method does not differ from the random field measures chance; from the
Gaussian, that lesions lie in the middle of heads; from the edges, that a picture of the image is
as good as an explanation of the network (Adebayo et al. 2018).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from fakd_jax.errors import UserError
from fakd_jax.explanation.result import Explainer, Explanation, from_attribution
from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.inference.network import Network


@dataclass(frozen=True)
class RandomControl(Explainer):
    """A smooth Gaussian random field of mean 0 and about unit variance.

    It is as fine as the scene's superpixels: a map of square superpixels of area A with
    independent weights has a correlation area (the integral of its correlation over all
    displacements) of A, white noise smoothed by a Gaussian of width σ one of 4πσ², and A is the
    mean area of the superpixels.

    It has both signs, as methods' maps do; with one sign, any two draws would agree in sign, and
    chance would count as stability.
    """

    name: ClassVar[str] = "random"
    score: ClassVar[None] = None
    seeded: ClassVar[bool] = True
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "scipy")

    def settings(self) -> dict[str, Any]:
        """See :class:`Explainer`."""
        return super().settings() | {"correlation_area": "mean area of the superpixels"}

    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Draws a field over the foreground."""
        from scipy.ndimage import gaussian_filter

        noise = np.random.default_rng(seed).normal(size=scene.foreground.shape)
        area = np.count_nonzero(scene.foreground) / scene.count
        # Noise that wraps around has the same variance everywhere, 1/A after smoothing.
        field = gaussian_filter(noise, math.sqrt(area / (4 * math.pi)), mode="wrap")
        return _on_foreground(scene, class_index, field * math.sqrt(area))


@dataclass(frozen=True)
class CentreControl(Explainer):
    """A Gaussian at the centroid of the foreground: the guess without looking at the image.

    Attributes:
      width: standard deviation along each axis, as a fraction of the foreground's extent along
        it; above 0.
    """

    name: ClassVar[str] = "centre"
    score: ClassVar[None] = None
    libraries: ClassVar[tuple[str, ...]] = ("numpy",)

    width: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.width < math.inf:
            raise UserError(f"width is {self.width}; it must be above 0 (default 0.25)")

    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Computes the Gaussian."""
        rows, columns = np.nonzero(scene.foreground)
        height, width = scene.foreground.shape
        attribution = np.outer(self._profile(height, rows), self._profile(width, columns))
        return _on_foreground(scene, class_index, attribution)

    def _profile(
        self, side: int, foreground: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, " {side}"]:
        """The Gaussian along one axis, about the mean of the foreground's coordinates."""
        deviation = self.width * (np.ptp(foreground) + 1)
        return np.exp(-(((np.arange(side) - foreground.mean()) / deviation) ** 2) / 2)


@dataclass(frozen=True)
class EdgesControl(Explainer):
    """The magnitude of Sobel's gradient of the image, smoothed a little.

    Attributes:
      smoothing: width of the Gaussian before the gradient, as a fraction of the image's longer
        side, in [0, 1]; by default 2 pixels of 224.
    """

    name: ClassVar[str] = "edges"
    score: ClassVar[None] = None
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "scipy")

    smoothing: float = 2 / 224

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing <= 1:
            raise UserError(f"smoothing is {self.smoothing}; it must be from 0 to 1")

    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Computes the gradient's magnitude."""
        from scipy.ndimage import gaussian_filter, sobel

        grey = scene.image.mean(axis=-1) / 255
        smooth = gaussian_filter(grey, self.smoothing * max(grey.shape))
        return _on_foreground(scene, class_index, np.hypot(sobel(smooth, 0), sobel(smooth, 1)))


def _on_foreground(
    scene: Scene, class_index: int, attribution: Float[np.ndarray, "H W"]
) -> Explanation:
    return from_attribution(scene, class_index, np.where(scene.foreground, attribution, 0.0))
