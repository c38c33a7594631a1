"""The lime package itself: the reference for our LIME."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from unittest import mock

import numpy as np
from jaxtyping import Float, UInt8

from fakd_jax.errors import UserError
from fakd_jax.explanation.result import (
    NEGLIGIBLE,
    Explainer,
    Explanation,
    LocalFit,
    Score,
    from_weights,
)
from fakd_jax.explanation.scene.infill import mean_colours
from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.inference.network import Network
from fakd_jax.runtime.extras import import_extra


@dataclass(frozen=True)
class LimePackageExplainer(Explainer):
    """`lime.lime_image` with its defaults, given a scene's superpixels.

    It makes the perturbed images in host memory, fills in mean colours and has no background. They
    are predicted as images of their own: with `config.data.intensity`, by their own percentiles.

    Attributes:
      num_samples: perturbed images, the first being the whole image; at least 2.
    """

    name: ClassVar[str] = "lime-package"
    score: ClassVar[Score] = "probability"
    seeded: ClassVar[bool] = True
    libraries: ClassVar[tuple[str, ...]] = ("lime", "scikit-learn")

    num_samples: int = 1000

    def __post_init__(self) -> None:
        if self.num_samples < 2:
            raise UserError(f"num_samples is {self.num_samples}; LIME needs at least 2")
        import_extra("lime", "lime", "the method lime-package")

    @property
    def num_predictions(self) -> int:
        """The perturbed images."""
        return self.num_samples

    def explain(self, scene: Scene, network: Network, class_index: int, seed: int) -> Explanation:
        """Explains one class's probability.

        Raises:
          UserError: the scene has a background, or another infill than mean colours.
        """
        from lime.lime_image import LimeImageExplainer

        supported = scene.foreground.all() and np.array_equal(
            scene.replacement, mean_colours(scene.image, scene.superpixels)
        )
        if not supported:
            raise UserError(
                "the lime package fills in mean colours and has no background: "
                "use --preset paper with it"
            )
        probabilities: list[np.ndarray] = []

        def predict(images: UInt8[np.ndarray, "N H W 3"]) -> Float[np.ndarray, "N C"]:
            probabilities.append(network.predict_proba(images))
            return probabilities[-1]

        explainer = LimeImageExplainer(random_state=np.random.RandomState(seed))
        # The package draws a progress bar that no argument turns off.
        with mock.patch("lime.lime_image.tqdm", iter):
            result = explainer.explain_instance(
                scene.image,
                predict,
                labels=(class_index,),
                top_labels=None,
                num_features=scene.count,
                num_samples=self.num_samples,
                batch_size=network.batch_size,
                segmentation_fn=lambda image: scene.superpixels,
                random_seed=seed,
            )
        weights = np.zeros(scene.count)
        for superpixel, weight in result.local_exp[class_index]:
            weights[superpixel] = weight
        moved = np.ptp(np.concatenate(probabilities)[:, class_index]) >= NEGLIGIBLE
        fit = LocalFit(
            intercept=float(result.intercept[class_index]),
            prediction=float(result.local_pred[0]),
            r2=float(result.score) if moved else None,  # for a constant, scikit-learn's is 0 or 1
        )
        return from_weights(scene, class_index, weights, fit=fit)
