"""Derivatives of a checkpoint's network: of logits, by grey levels and by feature maps."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float32, UInt8

from fakd_jax.data.preprocessing import Preprocessing, normalise, standardise
from fakd_jax.models.features import feature_gradient, feature_shapes
from fakd_jax.models.folding import fold_batch_norms
from fakd_jax.models.kernels.compilation import compiler_options

BATCH_SIZE = 8
"""Images differentiated at once: their activations are all kept until the gradient has passed."""


class Derivatives:
    """How a class's logit changes with what the network sees, and with what it makes of it.

    What is differentiated is what predicts: the network with its batch norms folded, in the
    dtype that it computes in. The score is the logit, not the probability: a probability near 1
    hardly changes with anything, and it changes with the other classes' logits too.

    Attributes:
      layers: names of the feature maps that have more than one position at the network's input
        size, from the first to the last.
    """

    layers: Sequence[str]

    def __init__(
        self, network: nnx.Module, preprocessing: Preprocessing, *, num_classes: int
    ) -> None:
        """Takes a network; nothing is compiled before it is asked for.

        Args:
          network: in evaluation mode; stays as it is.
          preprocessing: how its images are prepared.
          num_classes: the number of its outputs.
        """
        folded = fold_batch_norms(network)
        shapes = feature_shapes(folded, preprocessing.image_size)
        self.layers = [name for name, (height, width, _) in shapes.items() if height * width > 1]
        self._image_shape = (preprocessing.image_size, preprocessing.image_size, 3)
        self._num_classes = num_classes
        graphdef, variables = nnx.split(folded)
        self._variables, structure = jax.tree.flatten(variables)
        mean, std = preprocessing.mean, preprocessing.std

        def rebuilt(variables: list[jax.Array]) -> nnx.Module:
            return nnx.merge(graphdef, jax.tree.unflatten(structure, variables), copy=True)

        def by_pixels(
            variables: list[jax.Array], grey_levels: jax.Array, class_index: jax.Array
        ) -> jax.Array:
            def score(grey_levels: jax.Array) -> jax.Array:
                logits = rebuilt(variables)(standardise(grey_levels, mean, std))
                return logits[:, class_index].sum()  # images do not influence one another

            return jax.grad(score)(grey_levels)

        def by_features(
            variables: list[jax.Array], image: jax.Array, class_index: jax.Array, layer: str
        ) -> tuple[jax.Array, jax.Array]:
            images = jnp.asarray(normalise(image[None], mean, std))
            return feature_gradient(rebuilt(variables), images, layer, class_index)

        self._by_pixels = jax.jit(by_pixels, compiler_options=compiler_options())
        self._by_features = jax.jit(
            by_features, static_argnames="layer", compiler_options=compiler_options()
        )

    def with_weights_of(self, network: nnx.Module) -> Derivatives:
        """The derivatives of a network of the same architecture; they share what is compiled."""
        other = copy.copy(self)
        other._variables = jax.tree.leaves(nnx.state(fold_batch_norms(network)))
        return other

    def of_pixels(
        self, images: Float32[np.ndarray, "N S S 3"], class_index: int
    ) -> Float32[np.ndarray, "N S S 3"]:
        """The gradients of a class's logit with respect to the grey levels of images.

        Args:
          images: at the network's input size, grey levels 0 to 255 that need not be whole.
          class_index: of the logit, in [0, C).

        Returns:
          Logit a grey level.

        Raises:
          ValueError: another shape or dtype, or no such class.
        """
        if images.shape[1:] != self._image_shape or images.dtype != np.float32:
            raise ValueError(
                f"images must be float32 {['N', *self._image_shape]}, "
                f"not {images.dtype} {list(images.shape)}"
            )
        index = self._checked(class_index)
        gradients = np.empty_like(images)
        for start in range(0, len(images), BATCH_SIZE):
            batch = images[start : start + BATCH_SIZE]
            filled = np.pad(batch, [(0, BATCH_SIZE - len(batch)), (0, 0), (0, 0), (0, 0)])
            rows = self._by_pixels(self._variables, filled, index)
            gradients[start : start + BATCH_SIZE] = np.asarray(rows)[: len(batch)]
        return gradients

    def of_features(
        self, image: UInt8[np.ndarray, "S S 3"], class_index: int, layer: str
    ) -> tuple[Float32[np.ndarray, "h w K"], Float32[np.ndarray, "h w K"]]:
        """A feature map and the gradient of a class's logit with respect to it.

        Args:
          image: at the network's input size.
          class_index: of the logit, in [0, C).
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
        features, gradient = self._by_features(self._variables, image, index, layer=layer)
        return np.asarray(features)[0], np.asarray(gradient)[0]

    def _checked(self, class_index: int) -> np.int32:
        """The class as the compiled programs take it; out of range, JAX would take another."""
        if not 0 <= class_index < self._num_classes:
            raise ValueError(f"there is no class {class_index}; there are {self._num_classes}")
        return np.int32(class_index)
