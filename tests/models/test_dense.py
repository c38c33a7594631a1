"""Dense convolutions by patches and by taps against XLA's own, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fakd_jax.models.dense import dense_conv, pointwise_conv


def reference(x, kernel, stride):
    margin = (kernel.shape[0] - 1) // 2
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), ((margin, margin),) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("size", "kernel_size", "channels"),
    [
        ((1, 1), 3, 5),  # smaller than the kernel
        ((2, 2), 3, 20),
        ((4, 3), 3, 5),
        ((4, 4), 3, 20),  # the largest that goes by patches
        ((5, 7), 3, 20),
        ((9, 8), 7, 3),  # ResNet's stem
    ],
)
def test_values_and_gradients_are_those_of_the_plain_convolution(
    size, kernel_size, channels, stride
):
    generator = np.random.default_rng(0)
    with jax.enable_x64(True):
        x = jnp.asarray(generator.normal(size=(2, *size, channels)))
        kernel = jnp.asarray(generator.normal(size=(kernel_size, kernel_size, channels, 4)))
        expected, pull_back = jax.vjp(lambda x, k: reference(x, k, stride), x, kernel)
        got, pull_ours_back = jax.vjp(lambda x, k: dense_conv(x, k, stride), x, kernel)
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
        cotangent = jnp.asarray(generator.normal(size=expected.shape))
        for ours, theirs in zip(pull_ours_back(cotangent), pull_back(cotangent), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)


def test_pointwise_is_a_one_by_one_convolution():
    generator = np.random.default_rng(1)
    with jax.enable_x64(True):
        x = jnp.asarray(generator.normal(size=(2, 3, 5, 4)))
        kernel = jnp.asarray(generator.normal(size=(4, 6)))
        expected, pull_back = jax.vjp(lambda x, k: reference(x, k[None, None], 1), x, kernel)
        got, pull_ours_back = jax.vjp(pointwise_conv, x, kernel)
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
        for ours, theirs in zip(pull_ours_back(expected), pull_back(expected), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)
