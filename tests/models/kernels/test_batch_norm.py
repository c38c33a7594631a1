"""Batch norm: its moments, its gradient, its running statistics."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fakd_jax.models.kernels import normalise_batch
from fakd_jax.models.layers import BatchNorm

SCALE, BIAS, SHIFT = (np.array(values) for values in ([1.5, -0.5], [0.1, 2.0], [0.3, -4.0]))


def maps(shape: tuple[int, ...] = (3, 4, 5, 2)) -> np.ndarray:
    return 2 * np.random.default_rng(0).standard_normal(shape) + 1


def textbook(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    mean, var = jnp.mean(x, axis=(0, 1, 2)), jnp.var(x, axis=(0, 1, 2))
    return (x - mean) / jnp.sqrt(var + 1e-3) * scale + bias


@pytest.mark.parametrize("width", [2, 5])  # partial sums over whole maps, and over rows
def test_values_and_gradients_are_the_textbooks(width: int) -> None:
    with jax.enable_x64(True):
        x, scale, bias, shift = map(jnp.asarray, (maps((3, 4, width, 2)), SCALE, BIAS, SHIFT))
        weights = jnp.asarray(np.random.default_rng(1).standard_normal(x.shape))

        def loss(x: jax.Array, scale: jax.Array, bias: jax.Array) -> tuple[jax.Array, Any]:
            results = normalise_batch(x, scale, bias, shift, 1e-3)
            return jnp.sum(weights * results[0]), results

        def reference(x: jax.Array, scale: jax.Array, bias: jax.Array) -> tuple[jax.Array, Any]:
            y = textbook(x, scale, bias)
            return jnp.sum(weights * y), y

        @jax.jit
        def both(*inputs: jax.Array) -> list[Any]:
            gradients = [
                jax.grad(each, argnums=(0, 1, 2), has_aux=True) for each in (loss, reference)
            ]
            return [gradient(*inputs) for gradient in gradients]

        (gradients, (y, mean, var)), (expected, expected_y) = both(x, scale, bias)
        np.testing.assert_allclose(y, expected_y, rtol=1e-10)
        np.testing.assert_allclose(mean, np.mean(x, axis=(0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(var, np.var(x, axis=(0, 1, 2)), rtol=1e-12)
        for one, other in zip(gradients, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)


def test_a_large_mean_does_not_cancel_once_the_running_mean_is_near() -> None:
    x = jnp.asarray(1000 + np.random.default_rng(0).standard_normal((8, 6, 6, 2)), jnp.float32)
    ones, zeros = jnp.ones(2), jnp.zeros(2)
    truth = np.var(np.asarray(x, np.float64), axis=(0, 1, 2))
    _, _, near = normalise_batch(x, ones, zeros, jnp.full(2, 999.0), 1e-5)
    np.testing.assert_allclose(near, truth, rtol=1e-5)
    _, _, far = normalise_batch(x, ones, zeros, zeros, 1e-5)  # what E[x²] - E[x]² would give
    assert np.max(np.abs(far / truth - 1)) > 1e-3


def test_constant_maps_give_the_bias() -> None:
    x = jnp.full((2, 3, 3, 2), 7.3)
    y, _, var = normalise_batch(x, jnp.ones(2), jnp.asarray(BIAS, jnp.float32), jnp.zeros(2), 1e-5)
    assert np.all(np.asarray(var) >= 0)
    np.testing.assert_allclose(y, np.broadcast_to(BIAS, y.shape), atol=1e-2)


def test_running_statistics_follow_the_biased_moments() -> None:
    norm = BatchNorm(2, momentum=0.9, epsilon=1e-5)
    x = maps()
    norm(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(norm.mean[...], 0.1 * x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(norm.var[...], 0.9 + 0.1 * x.var((0, 1, 2)), rtol=1e-5)


def test_evaluation_uses_and_keeps_the_running_statistics() -> None:
    norm = BatchNorm(2, momentum=0.9, epsilon=1e-3)
    norm.mean[...], norm.var[...] = jnp.array([1.0, 2.0]), jnp.array([4.0, 9.0])
    norm.scale[...], norm.bias[...] = jnp.asarray(SCALE, jnp.float32), jnp.asarray(BIAS)
    norm.eval()
    x = maps()
    y = norm(jnp.asarray(x, jnp.float32))
    expected = (x - [1, 2]) / np.sqrt(np.array([4, 9]) + 1e-3) * SCALE + BIAS
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(norm.mean[...], [1, 2])


def test_bfloat16_maps_have_float32_statistics() -> None:
    norm = BatchNorm(2, momentum=0.0, epsilon=1e-5, dtype=jnp.bfloat16)
    x = jnp.asarray(maps((4, 16, 16, 2)), jnp.bfloat16)
    y = norm(x)
    assert y.dtype == jnp.bfloat16
    assert norm.mean[...].dtype == norm.var[...].dtype == jnp.float32
    exact = np.asarray(x, np.float64)
    np.testing.assert_allclose(norm.mean[...], exact.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(norm.var[...], exact.var((0, 1, 2)), rtol=1e-5)
