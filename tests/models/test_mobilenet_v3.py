"""MobileNetV3's own: its blocks, squeezing, dropout."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.models import create_model, feature_shapes, forward
from fakd_jax.models.mobilenet_v3 import (
    MobileNetV3,
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
