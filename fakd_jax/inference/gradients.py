"""A checkpoint's logits and their gradients, with respect to pixels and to feature maps."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Float32, UInt8

from fakd_jax.inference.batching import compute_in_batches
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models.features import feature_gradient, feature_shapes
from fakd_jax.models.kernels.compilation import compiler_options

BATCH_SIZE = 8
"""Images differentiated at once: all their activations are kept until the backward pass."""


class LogitGradients:
    """Logits, and the gradients of one class's logit.

    The network is the one that predicts, :attr:`Predictor.folded`. The score is the logit, not the
    probability, which saturates near 1 and depends on the other classes' logits.

    Args:
      predictor: nothing is compiled before it is needed.

    Attributes:
      layers: height and width of the feature maps of more than one position, by name, from the
        first to the last.
    """

    layers: Mapping[str, tuple[int, int]]

    def __init__(self, predictor: Predictor) -> None:
        folded, preprocessing = predictor.folded, predictor.preprocessing
        self._variables = folded.variables
        side = preprocessing.image_size
        shapes = feature_shapes(folded.merge(self._variables), side)
        self.layers = {name: shape[:2] for name, shape in shapes.items() if shape[:2] != (1, 1)}
        self._image_shape = (side, side, 3)
        self._num_classes = predictor.num_classes

        def logits(
            variables: list[jax.Array], grey_levels: jax.Array, like: jax.Array | None
        ) -> jax.Array:
            inputs = preprocessing.inputs_of_grey_levels(grey_levels, like)
            return folded.merge(variables)(inputs)

        def wrt_pixels(
            variables: list[jax.Array],
            grey_levels: jax.Array,
            like: jax.Array | None,
            class_index: jax.Array,
        ) -> jax.Array:
            def score(grey_levels: jax.Array) -> jax.Array:
                # Images do not influence one another.
                return logits(variables, grey_levels, like)[:, class_index].sum()

            return jax.grad(score)(grey_levels)

        def wrt_features(
            variables: list[jax.Array], image: jax.Array, class_index: jax.Array, layer: str
        ) -> tuple[jax.Array, jax.Array]:
            inputs = preprocessing.inputs(image[None])
            return feature_gradient(folded.merge(variables), inputs, layer, class_index)

        options = compiler_options()
        self._logits = jax.jit(logits, compiler_options=options)
        self._wrt_pixels = jax.jit(wrt_pixels, compiler_options=options)
        self._wrt_features = jax.jit(
            wrt_features, static_argnames="layer", compiler_options=options
        )

    def with_weights_of(self, predictor: Predictor) -> LogitGradients:
        """The gradients of a network of the same architecture; they share compiled programs."""
        other = copy.copy(self)
        other._variables = predictor.folded.variables
        return other

    def logits(
        self,
        images: Float32[np.ndarray, "N S S 3"],
        like: UInt8[np.ndarray, "S S 3"] | None = None,
    ) -> Float32[np.ndarray, "N C"]:
        """The logits of images given as grey levels, as in :meth:`wrt_pixels`.

        Raises:
          ValueError: another shape or dtype.
        """
        self._check(images)
        return compute_in_batches(
            lambda batch: self._logits(self._variables, batch, like), images, BATCH_SIZE
        )

    def wrt_pixels(
        self,
        images: Float32[np.ndarray, "N S S 3"],
        class_index: int,
        like: UInt8[np.ndarray, "S S 3"] | None = None,
    ) -> Float32[np.ndarray, "N S S 3"]:
        """The gradients of a class's logit with respect to the grey levels of images.

        Args:
          images: at the network's input size, grey levels 0 to 255 that need not be integers.
          class_index: in [0, C).
          like: see :meth:`fakd_jax.data.preprocessing.Preprocessing.inputs`.

        Raises:
          ValueError: another shape or dtype, or no such class.
        """
        self._check(images)
        index = self._checked(class_index)
        return compute_in_batches(
            lambda batch: self._wrt_pixels(self._variables, batch, like, index),
            images,
            BATCH_SIZE,
        )

    def wrt_features(
        self, image: UInt8[np.ndarray, "S S 3"], class_index: int, layer: str
    ) -> tuple[Float32[np.ndarray, "h w K"], Float32[np.ndarray, "h w K"]]:
        """A feature map and the gradient of a class's logit with respect to it.

        Args:
          image: at the network's input size.
          class_index: in [0, C).
          layer: one of `layers`; each compiles once.

        Raises:
          UserError: the network has no such layer.
          ValueError: another shape or dtype, or no such class.
        """
        if image.shape != self._image_shape or image.dtype != np.uint8:
            raise ValueError(
                f"the image must be uint8 {list(self._image_shape)}, "
                f"not {image.dtype} {list(image.shape)}"
            )
        index = self._checked(class_index)
        features, gradient = self._wrt_features(self._variables, image, index, layer=layer)
        return np.asarray(features)[0], np.asarray(gradient)[0]

    def _check(self, images: np.ndarray) -> None:
        if images.shape[1:] != self._image_shape or images.dtype != np.float32:
            raise ValueError(
                f"images must be float32 {['N', *self._image_shape]}, "
                f"not {images.dtype} {list(images.shape)}"
            )

    def _checked(self, class_index: int) -> np.int32:
        """The class for the compiled programs; JAX would clip one that is out of range."""
        if not 0 <= class_index < self._num_classes:
            raise ValueError(f"there is no class {class_index}; there are {self._num_classes}")
        return np.int32(class_index)
