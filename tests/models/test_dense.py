"""Dense convolutions and their stated gradients against XLA's own in float64."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fakd_jax.models.dense import dense_conv, pointwise_conv


@pytest.fixture(autouse=True, scope="module")
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def plain(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    margin = (kernel.shape[0] - 1) // 2
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((margin, margin),) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


# Stems of few channels, whose taps go together by rows; wide layers, tap by tap; and maps up to
# 4×4, the largest that are convolved as patches.
@pytest.mark.parametrize(
    ("size", "features", "k", "stride"),
    [
        ((9, 8), 3, 7, 2),
        ((8, 11), 3, 3, 2),
        ((5, 6), 17, 3, 1),
        ((6, 5), 16, 3, 2),
        ((1, 1), 5, 3, 1),
        ((1, 1), 2, 3, 2),
        ((2, 2), 20, 3, 1),
        ((2, 2), 20, 3, 2),
        ((4, 3), 5, 3, 2),
        ((4, 4), 20, 3, 1),
        ((4, 4), 20, 3, 2),
        ((5, 7), 20, 3, 2),
    ],
)
def test_dense_values_and_gradients(
    size: tuple[int, int], features: int, k: int, stride: int
) -> None:
    random = np.random.default_rng(0)
    x = jnp.asarray(random.standard_normal((2, *size, features)))
    kernel = jnp.asarray(random.standard_normal((k, k, features, 4)))
    cotangent = jnp.asarray(random.standard_normal(plain(x, kernel, stride).shape))

    @jax.jit
    def both(x: jax.Array, kernel: jax.Array, cotangent: jax.Array) -> list[list[jax.Array]]:
        results = []
        for conv in (dense_conv, plain):
            y, pullback = jax.vjp(lambda x, kernel, conv=conv: conv(x, kernel, stride), x, kernel)
            results.append([y, *pullback(cotangent)])
        return results

    for one, other in zip(*both(x, kernel, cotangent), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


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


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_only_cpu_has_the_loop_over_taps(platform: str) -> None:
    x, kernel = jnp.ones((1, 8, 8, 20)), jnp.ones((3, 3, 20, 2))
    gradient = jax.jit(jax.grad(lambda kernel, x: jnp.sum(dense_conv(x, kernel, 2) ** 2)))
    program = gradient.trace(kernel, x).lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.while" in program) is (platform == "cpu")
