"""Random numbers of each image from its own key, whatever batch the image is in."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Key, Shaped


def uniforms(keys: Key[Array, " B"], count: int) -> Float32[Array, "B count"]:
    """Independent draws from U(0, 1), `count` per image."""
    return jax.vmap(lambda key: jax.random.uniform(key, (count,), jnp.float32))(keys)


def signs(keys: Key[Array, " B"]) -> Float32[Array, " B"]:
    """1 or -1 with equal probability: the direction of a shift that has two."""
    return jnp.where(uniforms(keys, 1)[:, 0] < 0.5, 1.0, -1.0)


def per_image(values: Shaped[Array, " B"]) -> Shaped[Array, "B 1 1 1"]:
    """Shapes one value per image so that it broadcasts over a batch of images."""
    return values[:, None, None, None]
