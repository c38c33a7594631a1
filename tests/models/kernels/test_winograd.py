"""Winograd's convolution against XLA's own: the same function, and as exact."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fakd_jax.models.kernels.dense import plain_conv
from fakd_jax.models.kernels.winograd import winograd_conv

plain = functools.partial(plain_conv, stride=1)


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 5)),
    features=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
@example(shape=(2, 8, 8, 3), features=4, seed=0)
@example(shape=(2, 7, 7, 3), features=4, seed=0)
@example(shape=(1, 1, 1, 1), features=1, seed=0)
@settings(max_examples=3, derandomize=True)
def test_is_a_convolution(shape: tuple[int, ...], features: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    with jax.enable_x64(True):
        x = jnp.asarray(random.standard_normal(shape))
        kernel = jnp.asarray(random.standard_normal((3, 3, shape[3], features)))
        actual, expected = jax.jit(winograd_conv)(x, kernel), plain(x, kernel)
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-11)


def test_float32_errors_are_those_of_a_plain_convolution() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((2, 14, 14, 256))
    kernel = random.standard_normal((3, 3, 256, 128))
    with jax.enable_x64(True):
        truth = np.asarray(plain(jnp.asarray(x), jnp.asarray(kernel)))
    narrow = [jnp.asarray(array, jnp.float32) for array in (x, kernel)]
    scale = np.abs(truth).max()
    errors = [
        np.abs(np.asarray(conv(*narrow), np.float64) - truth).max() / scale
        for conv in (winograd_conv, plain)
    ]
    assert errors[0] < 2e-6
    assert errors[0] < 5 * errors[1]
