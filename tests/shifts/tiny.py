"""One small image under every severity of a family, computed once per session."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from fakd_jax.shifts.families import FAMILIES

HEIGHT, WIDTH = 24, 32


@functools.cache
def image() -> np.ndarray:
    """Smooth shapes, an edge and colour, in levels of 1/255."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / (HEIGHT, WIDTH)[0]
    waves = [0.5 + 0.35 * np.sin(5 * x + 3 * y * (c + 1) + c) for c in range(3)]
    pixels = np.stack(waves, axis=-1)
    pixels[(y - 0.5) ** 2 + (x - 0.6) ** 2 > 0.2] *= 0.2
    return (np.round(pixels * 255) / 255).astype(np.float32)


def keys(seed: int = 0) -> jax.Array:
    """The same key for each of the six severities: only the amount differs."""
    return jnp.stack([jax.random.key(seed)] * 6)


@functools.cache
def shifted(name: str, seed: int = 0) -> np.ndarray:
    """The image at severities 0 to 5, [6, H, W, 3]."""
    family = FAMILIES[name]
    images = jnp.broadcast_to(image(), (6, HEIGHT, WIDTH, 3))
    return np.asarray(_jitted(name)(keys(seed), images, family.amount(jnp.arange(6.0))))


@functools.cache
def _jitted(name: str) -> Callable[..., jax.Array]:
    return jax.jit(FAMILIES[name].apply)
