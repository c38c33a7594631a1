"""Re-initialised networks: independent of the trained one, and responsive."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models import create_model
from fakd_jax.models.layers import BatchNorm
from fakd_jax.models.reinitialisation import follow_batch, last_layer, reinitialise

METADATA = {"arch": "tiny_mobilenet", "num_classes": 3, "overrides": {"batch_norm_momentum": 0.5}}
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (9, 32, 32, 3)), jnp.float32)


@pytest.fixture(scope="module")
def drawn() -> nnx.Module:
    """A network of seed 0, as it was made."""
    return reinitialise(METADATA, 0, IMAGES)


def logits_of(model: nnx.Module) -> np.ndarray:
    return np.asarray(nnx.jit(lambda model, images: model(images))(model, IMAGES))


def test_each_logit_has_the_median_and_the_spread_of_a_standard_normal(drawn: nnx.Module) -> None:
    logits = logits_of(drawn)
    np.testing.assert_allclose(np.median(logits, axis=0), 0, atol=1e-2)
    spread = np.median(np.abs(logits - np.median(logits, axis=0)), axis=0)
    np.testing.assert_allclose(spread, 0.6745, rtol=1e-2)


def test_the_seed_decides(drawn: nnx.Module) -> None:
    networks = (drawn, *(reinitialise(METADATA, seed, IMAGES) for seed in (0, 4)))
    once, again, other = (np.asarray(network.classifier_0.kernel[...]) for network in networks)
    np.testing.assert_array_equal(once, again)
    assert abs(np.corrcoef(once.ravel(), other.ravel())[0, 1]) < 0.05


def test_the_statistics_are_those_of_the_batch() -> None:
    model = create_model("tiny_mobilenet", num_classes=3, rngs=nnx.Rngs(0))
    first = model.features[0]
    before = np.asarray(first.conv(IMAGES), np.float64)
    follow_batch(model, IMAGES)
    np.testing.assert_allclose(first.bn.mean[...], before.mean(axis=(0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(first.bn.var[...], before.var(axis=(0, 1, 2)), rtol=1e-4)


def test_the_network_is_left_in_evaluation_mode_as_it_was_made(drawn: nnx.Module) -> None:
    norms = [module for _, module in nnx.iter_graph(drawn) if isinstance(module, BatchNorm)]
    assert norms
    assert all(norm.use_running_average and norm.momentum == 0.5 for norm in norms)
    assert drawn.dropout.deterministic


def test_the_batchs_logits_are_those_of_evaluation() -> None:
    model = create_model("tiny_mobilenet", num_classes=3, rngs=nnx.Rngs(1))
    logits = follow_batch(model, IMAGES)
    assert np.ptp(logits) > 0
    np.testing.assert_allclose(logits_of(model), logits, rtol=1e-3, atol=1e-3 * np.ptp(logits))


def test_the_last_layer_is_the_one_with_the_classes() -> None:
    for arch, name in (("tiny_mobilenet", "classifier_3"), ("tiny_resnet", "fc")):
        model = nnx.eval_shape(
            lambda arch=arch: create_model(arch, num_classes=3, rngs=nnx.Rngs(0))
        )
        assert last_layer(model, num_classes=3) is getattr(model, name)
        with pytest.raises(ValueError, match="0 linear layers have 7 outputs"):
            last_layer(model, num_classes=7)


def test_equal_images_are_refused() -> None:
    with pytest.raises(UserError, match="4 images are too few or too alike"):
        reinitialise(METADATA, 0, jnp.zeros((4, 32, 32, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["tiny_basic_resnet", "tiny_efficientnet", "tiny_convnext"])
def test_every_kind_of_network_responds(arch: str) -> None:
    logits = logits_of(reinitialise({"arch": arch, "num_classes": 3}, 0, IMAGES))
    np.testing.assert_allclose(np.median(logits, axis=0), 0, atol=2e-2)
