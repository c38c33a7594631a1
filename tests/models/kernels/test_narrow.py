"""The bfloat16 forms on CPU, on whole numbers small enough that no sum is rounded."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fakd_jax.models.kernels import narrow
from fakd_jax.models.kernels.dense import dense_conv, plain_conv, pointwise_conv


def whole(random: np.random.Generator, *shape: int) -> jax.Array:
    return jnp.asarray(random.integers(-1, 2, shape), jnp.float32)


def narrowed(*arrays: jax.Array) -> list[jax.Array]:
    return [array.astype(jnp.bfloat16) for array in arrays]


def assert_same(actual: jax.Array, expected: jax.Array) -> None:
    assert actual.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(actual, np.float32), expected)


@given(
    batch=st.integers(1, 4),
    height=st.integers(1, 7),
    width=st.sampled_from([1, 2, 7, 8]),
    channels=st.sampled_from([1, 16, 24]),
    features=st.sampled_from([1, 16, 24]),
    k=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2, 3]),
    seed=st.integers(0, 2**32 - 1),
)
# Fewer channels in than out, and the other way round.
@example(batch=4, height=7, width=8, channels=16, features=24, k=3, stride=2, seed=0)
@example(batch=4, height=7, width=8, channels=24, features=16, k=3, stride=1, seed=0)
@settings(max_examples=4, derandomize=True)
def test_gradients_are_those_of_a_plain_convolution(
    batch: int,
    height: int,
    width: int,
    channels: int,
    features: int,
    k: int,
    stride: int,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    x, kernel = (
        whole(random, batch, height, width, channels),
        whole(random, k, k, channels, features),
    )
    y, pullback = jax.vjp(partial(plain_conv, stride=stride), x, kernel)
    dy = whole(random, *y.shape)
    gradients = jax.jit(partial(narrow.narrow_conv_gradients, stride=stride))
    for actual, expected in zip(gradients(*narrowed(x, kernel, dy)), pullback(dy), strict=True):
        assert_same(actual, expected)


@pytest.mark.parametrize(
    ("shape", "features"),
    [((3, 4, 5, 7), 6), ((32, 8, 9, 1), 3), ((2, 50, 47, 2), 2)],
    ids=["one tile", "two tiles", "images larger than a tile"],
)
def test_pointwise_gradients_are_those_of_a_product(shape: tuple[int, ...], features: int) -> None:
    random = np.random.default_rng(0)
    x, kernel = whole(random, *shape), whole(random, shape[-1], features)
    y, pullback = jax.vjp(jnp.dot, x, kernel)
    dy = whole(random, *y.shape)
    gradients = jax.jit(narrow.narrow_pointwise_gradients)
    for actual, expected in zip(gradients(*narrowed(x, kernel, dy)), pullback(dy), strict=True):
        assert_same(actual, expected)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(
    ("dtype", "channels"), [(jnp.bfloat16, 128), (jnp.bfloat16, 3), (jnp.float32, 64)]
)
@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_only_wide_maps_in_bfloat16_on_cpu_become_products(
    monkeypatch: pytest.MonkeyPatch, fast: bool, dtype: jnp.dtype, channels: int, platform: str
) -> None:
    monkeypatch.setattr(narrow, "_IS_FAST", fast)

    def both(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, pullback = jax.vjp(partial(dense_conv, stride=2), x, kernel)
        return pullback(y)

    x, kernel = jnp.ones((2, 9, 9, channels), dtype), jnp.ones((3, 3, channels, 64), dtype)
    program = jax.jit(both).trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
    products = fast and dtype == jnp.bfloat16 and channels == 128 and platform == "cpu"
    assert ("stablehlo.convolution" not in program) is products


@pytest.mark.parametrize("conv", [dense_conv, pointwise_conv])
def test_networks_use_them(monkeypatch: pytest.MonkeyPatch, conv) -> None:
    """Values and gradients in bfloat16 are the float32 ones, rounded."""
    monkeypatch.setattr(narrow, "_IS_FAST", True)
    random = np.random.default_rng(0)
    x = whole(random, 2, 5, 6, 16)
    kernel = whole(random, *((3, 3) if conv is dense_conv else ()), 16, 20)
    dy = whole(random, 2, 5, 6, 20)
    y, pullback = jax.vjp(conv, x, kernel)
    narrow_y, narrow_pullback = jax.vjp(conv, *narrowed(x, kernel))
    assert_same(narrow_y, y)
    for actual, expected in zip(narrow_pullback(*narrowed(dy)), pullback(dy), strict=True):
        assert_same(actual, expected)
