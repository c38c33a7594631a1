"""Masked inference: one image, of which each input shows some segments and replaces the others.

An explanation by perturbation queries a network about a thousand masked inputs that differ in
nothing but which segments are visible. A position of the first layers depends on few segments, so
all values it can take are computed once, from the few masks of
:mod:`fakd_jax.inference.receptive_field`, and then looked up. This is exact: no value is
approximated.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int32, UInt8

from fakd_jax.inference.batching import compute_in_batches, map_batches
from fakd_jax.inference.network import PredictFunction
from fakd_jax.inference.predictor import Predictor, softmax
from fakd_jax.inference.receptive_field import lookup_levels
from fakd_jax.models.kernels.compilation import compiler_options
from fakd_jax.models.local_prefix import SplitNetwork, split_local_prefix

MIN_WIDTH = 64
"""Masks have at least so many columns, so that images of few segments share compiled programs."""


@dataclass(frozen=True)
class _Table:
    """The output of the first `blocks` local blocks for a level's masks; see `look_up`."""

    blocks: int
    maps: jax.Array
    code: jax.Array


class MaskedInference:
    """Predicts masked inputs of a predictor's network; they are made on the device.

    Args:
      predictor: whose network, preprocessing and batch size are used.
    """

    def __init__(self, predictor: Predictor) -> None:
        folded, preprocessing = predictor.folded, predictor.preprocessing
        self._variables, self._batch_size = folded.variables, predictor.batch_size

        def split(variables: list[jax.Array]) -> SplitNetwork:
            return split_local_prefix(folded.merge(variables))

        def resume(variables: list[jax.Array], x: Array, start: int, stop: int | None) -> Array:
            network = split(variables)
            for block in network.prefix[start:stop]:
                x = block.run(x)
            return network.rest(x) if stop is None else x

        def begin(
            variables: list[jax.Array],
            image: Array,
            replacement: Array,
            segments: Array,
            visible: Array,
            stop: int | None,
        ) -> Array:
            # As a matrix product, exact on zeros and ones: a gather is slow on CPU.
            belongs = jax.nn.one_hot(segments.ravel(), visible.shape[1], axis=0)  # [K, S·S]
            hidden = jnp.dot((~visible).astype(jnp.float32), belongs) > 0.5
            hidden = hidden.reshape(len(visible), *segments.shape, 1)
            images = jnp.where(hidden, replacement, image)
            return resume(variables, preprocessing.inputs(images, like=image), 0, stop)

        def blended(
            variables: list[jax.Array], image: Array, replacement: Array, opacity: Array
        ) -> Array:
            own, other = image.astype(jnp.float32), replacement.astype(jnp.float32)
            images = jnp.rint(other + opacity[..., None] * (own - other)).astype(jnp.uint8)
            return folded.merge(variables)(preprocessing.inputs(images, like=image))

        options = compiler_options()
        self._windows = [block.windows for block in split(self._variables).prefix]
        self._begin = jax.jit(begin, static_argnames="stop", compiler_options=options)
        self._resume = jax.jit(resume, static_argnames=("start", "stop"), compiler_options=options)
        self._blended = jax.jit(blended, compiler_options=options)

    def with_weights_of(self, predictor: Predictor) -> MaskedInference:
        """Masked inference of a network of the same architecture; it shares compiled programs."""
        other = copy.copy(self)
        other._variables = predictor.folded.variables
        return other

    def prepare(
        self,
        image: UInt8[np.ndarray, "S S 3"],
        replacement: UInt8[np.ndarray, "S S 3"],
        segments: Int32[np.ndarray, "S S"],
        num_masks: int,
    ) -> PredictFunction:
        """Tabulates the first layers of an image's masked inputs, where that saves computation.

        Args:
          image: at the network's input size.
          replacement: for segments that are not visible.
          segments: label map with values from 0, below K; -1 is always visible.
          num_masks: roughly how many masks will be predicted in all.

        Returns:
          A function from masks, bool ``[N, K]`` (which segments are visible, N at least 1), to
          probabilities ``[N, C]``. It raises a ValueError for another number of segments.
        """
        scene = jax.device_put((image, replacement, segments))
        count = int(segments.max()) + 1
        width = max(MIN_WIDTH, 1 << (count - 1).bit_length())
        table: _Table | None = None

        def run(visible: np.ndarray, stop: int | None) -> jax.Array:
            if table is None:
                return self._begin(self._variables, *scene, visible, stop=stop)
            known = look_up(table.maps, table.code, visible)
            return self._resume(self._variables, known, start=table.blocks, stop=stop)

        def padded(visible: np.ndarray) -> np.ndarray:
            return np.pad(visible, ((0, 0), (0, width - count)))

        for level in lookup_levels(
            segments, count, self._windows, num_masks=num_masks, batch_size=self._batch_size
        ):
            tabulate = partial(run, stop=level.blocks)
            maps = map_batches(tabulate, padded(level.visible), self._batch_size)
            code = np.pad(level.code, ((0, width - count), (0, 0)))
            table = _Table(level.blocks, jnp.concatenate(maps), jax.device_put(code))

        def predict(visible: Bool[np.ndarray, "N K"]) -> Float32[np.ndarray, "N C"]:
            if visible.shape[1] != count:
                raise ValueError(
                    f"the masks have {visible.shape[1]} columns for {count} segments; "
                    "expected one per segment"
                )
            logits = compute_in_batches(partial(run, stop=None), padded(visible), self._batch_size)
            return softmax(logits)

        return predict

    def predict_blended(
        self,
        image: UInt8[np.ndarray, "S S 3"],
        replacement: UInt8[np.ndarray, "S S 3"],
        opacity: Float32[np.ndarray, "N S S"],
    ) -> Float32[np.ndarray, "N C"]:
        """Probabilities of an image blended with its replacement, rounded to 8 bits.

        Args:
          image: at the network's input size.
          replacement: likewise.
          opacity: of the image's own pixels, in [0, 1].
        """

        def run(opacity: np.ndarray) -> jax.Array:
            return self._blended(self._variables, image, replacement, opacity)

        return softmax(compute_in_batches(run, opacity, self._batch_size))


@jax.jit
def look_up(
    maps: Float[Array, "R h w C"], code: Float32[Array, "K P"], visible: Bool[Array, "B K"]
) -> Float[Array, "B h w C"]:
    """Assembles the feature map of each masked input, position by position, from a table.

    Args:
      maps: the feature maps of a level's masks.
      code: see :class:`fakd_jax.inference.receptive_field.Level`; P is h · w.
      visible: which segments each masked input shows.
    """
    rows, height, width, channels = maps.shape
    # Sums of different powers of two, below 2^24: exact in float32.
    row = jnp.dot(visible.astype(jnp.float32), code, precision="highest").astype(jnp.int32)
    flat = maps.reshape(rows * height * width, channels)
    found = jnp.take(flat, row * (height * width) + jnp.arange(height * width), axis=0, mode="clip")
    return found.reshape(len(visible), height, width, channels)
