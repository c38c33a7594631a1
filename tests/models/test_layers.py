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
    LayerNorm,
    Linear,
    Patches,
    Pointwise,
    add_relu,
    check_images,
    drop,
    global_average_pool,
    stochastic_depth,
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


@pytest.mark.parametrize("size", [(6, 8), (7, 6)])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_tensorflows_padding_is_xlas_same(size: tuple[int, int], kernel_size: int) -> None:
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, *size, 4)), jnp.float32)
    options = {"stride": 2, "padding": "tensorflow", "rngs": rngs()}
    for layer, groups in (
        (Conv(4, 6, kernel_size, **options), 1),
        (Depthwise(4, kernel_size, **options), 4),
    ):
        expected = lax.conv_general_dilated(
            x,
            layer.kernel[...],
            (2, 2),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )
        np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_a_padding_that_is_unknown_or_not_written_is_refused() -> None:
    with pytest.raises(ValueError, match="symmetric, tensorflow"):
        Conv(3, 4, 3, padding="same", rngs=rngs())
    with pytest.raises(ValueError, match="strides 1 and 2"):
        Depthwise(4, 3, stride=3, padding="tensorflow", rngs=rngs())


def test_patches_are_a_convolution_without_overlap() -> None:
    layer = Patches(3, 5, 2, rngs=rngs())
    layer.bias[...] = jnp.arange(5.0)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 5, 6, 3)), jnp.float32)
    expected = lax.conv_general_dilated(
        x, layer.kernel[...], (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(layer(x), expected + np.arange(5.0), rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="1 × 6 have no patch of 2 × 2"):
        layer(x[:, :1])


def test_layer_norm_is_over_the_channels() -> None:
    layer = LayerNorm(8, epsilon=0.5)
    layer.scale[...], layer.bias[...] = jnp.arange(8.0), jnp.ones(8)
    x = np.random.default_rng(0).normal(100, 1, (2, 3, 8)).astype(np.float32)
    wide = x.astype(np.float64)
    centred = wide - wide.mean(-1, keepdims=True)
    expected = centred / np.sqrt(wide.var(-1, keepdims=True) + 0.5) * np.arange(8) + 1
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=1e-4, atol=1e-4)


def test_stochastic_depth_drops_whole_images_in_training_alone() -> None:
    layer, x = stochastic_depth(0.25), jnp.ones((400, 2, 2, 3))
    with pytest.raises(ValueError, match="dropout_key"):
        drop(layer, x, None)
    kept = np.asarray(drop(layer, x, nnx.Rngs(dropout=0)))
    assert (kept == kept[:, :1, :1, :1]).all()
    assert set(np.unique(kept)) == {0.0, np.float32(1 / 0.75)}
    assert np.mean(kept == 0) == pytest.approx(0.25, abs=0.07)
    layer.deterministic = True
    np.testing.assert_array_equal(drop(layer, x, None), x)


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
