"""One small image under every severity of a family, computed once per session."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from fakd_jax.shifts.families import FAMILIES

HEIGHT, WIDTH = 24, 36


@functools.cache
def image(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Smooth shapes, an edge and colour, in levels of 1/255."""
    y, x = np.mgrid[:height, :width] / height
    waves = [0.5 + 0.35 * np.sin(5 * x + 3 * y * (c + 1) + c) for c in range(3)]
    pixels = np.stack(waves, axis=-1)
    pixels[(y - 0.5) ** 2 + (x - 0.6) ** 2 > 0.2] *= 0.2
    return (np.round(pixels * 255) / 255).astype(np.float32)


def keys(*seeds: int) -> jax.Array:
    """One key per image, by its seed."""
    return jnp.stack([jax.random.key(seed) for seed in seeds])


@functools.cache
def shifted(name: str, seed: int = 0) -> np.ndarray:
    """The image at severities 0 to 5, [6, H, W, 3]."""
    family = FAMILIES[name]
    amounts = np.array([family.neutral, *family.severities], np.float32)
    # The same key for each severity: only the amount differs.
    return np.asarray(jitted(name)(keys(*[seed] * 6), np.stack([image()] * 6), amounts))


@functools.cache
def jitted(name: str) -> Callable[..., jax.Array]:
    """The family, compiled once per shape."""
    return jax.jit(FAMILIES[name].apply)
