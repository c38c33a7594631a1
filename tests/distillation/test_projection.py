"""The projection and the upsampling: PyTorch's arithmetic, and the two orders being one."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from fakd_jax.distillation.projection import Projection, interpolation_matrix, upsample_bilinear

side = st.integers(1, 9)


@given(old=side, new=side)
def test_every_new_pixel_is_a_mean_of_two_neighbours(old: int, new: int) -> None:
    matrix = interpolation_matrix(old, new)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-12)
    assert (matrix >= 0).all()
    for row in matrix:
        used = np.flatnonzero(row)
        assert len(used) <= 2
        assert used.max() - used.min() <= 1


@given(old=side, new=side)
def test_interpolation_is_symmetric_about_the_centre(old: int, new: int) -> None:
    matrix = interpolation_matrix(old, new)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-12)


def test_doubling_by_hand() -> None:
    line = jnp.array([0.0, 4.0, 8.0]).reshape(1, 1, 3, 1)
    resized = upsample_bilinear(line, (1, 6)).ravel()
    np.testing.assert_array_equal(resized, [0, 1, 3, 5, 7, 8])


def test_the_same_size_changes_no_bit() -> None:
    image = jax.random.normal(jax.random.key(0), (2, 5, 4, 3))
    np.testing.assert_array_equal(upsample_bilinear(image, (5, 4)), image)


def test_the_dtype_is_kept() -> None:
    image = jnp.ones((1, 2, 2, 3), jnp.bfloat16)
    resized = upsample_bilinear(image, (5, 3))
    assert resized.dtype == jnp.bfloat16
    assert (resized == 1).all()


@pytest.mark.parametrize(("old", "new"), [(0, 3), (3, 0), (3, -1)])
def test_empty_sizes_are_refused(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="cannot resize"):
        interpolation_matrix(old, new)


@given(h=side, w=side, height=side, width=side, c=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=3)
def test_projecting_first_is_the_same_function_as_upsampling_first(
    h: int, w: int, height: int, width: int, c: int, seed: int
) -> None:
    """In float64, bias included, values and all gradients (both maps are linear)."""
    random = np.random.default_rng(seed)
    size = (height, width)

    def ours(features: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        projection = Projection(c, 3, dtype=jnp.float64, rngs=nnx.Rngs(0))
        projection.kernel.set_value(kernel.reshape(1, 1, c, 3))
        projection.bias.set_value(bias)
        return projection(features, size)

    def papers(features: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        return upsample_bilinear(features, size) @ kernel + bias

    @jax.jit
    def both(cotangent: jax.Array, *inputs: jax.Array) -> list[tuple[jax.Array, ...]]:
        pulls = [jax.vjp(order, *inputs) for order in (ours, papers)]
        return [(value, *pull(cotangent)) for value, pull in pulls]

    with jax.enable_x64(True):
        shapes = [(2, height, width, 3), (2, h, w, c), (c, 3), (3,)]
        results, expected = both(*(jnp.asarray(random.standard_normal(shape)) for shape in shapes))
        for result, wanted in zip(results, expected, strict=True):
            assert result.dtype == jnp.float64
            np.testing.assert_allclose(result, wanted, rtol=1e-11, atol=1e-12)


def test_the_projection_is_drawn_as_pytorch_draws_a_convolution() -> None:
    projection = Projection(64, 500, rngs=nnx.Rngs(0))
    assert projection.kernel.shape == (1, 1, 64, 500)
    assert projection.bias.shape == (500,)
    bound = 1 / np.sqrt(64)
    for drawn in (projection.kernel[...], projection.bias[...]):
        assert drawn.dtype == jnp.float32
        assert np.abs(drawn).max() <= bound
        # A uniform distribution on [-b, b] has standard deviation b/√3.
        np.testing.assert_allclose(np.std(drawn), bound / np.sqrt(3), rtol=0.1)


def test_low_precision_compute_keeps_parameters_and_result_in_float32() -> None:
    projection = Projection(8, 6, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    exact = Projection(8, 6, rngs=nnx.Rngs(0))
    features = jax.random.normal(jax.random.key(1), (2, 3, 3, 8))
    result = projection(features, (5, 5))
    assert result.dtype == projection.kernel[...].dtype == jnp.float32
    np.testing.assert_allclose(result, exact(features, (5, 5)), atol=0.03)


def test_every_parameter_gets_a_gradient() -> None:
    features = jax.random.normal(jax.random.key(1), (2, 3, 3, 8))

    def loss(projection: Projection) -> jax.Array:
        return jnp.sum(projection(features, (6, 6)) ** 2)

    gradients = nnx.grad(loss)(Projection(8, 6, rngs=nnx.Rngs(0)))
    leaves = jax.tree.leaves(gradients)
    assert len(leaves) == 2
    assert all((leaf != 0).all() for leaf in leaves)


def test_wrong_channels_are_refused() -> None:
    projection = Projection(8, 6, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="7 channels, expected 8"):
        projection(jnp.zeros((1, 2, 2, 7)), (4, 4))
