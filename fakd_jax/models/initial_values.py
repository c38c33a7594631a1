"""Initial values of layers, drawn as PyTorch draws them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32

# Normal values are drawn in chunks of this length, so that XLA compiles one program for all layers:
# one per shape would make drawing a network's parameters take ten seconds and more.
_CHUNK = 1 << 16

Initial = Callable[[Array, tuple[int, ...]], Array]
"""From a random key and a shape to a layer's initial weights."""


@jax.jit
def _normal_chunk(key: Array) -> Array:
    return jax.random.normal(key, (_CHUNK,), jnp.float32)


def scaled_normal(key: Array, shape: tuple[int, ...], scale: float) -> Float32[Array, " *shape"]:
    """Draws N(0, scale²)."""
    # NumPy and `device_put` compile nothing, where `jnp` would compile a program for every shape.
    xp: Any = jnp if isinstance(key, jax.core.Tracer) else np
    count = math.prod(shape)
    keys = [jax.random.fold_in(key, index) for index in range(-(-count // _CHUNK))]
    values = xp.concatenate([xp.asarray(_normal_chunk(chunk_key)) for chunk_key in keys])
    return jax.device_put(values[:count].reshape(shape) * np.float32(scale))


def scaled_uniform(key: Array, shape: tuple[int, ...], bound: float) -> Float32[Array, " *shape"]:
    """Draws U(-bound, bound)."""
    return jax.random.uniform(key, shape, jnp.float32, -bound, bound)


def kaiming_normal_fan_out(key: Array, shape: tuple[int, ...]) -> Float32[Array, "k k I O"]:
    """PyTorch's `kaiming_normal_(mode='fan_out', nonlinearity='relu')`: N(0, 2/(k²·out)).

    PyTorch ignores groups, so a depthwise kernel `[k, k, 1, C]` has the variance 2/(k²·C).
    """
    return scaled_normal(key, shape, math.sqrt(2.0 / (shape[0] * shape[1] * shape[3])))


def constant(features: int, value: float) -> Float32[Array, " C"]:
    """A constant vector, made on the host, which compiles nothing."""
    return jax.device_put(np.full(features, value, np.float32))
