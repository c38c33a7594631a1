"""Depthwise convolution in both forms, with its gradients, against XLA's own in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fakd_jax.models.kernels.dense import plain_conv
from fakd_jax.models.kernels.depthwise import depthwise_conv

Conv = Callable[[jax.Array, jax.Array], jax.Array]


@pytest.fixture(autouse=True, scope="module")
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def reference(stride: int) -> Conv:
    return lambda x, kernel: plain_conv(x, kernel, stride=stride, groups=x.shape[-1])


def assert_same_with_gradients(
    ours: Conv, theirs: Conv, x: np.ndarray, kernel: np.ndarray, seed: int
) -> None:
    shape = jax.eval_shape(theirs, x, kernel).shape
    cotangent = np.random.default_rng(seed).standard_normal(shape)

    @jax.jit
    def both(x: jax.Array, kernel: jax.Array, cotangent: jax.Array) -> list[list[jax.Array]]:
        results = []
        for conv in (ours, theirs):
            y, pullback = jax.vjp(conv, x, kernel)
            results.append([y, *pullback(cotangent)])
        return results

    for one, other in zip(*both(x, kernel, cotangent), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


@given(
    batch=st.integers(1, 3),
    height=st.integers(1, 12),
    width=st.sampled_from([1, 2, 7, 8, 20]),
    features=st.integers(1, 5),
    k=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2, 3]),
    seed=st.integers(0, 2**32 - 1),
)
@example(batch=2, height=7, width=7, features=3, k=5, stride=2, seed=0)
@example(batch=2, height=7, width=20, features=3, k=3, stride=2, seed=0)
@settings(max_examples=3, derandomize=True)
def test_values_and_gradients_are_those_of_a_grouped_convolution(
    batch: int, height: int, width: int, features: int, k: int, stride: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    x = random.standard_normal((batch, height, width, features))
    kernel = random.standard_normal((k, k, 1, features))
    assert_same_with_gradients(
        lambda x, kernel: depthwise_conv(x, kernel, stride), reference(stride), x, kernel, seed
    )


@pytest.mark.parametrize(("platform", "grouped"), [("cpu", False), ("cuda", True)])
def test_each_platform_gets_its_form(platform: str, grouped: bool) -> None:
    x, kernel = jnp.ones((1, 8, 8, 2)), jnp.ones((3, 3, 1, 2))

    def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jnp.sum(depthwise_conv(x, kernel, 2) ** 2)

    traced = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).trace(x, kernel)
    program = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.convolution" in program) is grouped


def test_bfloat16_is_summed_in_float32() -> None:
    random = np.random.default_rng(0)
    x = jnp.asarray(random.standard_normal((2, 9, 9, 4)), jnp.bfloat16)
    kernel = jnp.asarray(random.standard_normal((5, 5, 1, 4)), jnp.bfloat16)
    wide = [value.astype(jnp.float32) for value in (x, kernel)]
    cotangent = jnp.ones(x.shape, jnp.bfloat16)

    @jax.jit
    def run(x: jax.Array, kernel: jax.Array, cotangent: jax.Array) -> list[jax.Array]:
        y, pullback = jax.vjp(lambda x, kernel: depthwise_conv(x, kernel, 1), x, kernel)
        return [y, *pullback(cotangent)]

    results = run(x, kernel, cotangent)
    truths = run(*wide, cotangent.astype(jnp.float32))
    for result, truth in zip(results, truths, strict=True):
        assert result.dtype == jnp.bfloat16
        np.testing.assert_array_equal(result, truth.astype(jnp.bfloat16))
