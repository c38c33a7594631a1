"""What is explained: the ways in which an explainer can ask a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from fakd_jax.errors import UserError

PredictFunction: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""Images uint8 ``[N, H, W, 3]`` to class probabilities float32 ``[N, C]``, for any N from 1."""

PrepareHiddenFunction: TypeAlias = Callable[
    [np.ndarray, np.ndarray, np.ndarray, int], PredictFunction
]
"""Image, replacement (uint8 ``[H, W, 3]``), segments (int32 ``[H, W]``, from 0; -1 is never
replaced) and how many copies will be asked for, more or less, to a function: from which of the S
segments each of N copies shows (bool ``[N, S]``) to probabilities ``[N, C]``."""

MaskedPredictFunction: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Image, replacement (uint8 ``[H, W, 3]``) and, for each of N copies, how much of every pixel is
shown (float32 ``[N, H, W]`` in [0, 1]; the rest is the replacement's), to probabilities."""

PixelGradientFunction: TypeAlias = Callable[[np.ndarray, int], np.ndarray]
"""Images float32 ``[N, S, S, 3]``, grey levels 0 to 255 that need not be whole, and a class, to
the gradients of its logit with respect to the grey levels, float32 ``[N, S, S, 3]``."""

FeatureGradientFunction: TypeAlias = Callable[[np.ndarray, int, str], tuple[np.ndarray, np.ndarray]]
"""An image uint8 ``[S, S, 3]``, a class and a layer, to the layer's feature map and the gradient
of the class's logit with respect to it, both float32 ``[h, w, K]``."""


@dataclass(frozen=True)
class Gradients:
    """What a network that can be differentiated answers besides.

    Attributes:
      of_pixels: see :data:`PixelGradientFunction`.
      of_features: see :data:`FeatureGradientFunction`.
      layers: the feature maps that have a place for evidence (more than one position), by name,
        from the first to the last.
      default_layer: the last of them; None where there is none.
    """

    of_pixels: PixelGradientFunction
    of_features: FeatureGradientFunction
    layers: Sequence[str]
    default_layer: str | None


@dataclass(frozen=True)
class Network:
    """What is explained: how it can be asked, and what must be known of it.

    Attributes:
      predict_proba: uint8 images ``[N, S, S, 3]`` to probabilities ``[N, C]``.
      prepare_hidden: the same for copies of one image in which segments are replaced.
      predict_masked: the same for copies of one image of which every pixel is partly replaced.
      batch_size: N, the same at every call: what is ragged gets filled up.
      class_names: of its C outputs, in their order.
      image_size: S, the side of its input.
      provenance: where it comes from, as JSON-able values; goes into every result.
      gradients: where it can be differentiated.
      randomised: gives, for a seed and some images (uint8 ``[N, S, S, 3]``, a dozen or more), the
        network with all its weights drawn anew and its statistics set to the images', where it
        can be.
    """

    predict_proba: PredictFunction
    prepare_hidden: PrepareHiddenFunction
    predict_masked: MaskedPredictFunction
    batch_size: int
    class_names: Sequence[str]
    image_size: int
    provenance: Mapping[str, Any]
    gradients: Gradients | None = None
    randomised: Callable[[int, np.ndarray], Network] | None = None


def gradients_of(network: Network) -> Gradients:
    """The network's gradients, for a method that cannot do without.

    Raises:
      UserError: it has none.
    """
    if network.gradients is None:
        raise UserError("this network has no gradients; choose a method that needs none")
    return network.gradients
