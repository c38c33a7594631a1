"""Copies of one image in which segments are hidden, and a network's answers to them.

An explanation by hiding asks a network about a thousand copies of an image, which differ in what
is hidden and in nothing else. The first layers see only a window at each position, in which few
segments lie; all that they can ever give there is computed once, from the few copies of
:mod:`fakd_jax.inference.receptive_field`, and then looked up. It is exact: no value is
approximated, and none is computed from anything but what the network would see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int32, UInt8

from fakd_jax.data.preprocessing import Preprocessing, normalise
from fakd_jax.inference.receptive_field import levels
from fakd_jax.models.kernels.compilation import compiler_options
from fakd_jax.models.local_prefix import pieces_of
from fakd_jax.runtime.async_dispatch import in_batches

LEAST_SEGMENTS = 64

Variables = list[jax.Array]


class HidingNetwork:
    """A network that makes the copies itself, on its device; compiled piece by piece.

    Attributes:
      windows: of each of the network's local pieces.

    Args:
      graphdef: the network's structure, in evaluation mode.
      structure: that of its variables, of which the leaves are given at every call.
      variables: such leaves, for the structure's sake only.
      preprocessing: how pixels are normalised.
    """

    def __init__(
        self,
        graphdef: nnx.GraphDef[Any],
        structure: jax.tree_util.PyTreeDef,
        variables: Variables,
        preprocessing: Preprocessing,
    ) -> None:
        def pieces(variables: Variables) -> Any:
            state = jax.tree.unflatten(structure, variables)
            return pieces_of(nnx.merge(graphdef, state, copy=True))

        def go_on(variables: Variables, x: Array, start: int, stop: int | None) -> Array:
            cut = pieces(variables)
            for piece in cut.local[start:stop]:
                x = piece.run(x)
            return cut.rest(x) if stop is None else x

        def begin(
            variables: Variables,
            image: Array,
            replacement: Array,
            segments: Array,
            shown: Array,
            stop: int | None,
        ) -> Array:
            # Looked up as a matrix product, exact on zeros and ones: a gather is slow on CPU.
            belongs = jax.nn.one_hot(segments.ravel(), shown.shape[1], axis=0)  # [K, S·S]
            hidden = jnp.dot((~shown).astype(jnp.float32), belongs) > 0.5
            hidden = hidden.reshape(len(shown), *segments.shape, 1)
            images = jnp.where(hidden, replacement, image)
            normalised = jnp.asarray(normalise(images, preprocessing.mean, preprocessing.std))
            return go_on(variables, normalised, 0, stop)

        options = compiler_options()
        self.windows = [piece.windows for piece in pieces(variables).local]
        self.begin = jax.jit(begin, static_argnames="stop", compiler_options=options)
        self.go_on = jax.jit(go_on, static_argnames=("start", "stop"), compiler_options=options)


@dataclass(frozen=True)
class _Table:
    """What the first `piece` local pieces give for a level's copies; the rest as of `look_up`."""

    piece: int
    maps: jax.Array
    code: jax.Array


class HiddenCopies:
    """Copies of one image with some of its segments hidden, which a network is asked about.

    Args:
      network: who is asked.
      variables: its weights.
      image: uint8, at the network's input size.
      replacement: what stands in the place of a hidden segment, likewise.
      segments: the segment of every pixel, from 0, K in all; -1 is never hidden.
      copies: how many copies will be asked for, more or less: so much is prepared.
      batch_size: copies computed at once.
    """

    def __init__(
        self,
        network: HidingNetwork,
        variables: Variables,
        image: UInt8[np.ndarray, "S S 3"],
        replacement: UInt8[np.ndarray, "S S 3"],
        segments: Int32[np.ndarray, "S S"],
        *,
        copies: int,
        batch_size: int,
    ) -> None:
        self._network, self._variables, self._batch_size = network, variables, batch_size
        self._scene = jax.device_put((image, replacement, segments))
        self._count = count = int(segments.max()) + 1
        # A few widths serve images of any number of segments: the network compiles once.
        self._width = max(LEAST_SEGMENTS, 1 << (count - 1).bit_length())
        self._table: _Table | None = None
        windows = network.windows
        for level in levels(segments, count, windows, copies=copies, batch_size=batch_size):
            maps = jnp.concatenate(self._compute(level.shown, level.piece))
            code = np.pad(level.code, ((0, self._width - count), (0, 0)))
            self._table = _Table(level.piece, maps, jax.device_put(code))

    def logits(self, shown: Bool[np.ndarray, "N K"]) -> Float32[np.ndarray, "N C"]:
        """The network's outputs.

        Args:
          shown: for each copy, which of the segments are the image's own; N is at least 1.

        Raises:
          ValueError: not as many segments as the image has.
        """
        if shown.shape[1] != self._count:
            raise ValueError(
                f"shown has {shown.shape[1]} columns for {self._count} segments; one each is meant"
            )
        batches = self._compute(shown, None)
        return np.concatenate([np.asarray(batch) for batch in batches])[: len(shown)]

    def _compute(self, shown: Bool[np.ndarray, "N K"], stop: int | None) -> list[jax.Array]:
        """What the pieces before `stop` (None: all) give, in batches, the last one filled up."""

        def ask(shown: np.ndarray) -> jax.Array:
            table = self._table
            if table is None:
                return self._network.begin(self._variables, *self._scene, shown, stop=stop)
            known = look_up(table.maps, table.code, shown)
            return self._network.go_on(self._variables, known, start=table.piece, stop=stop)

        padded = np.pad(shown, ((0, 0), (0, self._width - shown.shape[1])))
        return in_batches(ask, padded, self._batch_size)


@jax.jit
def look_up(
    maps: Float[Array, "R h w C"], code: Float32[Array, "K P"], shown: Bool[Array, "B K"]
) -> Float[Array, "B h w C"]:
    """Each copy's feature map, put together position by position from those of a level's copies.

    Args:
      maps: the feature maps of the level's copies.
      code: see :class:`fakd_jax.inference.receptive_field.Level`; P is h · w.
      shown: which segments each copy shows.
    """
    rows, height, width, channels = maps.shape
    # Sums of different powers of two, below 2^24: exact in float32.
    row = jnp.dot(shown.astype(jnp.float32), code, precision="highest").astype(jnp.int32)
    flat = maps.reshape(rows * height * width, channels)
    found = jnp.take(flat, row * (height * width) + jnp.arange(height * width), axis=0, mode="clip")
    return found.reshape(len(shown), height, width, channels)
