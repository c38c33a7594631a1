"""Dense convolutions and their stated gradients against XLA's own in float64."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fakd_jax.models.kernels import narrow
from fakd_jax.models.kernels.dense import dense_conv, plain_conv, pointwise_conv


@pytest.fixture(autouse=True, scope="module")
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def plain(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    return plain_conv(x, kernel, stride=stride)


@given(
    batch=st.integers(1, 3),
    height=st.integers(1, 12),
    width=st.sampled_from([1, 2, 7, 8, 13]),
    channels=st.sampled_from([1, 3, 17, 128]),
    features=st.sampled_from([1, 4, 16, 130]),
    k=st.sampled_from([1, 3, 5, 7]),
    stride=st.sampled_from([1, 2, 3]),
    seed=st.integers(0, 2**32 - 1),
)
# Each form on CPU: plain, few channels, small maps, many channels.
@example(batch=2, height=9, width=8, channels=3, features=16, k=7, stride=2, seed=0)
@example(batch=2, height=8, width=13, channels=3, features=4, k=3, stride=2, seed=0)
@example(batch=2, height=2, width=2, channels=17, features=16, k=3, stride=2, seed=0)
@example(batch=3, height=7, width=8, channels=128, features=130, k=3, stride=1, seed=0)
@settings(max_examples=4, derandomize=True)
def test_values_and_gradients_are_those_of_a_plain_convolution(
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
    x = jnp.asarray(random.standard_normal((batch, height, width, channels)))
    kernel = jnp.asarray(random.standard_normal((k, k, channels, features)))
    shape = jax.eval_shape(lambda x, kernel: plain(x, kernel, stride), x, kernel).shape
    cotangent = jnp.asarray(random.standard_normal(shape))

    @jax.jit
    def both(x: jax.Array, kernel: jax.Array, cotangent: jax.Array) -> list[list[jax.Array]]:
        results = []
        for conv in (dense_conv, plain):
            y, pullback = jax.vjp(lambda x, kernel, conv=conv: conv(x, kernel, stride), x, kernel)
            results.append([y, *pullback(cotangent)])
        return results

    for one, other in zip(*both(x, kernel, cotangent), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_pointwise_values_and_gradients() -> None:
    random = np.random.default_rng(0)
    x = jnp.asarray(random.standard_normal((2, 3, 5, 4)))
    kernel = jnp.asarray(random.standard_normal((4, 6)))
    cotangent = jnp.asarray(random.standard_normal((2, 3, 5, 6)))
    expected, expected_pullback = jax.vjp(
        lambda x, kernel: plain(x, kernel[None, None], 1), x, kernel
    )
    actual, pullback = jax.vjp(pointwise_conv, x, kernel)
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)
    for one, other in zip(pullback(cotangent), expected_pullback(cotangent), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("shape", "kernel_shape"),
    [
        ((2, 2, 2, 20), (3, 3, 20, 2)),
        ((1, 8, 8, 3), (3, 3, 3, 4)),
        ((2, 8, 8, 128), (3, 3, 128, 128)),
    ],
    ids=["patches", "scalars", "tiles"],
)
@pytest.mark.parametrize(("platform", "plainly"), [("cpu", False), ("cuda", True)])
def test_other_platforms_keep_the_plain_convolution(
    shape: tuple[int, ...], kernel_shape: tuple[int, ...], platform: str, plainly: bool
) -> None:
    traced = jax.jit(dense_conv).trace(jnp.ones(shape), jnp.ones(kernel_shape))
    program = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.convolution" in program) is plainly


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_formats_are_not_tiled(monkeypatch: pytest.MonkeyPatch, dtype: jnp.dtype) -> None:
    monkeypatch.setattr(narrow, "_IS_FAST", False)
    x, kernel = (jnp.ones(shape, dtype) for shape in ((2, 8, 8, 128), (3, 3, 128, 128)))
    program = jax.jit(dense_conv).trace(x, kernel).lower(lowering_platforms=("cpu",)).as_text()
    assert "stablehlo.convolution" in program
