"""Folded networks say what the networks say."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.models import create_model
from fakd_jax.models.folding import fold_batch_norms
from fakd_jax.models.layers import BatchNorm, Pointwise


def with_statistics(arch: str) -> nnx.Module:
    """A network whose batch norms are nothing like the identity."""
    model = create_model(arch, num_classes=3, rngs=nnx.Rngs(0))
    random = np.random.default_rng(0)
    for _, module in nnx.iter_graph(model):
        if isinstance(module, BatchNorm):
            for variable, low, high in (
                (module.scale, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
                (module.mean, -0.5, 0.5),
                (module.var, 0.5, 2.0),
            ):
                drawn = random.uniform(low, high, variable[...].shape)
                variable.set_value(jnp.asarray(drawn, jnp.float32))
    model.eval()
    return model


def logits(model: nnx.Module, images: np.ndarray) -> np.ndarray:
    return np.asarray(nnx.jit(lambda network, given: network(given))(model, jnp.asarray(images)))


@pytest.mark.parametrize(
    "arch",
    [
        "tiny_resnet",
        "tiny_mobilenet",
        "tiny_efficientnet",
        *(pytest.param(a, marks=pytest.mark.slow) for a in ("tiny_basic_resnet", "tiny_convnext")),
    ],
)
def test_a_folded_network_gives_the_same_logits(arch: str) -> None:
    model = with_statistics(arch)
    before = jax.tree.map(np.asarray, nnx.state(model))
    images = np.random.default_rng(1).standard_normal((2, 32, 32, 3)).astype(np.float32)
    expected = logits(model, images)
    folded = fold_batch_norms(model)
    assert not any(isinstance(module, BatchNorm) for _, module in nnx.iter_graph(folded))
    actual = logits(folded, images)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert np.abs(expected).max() > 1e-3
    jax.tree.map(np.testing.assert_array_equal, nnx.state(model), before)


def test_a_batch_norm_without_its_convolution_is_refused() -> None:
    class Alone(nnx.Module):
        def __init__(self) -> None:
            self.bn = BatchNorm(2, momentum=0.9, epsilon=1e-5)

    with pytest.raises(TypeError, match=r"Alone\.bn has no convolution"):
        fold_batch_norms(Alone())


def test_a_convolution_with_a_bias_is_refused() -> None:
    class Biased(nnx.Module):
        def __init__(self) -> None:
            self.conv = Pointwise(2, 2, use_bias=True, rngs=nnx.Rngs(0))
            self.bn = BatchNorm(2, momentum=0.9, epsilon=1e-5)

    with pytest.raises(TypeError, match=r"Biased\.bn has no convolution without bias"):
        fold_batch_norms(Biased())
