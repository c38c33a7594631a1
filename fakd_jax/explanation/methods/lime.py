"""LIME (Ribeiro et al. 2016), the paper's explainer, fully seeded.

The superpixels are scikit-image's, the perturbations are drawn as the lime package draws them
and its regression fits the weights; the perturbed images between the two are made by the
network's own device, from superpixels and masks.

Superpixels are hidden at random (replaced by their mean colour), the network predicts each
perturbed image, and a ridge regression from "shown or hidden" to the class's probability,
weighted by closeness to the whole image, gives every superpixel its weight.

A superpixel's mean colour keeps its mean brightness: evidence that lies in nothing but that is
not hidden by hiding it, and gets no weight. Such is LIME's default, which the paper follows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, UInt8

from fakd_jax.errors import UserError
from fakd_jax.explanation.hiding import mean_colours
from fakd_jax.explanation.result import NEGLIGIBLE, Explanation, Network
from fakd_jax.explanation.superpixels import Quickshift


@dataclass(frozen=True)
class LimeExplainer:
    """LIME with the package's defaults (the paper states only `num_samples`), all seeded.

    Attributes:
      num_samples: perturbed images, the whole image being the first; at least 2.
      kernel_width: width of the exponential kernel that turns distance into weight.
      distance_metric: of the shown/hidden vectors, by scikit-learn's name.
      ridge_alpha: regularisation of the local linear model.
      segmenter: what cuts the image into superpixels.
    """

    name: ClassVar[str] = "lime"

    num_samples: int = 1000
    kernel_width: float = 0.25
    distance_metric: str = "cosine"
    ridge_alpha: float = 1.0
    segmenter: Quickshift = field(default_factory=Quickshift)

    def __post_init__(self) -> None:
        if self.num_samples < 2:
            raise UserError(
                f"num_samples is {self.num_samples}; LIME needs at least 2 (default 1000)"
            )

    def settings(self) -> dict[str, Any]:
        """Every choice that the weights depend on, seed aside, with the libraries' versions."""
        from importlib.metadata import version

        return {
            "method": self.name,
            "num_samples": self.num_samples,
            "kernel": "exponential",
            "kernel_width": self.kernel_width,
            "distance_metric": self.distance_metric,
            "hide_color": "mean of the superpixel",
            "regressor": "ridge",
            "ridge_alpha": self.ridge_alpha,
            "features": "all superpixels",
            "segmenter": {
                "name": "quickshift",
                "kernel_size": self.segmenter.kernel_size,
                "max_dist": self.segmenter.max_dist,
                "ratio": self.segmenter.ratio,
            },
            "versions": {
                name: version(name) for name in ("lime", "scikit-image", "scikit-learn", "numpy")
            },
        }

    @property
    def num_predictions(self) -> int:
        """How many images the network predicts for one explanation."""
        return self.num_samples

    def explain(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        network: Network,
        class_index: int,
        seed: int,
    ) -> Explanation:
        """Explains one class's probability for one image.

        Args:
          image: uint8 ``[H, W, 3]``, at the network's input size.
          network: asked once, for all perturbed images, by its `predict_hidden`.
          class_index: the class, in [0, C).
          seed: decides superpixels and perturbations; in [0, 2**31).

        Returns:
          The explanation; equal arguments give equal results, bit for bit, as far as the
          network is deterministic.
        """
        segments = self.segmenter(image, seed)
        shown = draw_shown(self.num_samples, int(segments.max()) + 1, seed)
        probabilities = network.predict_hidden(
            image, mean_colours(image, segments), segments, shown
        )
        return self.fit(segments, shown, probabilities, class_index, seed)

    def fit(
        self,
        segments: Int32[np.ndarray, "H W"],
        shown: Bool[np.ndarray, "N S"],
        probabilities: Float32[np.ndarray, "N C"],
        class_index: int,
        seed: int,
    ) -> Explanation:
        """Fits the local linear model: the lime package's own code, given what was predicted.

        Args:
          segments: label map of the superpixels.
          shown: which of them each perturbed image shows; the first shows all.
          probabilities: what the network said of each.
          class_index: the class explained.
          seed: of the regression (Ridge solves exactly and does not use it).
        """
        from lime.lime_base import LimeBase
        from sklearn.linear_model import Ridge
        from sklearn.metrics import pairwise_distances

        base = LimeBase(self._closeness, random_state=np.random.RandomState(seed))
        samples = shown.astype(np.int64)
        distances = pairwise_distances(samples, samples[:1], metric=self.distance_metric).ravel()
        intercept, pairs, score, local_prediction = base.explain_instance_with_data(
            samples,
            probabilities,
            distances,
            class_index,
            samples.shape[1],
            feature_selection="none",
            model_regressor=Ridge(alpha=self.ridge_alpha, random_state=seed),
        )
        weights = np.zeros(samples.shape[1])
        for superpixel, weight in pairs:
            weights[superpixel] = weight
        moved = np.ptp(probabilities[:, class_index])
        return Explanation(
            class_index=class_index,
            segments=segments,
            weights=weights,
            intercept=float(intercept),
            local_prediction=float(local_prediction[0]),
            # scikit-learn calls the fit of a constant perfect.
            fidelity_r2=None if moved < NEGLIGIBLE else float(score),
        )

    def _closeness(self, distances: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """The exponential kernel as in `lime.lime_image`: √exp(-d²/width²)."""
        return np.sqrt(np.exp(-(distances**2) / self.kernel_width**2))


def draw_shown(num_samples: int, num_superpixels: int, seed: int) -> Bool[np.ndarray, "N S"]:
    """Which superpixels each perturbed image shows: fair coins, the first image showing all.

    The very draw of the lime package with `random_state=np.random.RandomState(seed)`.
    """
    drawn = np.random.RandomState(seed).randint(0, 2, num_samples * num_superpixels)
    shown = drawn.reshape(num_samples, num_superpixels).astype(bool)
    shown[0] = True
    return shown
