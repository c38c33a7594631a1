"""The bfloat16 forms on CPU, on whole numbers whose sums here are exact (up to 256)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fakd_jax.models.kernels import narrow
from fakd_jax.models.kernels.dense import dense_conv, plain_conv, pointwise_conv


def whole(random: np.random.Generator, *shape: int) -> jax.Array:
    return jnp.asarray(random.integers(-1, 2, shape), jnp.float32)


def narrowed(*arrays: jax.Array) -> list[jax.Array]:
    return [array.astype(jnp.bfloat16) for array in arrays]


def assert_same(actual: jax.Array, expected: jax.Array) -> None:
    assert actual.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(actual, np.float32), expected)


@pytest.mark.parametrize(
    ("shape", "features", "k", "stride"),
    [
        ((4, 7, 8, 16), 24, 3, 2),
        ((4, 7, 8, 24), 16, 3, 1),
        ((3, 6, 1, 16), 1, 5, 1),
        ((2, 8, 7, 1), 16, 5, 3),
        ((2, 7, 8, 16), 16, 1, 3),
        ((1, 1, 1, 16), 16, 5, 2),
    ],
    ids=["more out", "more in", "a column", "one channel", "gaps", "one position"],
)
def test_gradients_are_those_of_a_plain_convolution(
    shape: tuple[int, ...], features: int, k: int, stride: int
) -> None:
    random = np.random.default_rng(0)
    x, kernel = whole(random, *shape), whole(random, k, k, shape[-1], features)
    y, pullback = jax.vjp(partial(plain_conv, stride=stride), x, kernel)
    dy = whole(random, *y.shape)
    gradients = jax.jit(partial(narrow.narrow_conv_gradients, stride=stride))
    for actual, expected in zip(gradients(*narrowed(x, kernel, dy)), pullback(dy), strict=True):
        assert_same(actual, expected)


@pytest.mark.parametrize(
    ("shape", "features"),
    [((3, 4, 5, 7), 6), ((2, 50, 47, 2), 3), ((1, 53, 53, 1), 2), ((0, 4, 5, 7), 6)],
    ids=["one tile", "tiles that cut images", "no tile that fits", "no image"],
)
def test_pointwise_gradients_are_those_of_a_product(shape: tuple[int, ...], features: int) -> None:
    random = np.random.default_rng(0)
    x, kernel = whole(random, *shape), whole(random, shape[-1], features)
    y, pullback = jax.vjp(jnp.dot, x, kernel)
    dy = whole(random, *y.shape)
    gradients = jax.jit(narrow.narrow_pointwise_gradients)
    for actual, expected in zip(gradients(*narrowed(x, kernel, dy)), pullback(dy), strict=True):
        assert_same(actual, expected)


def gradients_of(conv: Callable[..., jax.Array], platform: str, *operands: jax.Array) -> str:
    """The program of a convolution and its gradients."""

    def both(*operands: jax.Array) -> tuple[jax.Array, ...]:
        y, pullback = jax.vjp(conv, *operands)
        return pullback(y)

    return jax.jit(both).trace(*operands).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("conv", [dense_conv, pointwise_conv])
@pytest.mark.parametrize(
    ("fast", "dtype", "channels", "platform", "is_narrow"),
    [
        (True, jnp.bfloat16, 128, "cpu", True),
        (False, jnp.bfloat16, 128, "cpu", False),
        (True, jnp.float32, 128, "cpu", False),
        (True, jnp.bfloat16, 3, "cpu", False),
        (True, jnp.bfloat16, 128, "cuda", False),
    ],
    ids=["narrow", "old JAX", "float32", "few channels", "GPU"],
)
def test_only_wide_maps_in_bfloat16_on_cpu_become_constrained_products(
    monkeypatch: pytest.MonkeyPatch,
    conv: Callable[..., jax.Array],
    fast: bool,
    dtype: jnp.dtype,
    channels: int,
    platform: str,
    is_narrow: bool,
) -> None:
    monkeypatch.setattr(narrow, "_IS_FAST", fast)
    size = () if conv is pointwise_conv else (3, 3)
    x, kernel = jnp.ones((2, 9, 9, channels), dtype), jnp.ones((*size, channels, 64), dtype)
    program = gradients_of(conv, platform, x, kernel)
    assert ("@LayoutConstraint" in program) is is_narrow
    if conv is dense_conv:
        assert ("stablehlo.convolution" not in program) is is_narrow


@pytest.mark.parametrize("conv", [dense_conv, pointwise_conv])
def test_values_gradients_and_second_derivatives_are_exact(
    monkeypatch: pytest.MonkeyPatch, conv: Callable[..., jax.Array]
) -> None:
    monkeypatch.setattr(narrow, "_IS_FAST", True)
    random = np.random.default_rng(0)
    x = whole(random, 2, 5, 6, 16)
    kernel = whole(random, *((3, 3) if conv is dense_conv else ()), 16, 20)
    dy, direction = whole(random, 2, 5, 6, 20), whole(random, 2, 5, 6, 16)

    def derivatives(*operands: jax.Array) -> tuple[jax.Array, ...]:
        x, kernel, dy, direction = operands
        y, pullback = jax.vjp(conv, x, kernel)
        dkernel = pullback(dy)[1]
        _, second = jax.vjp(lambda dy: jax.vjp(conv, x, kernel)[1](dy)[0], dy)
        return y, dkernel, *second(direction)

    exact = derivatives(x, kernel, dy, direction)
    actual = derivatives(*narrowed(x, kernel, dy, direction))
    for one, other in zip(actual, exact, strict=True):
        assert_same(one, other)
