"""Shifts batches of images on the device, each image by random numbers of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, UInt8, UInt32

from fakd_jax.runtime.hashing import sha256
from fakd_jax.shifts.families import Family

Shift = Callable[[np.ndarray, np.ndarray, np.ndarray], jax.Array]
"""Images uint8 ``[B, S, S, 3]``, their words and amounts to shifted images, as the first."""

_DIGITS = 8  # of 32 bits


def image_words(contents: Sequence[str]) -> UInt32[np.ndarray, "N 2"]:
    """What the random numbers of each image derive from: 64 bits of its content.

    Args:
      contents: see :func:`fakd_jax.data.dataset.content_of`.
    """
    words = [
        [int(content[start : start + _DIGITS], 16) for start in (0, _DIGITS)]
        for content in contents
    ]
    return np.array(words, np.uint32).reshape(-1, 2)


def make_shift(family: Family, seed: int) -> Shift:
    """Compiles a family: shifts images and rounds them to 8 bits, as a file would hold them.

    An image's random numbers derive from the seed, the family's name and the image's pixels. Thus
    neither batches nor order nor names of files matter, and an image draws the same direction and
    noise at every severity.

    Args:
      family: of shifts.
      seed: not negative.
    """
    key = jax.random.fold_in(jax.random.key(seed), int(sha256(family.name)[:_DIGITS], 16))

    def image_key(words: UInt32[Array, " 2"]) -> Array:
        return jax.random.fold_in(jax.random.fold_in(key, words[0]), words[1])

    @jax.jit
    def shift(
        images: UInt8[Array, "B S S 3"], words: UInt32[Array, "B 2"], amounts: Float32[Array, " B"]
    ) -> UInt8[Array, "B S S 3"]:
        values = family.apply(jax.vmap(image_key)(words), images.astype(jnp.float32) / 255, amounts)
        return jnp.rint(jnp.clip(values, 0, 1) * 255).astype(jnp.uint8)

    return shift
