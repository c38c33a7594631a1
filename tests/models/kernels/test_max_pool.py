"""Max pooling and its gradient against XLA's own, which is PyTorch's but for ties."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

from fakd_jax.models.kernels.max_pool import max_pool


def plain(x: jax.Array) -> jax.Array:
    padding = ((0, 0), (1, 1), (1, 1), (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding)


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12), st.integers(1, 4)),
    seed=st.integers(0, 2**32 - 1),
)
@example(shape=(2, 8, 7, 3), seed=0)
@settings(max_examples=3, derandomize=True)
def test_values_and_gradients_are_those_of_a_reduce_window(
    shape: tuple[int, ...], seed: int
) -> None:
    random = np.random.default_rng(seed)
    with jax.enable_x64(True):
        x = jnp.asarray(random.standard_normal(shape))
        expected, expected_pullback = jax.vjp(plain, x)
        actual, pullback = jax.vjp(jax.jit(max_pool), x)
        cotangent = jnp.asarray(random.standard_normal(expected.shape))
        np.testing.assert_array_equal(actual, expected)
        (gradient,), (wanted,) = pullback(cotangent), expected_pullback(cotangent)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-12, atol=1e-12)


def test_pads_with_minus_infinity() -> None:
    x = -1 - jnp.arange(16.0).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(max_pool(x)[0, :, :, 0], [[-1, -2], [-5, -6]])


def test_the_first_of_equal_maxima_gets_the_gradient() -> None:
    """As in PyTorch: of the four windows over ones, rows and columns 0, 0, 1, 1 come first."""
    gradient = jax.grad(lambda x: max_pool(x).sum())(jnp.ones((1, 4, 4, 1)))
    expected = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(gradient[0, :, :, 0], expected)


def test_nan_stays_nan() -> None:
    assert jnp.isnan(max_pool(jnp.ones((1, 4, 4, 1)).at[0, 3, 3, 0].set(jnp.nan)))[0, 1, 1, 0]


@pytest.mark.parametrize(("platform", "windows"), [("cpu", False), ("cuda", True)])
def test_each_platform_gets_its_form(platform: str, windows: bool) -> None:
    traced = jax.jit(jax.grad(lambda x: max_pool(x).sum())).trace(jnp.ones((1, 8, 8, 2)))
    program = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("select_and_scatter" in program) is windows
