"""What holds for every network: sizes, dtypes, modes, gradients everywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.models import create_model, forward
from fakd_jax.models.layers import BatchNorm

FEATURES = {
    "tiny_resnet": "layer3",
    "tiny_mobilenet": "features.4",
    "tiny_basic_resnet": "layer3",
    "tiny_efficientnet": "features.3",
    "tiny_convnext": "features.3",
}
TINY = ("tiny_resnet", "tiny_mobilenet")
NEW = tuple(pytest.param(arch, marks=pytest.mark.slow) for arch in FEATURES if arch not in TINY)


def images(size: int = 32, batch: int = 2) -> jax.Array:
    values = np.random.default_rng(0).standard_normal((batch, size, size, 3))
    return jnp.asarray(values, jnp.float32)


def tiny(arch: str, **overrides: object) -> nnx.Module:
    return create_model(arch, num_classes=5, rngs=nnx.Rngs(0), **overrides)


def trained_once(model: nnx.Module, batch: jax.Array) -> tuple[nnx.State, nnx.State]:
    """Gradients of a loss that reaches every logit, and the new state."""
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    @jax.jit
    def step(params: nnx.State, rest: nnx.State) -> tuple[nnx.State, nnx.State]:
        def loss(params: nnx.State) -> tuple[jax.Array, nnx.State]:
            model = nnx.merge(graphdef, params, rest, copy=True)
            logits, _ = forward(model, batch, dropout_key=jax.random.key(0))
            weights = jnp.arange(logits.size, dtype=jnp.float32).reshape(logits.shape)
            return jnp.sum(weights * logits), nnx.state(model)

        return jax.grad(loss, has_aux=True)(params)

    return step(params, rest)


@pytest.mark.parametrize(
    ("arch", "num_classes", "parameters"),
    [
        ("resnet50", 4, 23_516_228),
        ("mobilenet_v3_large", 4, 4_207_156),
    ],
)
def test_parameter_counts(arch: str, num_classes: int, parameters: int) -> None:
    def build() -> nnx.State:
        model = create_model(arch, num_classes=num_classes, rngs=nnx.Rngs(0))
        return nnx.state(model, nnx.Param)

    leaves = jax.tree.leaves(jax.eval_shape(build))
    assert sum(leaf.size for leaf in leaves) == parameters


@pytest.mark.parametrize(
    "arch", ["tiny_resnet", pytest.param("tiny_mobilenet", marks=pytest.mark.slow), *NEW]
)
def test_every_parameter_gets_a_gradient_and_every_statistic_moves(arch: str) -> None:
    model = tiny(arch)
    gradients, new_state = trained_once(model, images(size=64))
    for path, gradient in nnx.to_flat_state(gradients):
        assert np.any(gradient[...]), f"no gradient reaches {path}"
    before = dict(nnx.to_flat_state(nnx.state(model, nnx.BatchStat)))
    after = dict(nnx.to_flat_state(nnx.filter_state(new_state, nnx.BatchStat)))
    assert before.keys() == after.keys()
    for path, statistic in after.items():
        assert np.any(statistic[...] != before[path][...]), f"{path} does not move"


@pytest.mark.parametrize("arch", FEATURES)
def test_bfloat16_computes_but_keeps_float32(arch: str) -> None:
    feature = FEATURES[arch]

    def run(batch: jax.Array) -> tuple:
        model = tiny(arch, dtype=jnp.bfloat16)
        outputs = forward(model, batch, features=(feature,), dropout_key=jax.random.key(0))
        return *outputs, nnx.state(model)

    logits, features, state = jax.eval_shape(run, images())
    assert logits.dtype == jnp.float32
    assert features[feature].dtype == jnp.bfloat16
    gradients, _ = jax.eval_shape(
        lambda batch: trained_once(tiny(arch, dtype=jnp.bfloat16), batch), images()
    )
    assert {leaf.dtype for leaf in jax.tree.leaves((state, gradients))} == {jnp.dtype("float32")}


@cache
def evaluator(arch: str, **overrides: object) -> Callable[[jax.Array], jax.Array]:
    model = tiny(arch, **overrides)
    model.eval()
    return jax.jit(lambda batch: model(batch))


@pytest.mark.parametrize("arch", [*TINY, *NEW])
def test_bfloat16_gives_nearly_the_same_logits(arch: str) -> None:
    batch = images(batch=3)  # as below: each shape compiles
    exact = np.asarray(evaluator(arch)(batch))
    rounded = np.asarray(evaluator(arch, dtype=jnp.bfloat16)(batch))
    assert np.max(np.abs(exact - rounded)) < 0.05 * np.max(np.abs(exact))
    assert np.any(exact != rounded)


@pytest.mark.parametrize("arch", TINY)
def test_images_of_any_size(arch: str) -> None:
    run = evaluator(arch)
    for size in ((64, 48), (33, 57), (224, 224)):
        assert jax.eval_shape(run, jnp.ones((1, *size, 3))).shape == (1, 5)
    assert np.all(np.isfinite(run(jnp.ones((1, 1, 1, 3)))))


@pytest.mark.parametrize("arch", [*TINY, *NEW])
def test_evaluation_treats_every_image_alone(arch: str) -> None:
    run, batch = evaluator(arch), images(batch=3)
    together = run(batch)
    others = run(batch.at[:2].set(0.5))
    np.testing.assert_array_equal(together[2], others[2])
    assert np.any(together[0] != others[0])


@pytest.mark.parametrize("arch", TINY)
def test_the_batch_norms_momentum_is_an_override(arch: str) -> None:
    model = nnx.eval_shape(lambda: tiny(arch, batch_norm_momentum=0.25))
    layers = [layer for _, layer in nnx.iter_modules(model) if isinstance(layer, BatchNorm)]
    assert {layer.momentum for layer in layers} == {0.25}


@pytest.mark.parametrize("arch", TINY)
def test_the_seed_fixes_the_parameters(arch: str) -> None:
    def values(seed: int) -> list[np.ndarray]:
        model = create_model(arch, num_classes=5, rngs=nnx.Rngs(seed))
        return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))]

    first, again, other = values(0), values(0), values(1)
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(first, other, strict=True))
