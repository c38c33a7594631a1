"""MobileNetV3's own: its blocks, squeezing, dropout."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.models import create_model, feature_shapes, forward
from fakd_jax.models.mobilenet_v3 import (
    MOBILENET_V3_LARGE_SETTINGS,
    InvertedResidual,
    MobileNetV3,
    SqueezeExcitation,
    make_divisible,
)

IMAGES = jnp.asarray(np.random.default_rng(0).standard_normal((2, 32, 32, 3)), jnp.float32)


def tiny(**overrides: object) -> MobileNetV3:
    model = create_model("tiny_mobilenet", num_classes=3, rngs=nnx.Rngs(0), **overrides)
    assert isinstance(model, MobileNetV3)
    return model


@pytest.mark.parametrize(
    ("value", "expected"), [(3, 8), (16, 16), (18, 24), (30, 32), (120, 120), (168, 168), (11, 16)]
)
def test_make_divisible_is_torchvisions(value: int, expected: int) -> None:
    assert make_divisible(value) == expected


def test_the_papers_student_feature() -> None:
    shapes = feature_shapes("mobilenet_v3_large", 224)
    assert list(shapes) == [f"features.{index}" for index in range(17)] + ["pre_logits"]
    assert shapes["features.0"] == (112, 112, 16)
    assert shapes["features.16"] == (7, 7, 960)
    assert shapes["pre_logits"] == (1, 1, 1280)


def test_squeezing_is_to_a_quarter_of_the_expanded_channels() -> None:
    layer = SqueezeExcitation(72, dtype=jnp.float32, rngs=nnx.Rngs(0))
    assert layer.fc1.kernel.shape == (1, 1, 72, 24)
    assert layer.fc2.kernel.shape == (1, 1, 24, 72)


def test_a_block_without_expansion_has_no_such_layer() -> None:
    model = tiny()
    sizes = [len(layer.block) for layer in model.features if isinstance(layer, InvertedResidual)]
    # 16 → 16 channels does not expand; the fourth and fifth squeeze.
    assert sizes == [2, 3, 3, 4, 4]
    residual = [layer.residual for layer in model.features if isinstance(layer, InvertedResidual)]
    assert residual == [True, False, True, False, True]


def test_settings_chain() -> None:
    for one, after in itertools.pairwise(MOBILENET_V3_LARGE_SETTINGS):
        assert one.out_features == after.in_features


def test_dropout_needs_a_key_in_training_only() -> None:
    model = tiny()
    with pytest.raises(ValueError, match="dropout_key"):
        jax.eval_shape(lambda images: forward(tiny(), images), IMAGES)
    jax.eval_shape(lambda images: forward(tiny(dropout=0.0), images), IMAGES)
    model.eval()
    jax.eval_shape(lambda images: forward(model, images), IMAGES)


def test_dropout_is_fixed_by_its_key() -> None:
    graphdef, state = nnx.split(tiny(dropout=0.5))

    @jax.jit
    def run(key: jax.Array) -> jax.Array:
        return forward(nnx.merge(graphdef, state, copy=True), IMAGES, dropout_key=key)[0]

    logits = [np.asarray(run(jax.random.key(seed))) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(logits[0], logits[1])
    assert np.any(logits[0] != logits[2])


def test_torchvisions_batch_norm_constants() -> None:
    norm = tiny().features[0].bn
    assert norm.epsilon == 1e-3
    assert norm.momentum == pytest.approx(0.99)
