"""Networks of each kind as ONNX graphs: the same logits and features, for any batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.export.onnx.graph import Graph
from fakd_jax.export.onnx.lowering import lower
from fakd_jax.models import create_model
from fakd_jax.models.folding import FoldedNetwork

SIDE = 33  # odd, where the paddings differ


def run(function, inputs: np.ndarray) -> list[np.ndarray]:
    """Runs a function of images as an ONNX graph."""
    graph = Graph()
    names = lower(function, "images", inputs.shape[1:], graph)
    outputs = {f"out{i}": (name, "FLOAT", None) for i, name in enumerate(names)}
    kinds = {"images": ("FLOAT", ("batch", 3, *inputs.shape[1:3]))}
    shapes = [each.shape for each in jax.eval_shape(function, jnp.asarray(inputs))]
    outputs = {
        key: (name, kind, [f"{key}_{axis}" for axis in range(len(shape))])
        for (key, (name, kind, _)), shape in zip(outputs.items(), shapes, strict=True)
    }
    model = graph.model(kinds, outputs)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"images": inputs.transpose(0, 3, 1, 2)})


def images(batch: int, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(batch).standard_normal((batch, side, side, 3)).astype(np.float32)


def assert_network_is_the_same(arch: str, **settings: object) -> None:
    model = create_model(arch, num_classes=4, rngs=nnx.Rngs(0), **settings)
    model.eval()
    folded = FoldedNetwork.of(model)
    network = folded.merge(folded.variables)
    for batch in (1, 4):  # the graph is traced with another
        x = images(batch)
        expected = np.asarray(jax.jit(network)(x))
        (logits,) = run(lambda x: [network(x)], x)
        assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()


def test_mobilenet() -> None:
    assert_network_is_the_same("tiny_mobilenet")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "settings"),
    [
        ("tiny_resnet", {}),
        ("tiny_basic_resnet", {}),
        ("tiny_efficientnet", {}),
        ("tiny_convnext", {}),
        ("tiny_mobilenet", {"padding": "tensorflow"}),
        ("tiny_efficientnet", {"padding": "tensorflow"}),
    ],
)
def test_other_networks(arch: str, settings: dict[str, object]) -> None:
    assert_network_is_the_same(arch, **settings)


def test_an_operation_without_translation_is_refused() -> None:
    with pytest.raises(UserError, match="'sort', which has no translation"):
        run(lambda x: [jnp.sort(x, axis=1)], images(2))


def test_a_sum_over_images_is_refused() -> None:
    with pytest.raises(UserError, match="sum over images"):
        run(lambda x: [x - x.sum(axis=0)], images(2))
