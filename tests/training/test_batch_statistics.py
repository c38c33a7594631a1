"""Re-estimated batch statistics against NumPy's moments of all images together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models.layers import BatchNorm
from fakd_jax.training.batch_statistics import include_batch


class TwoNorms(nnx.Module):
    """Ours, then Flax's; dropout between them, as evaluation must not drop anything."""

    def __init__(self, momentum=0.99):
        self.first = BatchNorm(3, momentum=momentum, epsilon=1e-3)
        self.dropout = nnx.Dropout(0.5)
        self.second = nnx.BatchNorm(3, momentum=momentum, epsilon=1e-3, rngs=nnx.Rngs(0))

    def __call__(self, images, *, rngs=None):
        return self.second(self.dropout(self.first(images) ** 2)).mean((1, 2))


def moments(images):
    return images.mean((0, 1, 2)), images.var((0, 1, 2))


def estimate_of(batches):
    network = TwoNorms()
    network.first.mean.set_value(np.full(3, 50, np.float32))
    network.eval()
    graphdef, state = nnx.split(network)

    @jax.jit
    def step(estimated, batch, number):
        estimate = nnx.merge(graphdef, estimated, copy=True)
        include_batch(nnx.merge(graphdef, state, copy=True), estimate, batch, number)
        return nnx.split(estimate)[1]

    estimated = state  # what was there before must not count
    for number, batch in enumerate(batches):
        estimated = step(estimated, batch, np.int32(number))
    return nnx.merge(graphdef, estimated)


def test_the_estimate_is_the_moments_of_all_batches_together():
    """A mean of 50 beside a deviation of 1, and another mean in each batch."""
    generator = np.random.default_rng(0)
    offsets = 50 + np.arange(4).reshape(4, 1, 1, 1, 1)
    batches = (generator.normal(size=(4, 2, 3, 3, 3)) + offsets).astype(np.float32)
    estimate = estimate_of(batches)
    mean, var = moments(batches.reshape(8, 3, 3, 3).astype(np.float64))
    np.testing.assert_allclose(estimate.first.mean[...], mean, rtol=1e-6)
    np.testing.assert_allclose(estimate.first.var[...], var, rtol=1e-5)
    # The second layer sees what the first makes of each batch by that batch's own moments.
    squares = []
    for batch in batches.astype(np.float64):
        mean, var = moments(batch)
        squares.append((batch - mean) ** 2 / (var + 1e-3))
    mean, var = moments(np.concatenate(squares))
    np.testing.assert_allclose(estimate.second.mean[...], mean, rtol=1e-5)
    np.testing.assert_allclose(estimate.second.var[...], var, rtol=1e-3)


def test_a_network_without_batch_norm_is_refused():
    linear = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
    with pytest.raises(UserError, match="Linear has 0 such layers"):
        include_batch(linear, linear, jnp.zeros((1, 2, 2, 3)), jnp.int32(0))
