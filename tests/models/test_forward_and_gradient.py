"""Logits together with a gradient by a feature, in training, and differentiated once more."""

from __future__ import annotations

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models import forward, forward_and_gradient
from fakd_jax.models.layers import BatchNorm, Depthwise, Linear, Pointwise, sow

IMAGES = jnp.asarray(np.random.default_rng(0).standard_normal((3, 4, 4, 3)), jnp.float32)


class Small(nnx.Module):
    """One map, and behind it the layers whose gradients are written by hand."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.stem = Pointwise(3, 4, rngs=rngs)
        self.depthwise = Depthwise(4, 3, rngs=rngs)
        self.norm = BatchNorm(4, momentum=0.9, epsilon=1e-3)
        self.head = Linear(4, 2, rngs=rngs)

    def rest(self, x: jax.Array) -> jax.Array:
        x = nnx.silu(self.norm(self.depthwise(x)))
        return self.head(jnp.mean(jnp.square(x), axis=(1, 2)))

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        del rngs
        return self.rest(sow(self, "map", self.stem(images)))


@cache
def parts() -> tuple[nnx.GraphDef, nnx.State, nnx.State]:
    return nnx.split(Small(nnx.Rngs(0)), nnx.Param, ...)


def score(logits: jax.Array) -> jax.Array:
    return jnp.sum(jax.nn.log_softmax(logits))


def outputs(
    params: nnx.State, feature: str = "map"
) -> tuple[jax.Array, jax.Array, jax.Array, nnx.State]:
    graphdef, _, rest = parts()
    model = nnx.merge(graphdef, params, rest, copy=True)
    logits, features, gradient = forward_and_gradient(
        model, IMAGES, feature, score, features=("map",)
    )
    return logits, features["map"], gradient, nnx.state(model, nnx.BatchStat)


def test_it_is_forward_and_the_gradient_of_the_rest_of_the_network() -> None:
    graphdef, params, rest = parts()

    @jax.jit
    def by_hand(params: nnx.State) -> tuple[jax.Array, jax.Array, jax.Array, nnx.State]:
        model = nnx.merge(graphdef, params, rest, copy=True)
        logits, features = forward(model, IMAGES, features=("map",))

        def score_of(value: jax.Array) -> jax.Array:
            return score(nnx.merge(graphdef, params, rest, copy=True).rest(value))

        gradient = jax.grad(score_of)(features["map"])
        return logits, features["map"], gradient, nnx.state(model, nnx.BatchStat)

    found, expected = jax.tree.leaves(jax.jit(outputs)(params)), jax.tree.leaves(by_hand(params))
    assert len(found) == len(expected) == 5
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert not np.array_equal(found[3], jax.tree.leaves(nnx.state(rest, nnx.BatchStat))[0])


def test_the_gradient_can_be_differentiated_by_the_parameters() -> None:
    """Through the hand-written gradients of the convolution and the normalisation."""
    params = parts()[1]

    @jax.jit
    def loss(params: nnx.State) -> jax.Array:
        _, features, gradient, _ = outputs(params)
        return jnp.sum(jnp.square(jnp.sum(features * gradient, axis=-1)))

    slopes = jax.jit(jax.grad(loss))(params)
    generator = np.random.default_rng(1)
    direction = jax.tree.map(
        lambda leaf: jnp.asarray(generator.standard_normal(leaf.shape), jnp.float32), params
    )
    ends = [
        float(loss(jax.tree.map(lambda leaf, way, step=step: leaf + step * way, params, direction)))
        for step in (-1e-3, 1e-3)
    ]
    expected = (ends[1] - ends[0]) / 2e-3
    found = sum(
        float(jnp.vdot(one, other))
        for one, other in zip(jax.tree.leaves(slopes), jax.tree.leaves(direction), strict=True)
    )
    assert abs(expected) > 1e-3
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_the_gradient_by_the_images_is_that_of_the_map_through_the_stem() -> None:
    stem = np.asarray(parts()[1]["stem"]["kernel"][...]).reshape(3, 4)
    _, _, by_map, _ = jax.jit(outputs)(parts()[1])
    _, _, by_images, _ = jax.jit(partial(outputs, feature=""))(parts()[1])
    np.testing.assert_allclose(by_images, by_map @ stem.T, rtol=1e-4, atol=1e-6)


def test_an_unknown_feature_is_refused() -> None:
    with pytest.raises(UserError, match="no feature named 'other'"):
        forward_and_gradient(Small(nnx.Rngs(0)), IMAGES, "other", score)
