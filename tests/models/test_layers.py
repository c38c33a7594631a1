"""Layers: PyTorch's initial values, pooling, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import Array, lax

from fakd_jax.models.initial_values import scaled_normal
from fakd_jax.models.layers import (
    Conv,
    Depthwise,
    Linear,
    Pointwise,
    add_relu,
    check_images,
    global_average_pool,
)


def rngs() -> nnx.Rngs:
    return nnx.Rngs(0)


@pytest.mark.parametrize(
    ("layer", "fan_out"),
    [
        (lambda: Conv(16, 64, 3, rngs=rngs()), 9 * 64),
        (lambda: Pointwise(64, 128, rngs=rngs()), 128),
        (lambda: Depthwise(960, 5, rngs=rngs()), 25 * 960),
    ],
)
def test_convolutions_start_as_kaiming_normal_fan_out(layer: object, fan_out: int) -> None:
    kernel = np.asarray(layer().kernel[...])
    assert kernel.dtype == np.float32
    assert np.std(kernel) == pytest.approx(math.sqrt(2 / fan_out), rel=0.03)
    assert abs(np.mean(kernel)) < 5 * math.sqrt(2 / fan_out / kernel.size)


def test_linear_starts_as_pytorchs_default_or_normal() -> None:
    default = Linear(400, 50, rngs=rngs())
    for values in (default.kernel[...], default.bias[...]):
        assert 0.9 / 20 < np.max(np.abs(values)) <= 1 / 20
    assert np.std(default.kernel[...]) == pytest.approx(1 / 20 / math.sqrt(3), rel=0.03)
    normal = Linear(400, 50, initial=partial(scaled_normal, scale=0.01), rngs=rngs())
    assert np.std(normal.kernel[...]) == pytest.approx(0.01, rel=0.03)
    assert not np.any(normal.bias[...])


def test_normal_values_are_the_same_under_a_transformation() -> None:
    shape = (300, 300)  # more than one chunk
    eager = scaled_normal(jax.random.key(1), shape, 0.5)
    traced = jax.jit(lambda key: scaled_normal(key, shape, 0.5))(jax.random.key(1))
    np.testing.assert_allclose(eager, traced, rtol=1e-6)
    assert len(np.unique(eager)) > 0.99 * eager.size  # chunks do not repeat each other


def test_pointwise_strides_and_bias() -> None:
    layer = Pointwise(3, 2, stride=2, use_bias=True, rngs=rngs())
    layer.bias[...] = jnp.array([1.0, -1.0])
    x = np.random.default_rng(0).standard_normal((2, 5, 4, 3)).astype(np.float32)
    expected = x[:, ::2, ::2] @ np.asarray(layer.kernel[0, 0]) + [1, -1]
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-5)


def test_add_relu_and_its_gradient_are_those_of_a_relu() -> None:
    random = np.random.default_rng(0)
    x, y = (jnp.asarray(random.standard_normal((2, 3, 3, 4)), jnp.float32) for _ in range(2))
    y = y.at[0, 0, 0].set(-x[0, 0, 0])  # sums of exactly 0
    expected, expected_pullback = jax.vjp(lambda x, y: nnx.relu(x + y), x, y)
    actual, pullback = jax.vjp(add_relu, x, y)
    np.testing.assert_array_equal(actual, expected)
    cotangent = jnp.asarray(random.standard_normal(x.shape), jnp.float32)
    for one, other in zip(pullback(cotangent), expected_pullback(cotangent), strict=True):
        np.testing.assert_array_equal(one, other)
    assert jnp.isnan(add_relu(jnp.float32(np.nan), jnp.float32(1)))


def test_residual_blocks_do_not_add_up_their_predecessors_again() -> None:
    """What XLA counts of bytes read and written, over six blocks with either end."""
    kernel = jnp.eye(64)

    def traffic(end: Callable[[Array, Array], Array]) -> float:
        def blocks(x: Array) -> Array:
            for _ in range(6):
                x = end(jnp.dot(x, kernel), x)
            return x

        compiled = jax.jit(blocks).lower(jnp.ones((256, 64))).compile()
        return compiled.cost_analysis()["bytes accessed"]

    assert traffic(add_relu) < 0.8 * traffic(lambda x, y: lax.max(x + y, jnp.zeros_like(x)))


def test_average_pool_sums_bfloat16_in_float32() -> None:
    x = jnp.full((1, 64, 64, 1), 1.0078125, jnp.bfloat16)  # summed in bfloat16 it would stall
    mean = global_average_pool(x)
    assert mean.shape == (1, 1, 1, 1)
    assert mean.dtype == jnp.bfloat16
    assert float(mean[0, 0, 0, 0]) == 1.0078125


@pytest.mark.parametrize("shape", [(4, 4, 3), (1, 4, 4, 1), (1, 3, 4, 4)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[B, H, W, 3\]"):
        check_images(jnp.zeros(shape))


def test_pixels_that_nobody_normalised_are_refused() -> None:
    with pytest.raises(TypeError, match="normalised"):
        check_images(jnp.zeros((1, 4, 4, 3), jnp.uint8))
