"""Features: read when asked for, free when not, never left behind."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models import create_model, feature_shapes, forward
from fakd_jax.models.features import forward_last_layer
from fakd_jax.models.reinitialisation import last_layer

IMAGES = jnp.asarray(np.random.default_rng(0).standard_normal((2, 32, 32, 3)), jnp.float32)
ARCHITECTURES = ("tiny_resnet", "tiny_mobilenet")
KEY = jax.random.key(0)


def tiny(arch: str) -> nnx.Module:
    return create_model(arch, num_classes=3, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_shapes_are_those_of_the_features(arch: str) -> None:
    shapes = feature_shapes(tiny(arch), 32)
    assert shapes == feature_shapes(arch, 32)
    _, features = abstract_forward(arch, tuple(shapes))
    assert {name: values.shape[1:] for name, values in features.items()} == shapes


def test_the_papers_teacher_feature_and_the_order_of_the_network() -> None:
    shapes = feature_shapes("resnet50", 224)
    assert list(shapes.items()) == [
        ("relu", (112, 112, 64)),
        ("maxpool", (56, 56, 64)),
        ("layer1", (56, 56, 256)),
        ("layer2", (28, 28, 512)),
        ("layer3", (14, 14, 1024)),
        ("layer4", (7, 7, 2048)),
        ("pre_logits", (1, 1, 2048)),
    ]


def abstract_forward(arch: str, features: tuple[str, ...]) -> tuple:
    """Shapes of what `forward` returns in training."""
    return jax.eval_shape(
        lambda images: forward(tiny(arch), images, features=features, dropout_key=KEY), IMAGES
    )


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_an_unknown_feature_lists_the_available(arch: str) -> None:
    available = ", ".join(feature_shapes(arch, 32))
    with pytest.raises(UserError, match=f"'layer9'.*{available}"):
        abstract_forward(arch, ("pre_logits", "layer9"))


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("features", [(), ("pre_logits",)])
def test_nothing_is_left_behind(arch: str, features: tuple[str, ...]) -> None:
    def run(images: jax.Array) -> None:  # traced only: what happens to the module is Python's
        model = tiny(arch)
        before = nnx.split(model)
        forward(model, images, features=features, dropout_key=KEY)
        model(images, rngs=nnx.Rngs(dropout=KEY))
        after = nnx.split(model)
        assert after[0] == before[0]
        assert jax.tree.structure(after[1]) == jax.tree.structure(before[1])
        assert not jax.tree.leaves(nnx.state(model, nnx.Intermediate))

    jax.eval_shape(run, IMAGES)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_features_cost_nothing_when_nobody_reads_them(arch: str) -> None:
    model = tiny(arch)
    model.eval()
    graphdef, state = nnx.split(model)

    def run(state: nnx.State, images: jax.Array, features: tuple[str, ...] = ()) -> tuple:
        return forward(nnx.merge(graphdef, state), images, features=features)

    jaxpr = jax.make_jaxpr(run)(state, IMAGES)
    assert [output.shape for output in jaxpr.out_avals] == [(2, 3)]
    # What is sown adds outputs and nothing else: the same operations run either way.
    captured = jax.make_jaxpr(lambda *args: run(*args, ("pre_logits",)))(state, IMAGES)
    assert len(captured.out_avals) == 2
    assert len(captured.eqns) == len(jaxpr.eqns)


@pytest.mark.parametrize(
    "arch", [pytest.param("tiny_resnet", marks=pytest.mark.slow), "tiny_mobilenet"]
)
def test_statistics_move_alike_with_and_without_features(arch: str) -> None:
    graphdef, state = nnx.split(tiny(arch))

    def run(features: tuple[str, ...]) -> tuple[jax.Array, dict]:
        model = nnx.merge(graphdef, state, copy=True)
        logits, _ = forward(model, IMAGES, features=features, dropout_key=KEY)
        return logits, nnx.to_pure_dict(nnx.state(model))

    plain, captured = jax.jit(lambda: (run(()), run(("pre_logits",))))()
    jax.tree.map(np.testing.assert_array_equal, plain, captured)
    moved = jax.tree.map(np.array_equal, captured[1], nnx.to_pure_dict(state))
    assert not all(jax.tree.leaves(moved))


def test_gradients_flow_through_features() -> None:
    graphdef, params, rest = nnx.split(tiny("tiny_mobilenet"), nnx.Param, ...)

    @jax.jit
    def gradient(params: nnx.State) -> tuple[list[jax.Array], nnx.State]:
        def loss(params: nnx.State) -> tuple[jax.Array, nnx.State]:
            model = nnx.merge(graphdef, params, rest, copy=True)
            _, features = forward(model, IMAGES, features=("features.3",), dropout_key=KEY)
            return jnp.sum(features["features.3"] ** 2), nnx.state(model, nnx.BatchStat)

        gradients, statistics = jax.grad(loss, has_aux=True)(params)
        before = gradients["features"][2]["block"][0]["conv"]["kernel"][...]
        after = gradients["classifier_3"]["kernel"][...]
        return [before, after], statistics  # the others need not be compiled

    (before, after), statistics = gradient(params)
    assert np.any(before)
    assert not np.any(after)
    assert jax.tree.structure(statistics) == jax.tree.structure(
        nnx.filter_state(rest, nnx.BatchStat)
    )


KINDS = (*ARCHITECTURES, "tiny_basic_resnet", "tiny_efficientnet", "tiny_convnext")


@pytest.mark.parametrize("arch", KINDS)
def test_the_last_layer_maps_what_it_reads_to_the_logits(arch: str) -> None:
    model = tiny(arch)
    model.eval()
    layer = last_layer(model, 3)
    expected, features = forward(model, IMAGES, features=["pre_logits"])
    read, logits = forward_last_layer(nnx.clone(model), IMAGES, 3)
    np.testing.assert_array_equal(logits, expected)
    np.testing.assert_array_equal(read, features["pre_logits"][:, 0, 0])
    np.testing.assert_allclose(read @ layer.kernel[...] + layer.bias[...], logits, atol=1e-6)


def test_without_a_last_linear_layer_there_are_logits_alone() -> None:
    class Sum(nnx.Module):
        def __call__(self, images: jax.Array) -> jax.Array:
            return images.sum(axis=(1, 2))

    read, logits = forward_last_layer(Sum(), IMAGES, 3)
    assert read is None
    np.testing.assert_array_equal(logits, IMAGES.sum(axis=(1, 2)))
