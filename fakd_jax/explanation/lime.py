"""LIME (Ribeiro et al. 2016), the paper's explainer: the lime package, fully seeded.

Superpixels are hidden at random (replaced by their mean colour), the network predicts each
perturbed image, and a ridge regression from "shown or hidden" to the class's probability,
weighted by closeness to the whole image, gives every superpixel its weight.

A superpixel's mean colour keeps its mean brightness: evidence that lies in nothing but that is
not hidden by hiding it, and gets no weight. Such is LIME's default, which the paper follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import UInt8

from fakd_jax.errors import UserError
from fakd_jax.explanation.result import NEGLIGIBLE, Explanation, PredictFunction
from fakd_jax.explanation.superpixels import Quickshift


@dataclass(frozen=True)
class LimeExplainer:
    """LIME with the package's defaults (the paper states only `num_samples`), all seeded.

    Attributes:
      num_samples: perturbed images, the whole image being the first; at least 2.
      batch_size: images a call of the predict function; at least 1.
      kernel_width: width of the exponential kernel that turns distance into weight.
      distance_metric: of the shown/hidden vectors, by scikit-learn's name.
      ridge_alpha: regularisation of the local linear model.
      segmenter: what cuts the image into superpixels.
    """

    name: ClassVar[str] = "lime"

    num_samples: int = 1000
    batch_size: int = 32
    kernel_width: float = 0.25
    distance_metric: str = "cosine"
    ridge_alpha: float = 1.0
    segmenter: Quickshift = field(default_factory=Quickshift)

    def __post_init__(self) -> None:
        if self.num_samples < 2:
            raise UserError(
                f"num_samples is {self.num_samples}; LIME needs at least 2 (default 1000)"
            )
        if self.batch_size < 1:
            raise UserError(f"batch_size is {self.batch_size}; it must be at least 1")

    def settings(self) -> dict[str, Any]:
        """Every choice that the weights depend on, seed aside, with the libraries' versions."""
        from importlib.metadata import version

        return {
            "method": self.name,
            "num_samples": self.num_samples,
            "batch_size": self.batch_size,
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
        predict_proba: PredictFunction,
        class_index: int,
        seed: int,
    ) -> Explanation:
        """Explains one class's probability for one image.

        Args:
          image: uint8 ``[H, W, 3]``, at the network's input size.
          predict_proba: uint8 images ``[N, H, W, 3]`` to probabilities ``[N, C]``. Called with
            `batch_size` images at a time, the last call with what is left: see
            :func:`fakd_jax.explanation.batching.in_fixed_batches`.
          class_index: the class, in [0, C).
          seed: decides superpixels and perturbations; in [0, 2**31).

        Returns:
          The explanation; equal arguments give equal results, bit for bit, as far as
          `predict_proba` is deterministic.
        """
        from lime import lime_image
        from sklearn.linear_model import Ridge

        # explain_instance's own `random_seed` reaches only the superpixels, and not even them
        # with today's scikit-image; the perturbations come from the explainer's random_state.
        explainer = lime_image.LimeImageExplainer(
            kernel_width=self.kernel_width,
            feature_selection="none",
            random_state=np.random.RandomState(seed),
        )
        segments = self.segmenter(image, seed)
        seen: list[np.ndarray] = []

        def predict(images: np.ndarray) -> np.ndarray:
            probabilities = predict_proba(images)
            seen.append(probabilities[:, class_index])
            return probabilities

        with _silenced_progress_bar(lime_image):
            result = explainer.explain_instance(
                image,
                predict,
                labels=(class_index,),
                top_labels=None,
                hide_color=None,
                num_samples=self.num_samples,
                batch_size=self.batch_size,
                segmentation_fn=lambda _: segments,
                distance_metric=self.distance_metric,
                model_regressor=Ridge(alpha=self.ridge_alpha, random_state=seed),
                random_seed=seed,
            )
        weights = np.zeros(segments.max() + 1)
        for superpixel, weight in result.local_exp[class_index]:
            weights[superpixel] = weight
        moved = np.ptp(np.concatenate(seen))
        return Explanation(
            class_index=class_index,
            segments=segments,
            weights=weights,
            intercept=float(result.intercept[class_index]),
            local_prediction=float(result.local_pred[0]),
            # scikit-learn calls the fit of a constant perfect.
            fidelity_r2=None if moved < NEGLIGIBLE else float(result.score),
        )


@contextmanager
def _silenced_progress_bar(lime_image: Any) -> Iterator[None]:
    """Takes the progress bar that lime hard-codes away, and puts it back.

    lime offers no switch, and tqdm reads `TQDM_DISABLE` only when it is imported.
    """

    def silent(rows: Iterable[Any]) -> Iterable[Any]:
        return rows

    original, lime_image.tqdm = lime_image.tqdm, silent
    try:
        yield
    finally:
        lime_image.tqdm = original
