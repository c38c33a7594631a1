"""The interface through which explainers query a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8

from fakd_jax.errors import UserError
from fakd_jax.inference.batching import compute_in_batches

PredictFunction: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""N rows, such as images uint8 ``[N, H, W, 3]``, to class probabilities float32 ``[N, C]``."""


@dataclass(frozen=True)
class Gradients:
    """A network's logits and their gradients.

    Attributes:
      wrt_pixels: images float32 ``[N, S, S, 3]``, grey levels 0 to 255 that need not be integers,
        a class, and the image uint8 ``[S, S, 3]`` that they are perturbed versions of, to the
        gradients of the class's logit, of the images' shape.
      wrt_features: an image uint8 ``[S, S, 3]``, a class and a layer, to the layer's feature map
        and the gradient of the class's logit with respect to it, both float32 ``[h, w, K]``.
      layers: height and width of the feature maps of more than one position, by name, from the
        first to the last.
      logits: images and the image as above to the logits themselves, float32 ``[N, C]``.
    """

    wrt_pixels: Callable[[np.ndarray, int, np.ndarray], np.ndarray]
    wrt_features: Callable[[np.ndarray, int, str], tuple[np.ndarray, np.ndarray]]
    layers: Mapping[str, tuple[int, int]]
    logits: Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Network:
    """A network as explainers query it.

    Attributes:
      predict_proba: uint8 images ``[N, S, S, 3]`` to probabilities ``[N, C]``.
      prepare_masked: image, replacement (uint8 ``[S, S, 3]``), segments (int32 ``[S, S]``, from
        0; -1 is always visible) and roughly how many masks will be asked for, to a function: from
        which of the K segments are visible (bool ``[N, K]``) to probabilities ``[N, C]``.
      predict_blended: image, replacement and opacity (float32 ``[N, S, S]`` in [0, 1]; the rest
        is the replacement's) to probabilities ``[N, C]``.
      batch_size: rows per call of these functions.
      class_names: of the C outputs, in order.
      image_size: S.
      provenance: where it comes from, as JSON-able values; part of every result.
      gradients: where it can be differentiated.
      reinitialise: a seed and images (uint8 ``[N, S, S, 3]``, a dozen or more) to the network with
        all weights re-initialised at random and its statistics set to the images', where it can.
    """

    predict_proba: PredictFunction
    prepare_masked: Callable[[np.ndarray, np.ndarray, np.ndarray, int], PredictFunction]
    predict_blended: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    batch_size: int
    class_names: Sequence[str]
    image_size: int
    provenance: Mapping[str, Any] = field(default_factory=dict)
    gradients: Gradients | None = None
    reinitialise: Callable[[int, np.ndarray], Network] | None = None

    @classmethod
    def from_function(
        cls,
        predict_proba: PredictFunction,
        *,
        class_names: Sequence[str],
        image_size: int,
        batch_size: int = 32,
        **facts: Any,
    ) -> Network:
        """A network that is any function of images; masked inputs are made in host memory."""

        def prepare_masked(
            image: np.ndarray, replacement: np.ndarray, segments: np.ndarray, num_masks: int
        ) -> PredictFunction:
            return lambda visible: predict_proba(mask(image, replacement, segments, visible))

        def predict_blended(
            image: np.ndarray, replacement: np.ndarray, opacity: np.ndarray
        ) -> np.ndarray:
            return predict_proba(blend(image, replacement, opacity))

        return cls(
            predict_proba,
            prepare_masked,
            predict_blended,
            batch_size=batch_size,
            class_names=class_names,
            image_size=image_size,
            **facts,
        )

    def in_batches(self, on_predictions: Callable[[int], None] | None = None) -> Network:
        """The network queried in batches of exactly `batch_size` rows, and counted.

        Args:
          on_predictions: called after each batch with its number of rows, padding excluded.

        Raises:
          ValueError: from its functions, for probabilities of another shape or not finite.
        """

        def batched(predict: PredictFunction) -> PredictFunction:
            checked = partial(_checked, predict)
            return lambda rows: compute_in_batches(checked, rows, self.batch_size, on_predictions)

        return replace(
            self,
            predict_proba=batched(self.predict_proba),
            prepare_masked=lambda *scene: batched(self.prepare_masked(*scene)),
            predict_blended=lambda image, replacement, opacity: batched(
                partial(self.predict_blended, image, replacement)
            )(opacity),
        )


def mask(
    image: UInt8[np.ndarray, "H W 3"],
    replacement: UInt8[np.ndarray, "H W 3"],
    segments: Int32[np.ndarray, "H W"],
    visible: Bool[np.ndarray, "N K"],
) -> UInt8[np.ndarray, "N H W 3"]:
    """Masked inputs: the image where a segment is visible, the replacement elsewhere.

    Args:
      image: to be masked.
      replacement: for segments that are not visible.
      segments: label map with values from 0, below K; -1 is always visible.
      visible: one mask per row.
    """
    always = np.ones((len(visible), 1), bool)  # the last column, which -1 is the index of
    return np.where(np.append(visible, always, axis=1)[:, segments][..., None], image, replacement)


def blend(
    image: UInt8[np.ndarray, "H W 3"],
    replacement: UInt8[np.ndarray, "H W 3"],
    opacity: Float32[np.ndarray, "N H W"],
) -> UInt8[np.ndarray, "N H W 3"]:
    """Blends an image with its replacement by `opacity` in [0, 1], rounded to 8 bits."""
    own, other = image.astype(np.float32), replacement.astype(np.float32)
    return np.rint(other + opacity[..., None] * (own - other)).astype(np.uint8)


def gradients_of(network: Network) -> Gradients:
    """The network's gradients, for a method that requires them.

    Raises:
      UserError: it has none.
    """
    if network.gradients is None:
        raise UserError(
            "a plain function of images has no gradients: choose a method that needs none, such as "
            "lime, kernel-shap, occlusion or rise"
        )
    return network.gradients


def _checked(predict: PredictFunction, rows: np.ndarray) -> np.ndarray:
    probabilities = np.asarray(predict(rows))
    if probabilities.ndim != 2 or len(probabilities) != len(rows):
        raise ValueError(
            f"the network returned shape {probabilities.shape} for {len(rows)} rows; "
            f"expected ({len(rows)}, classes)"
        )
    if not np.isfinite(probabilities).all():
        raise ValueError("the network returned a probability that is not finite")
    return probabilities
