"""Losses, projection, upsampling and their gradients against PyTorch's (scripts/goldens)."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.distillation.losses import fakd_loss
from fakd_jax.distillation.projection import Projection, upsample_bilinear

GOLDENS = np.load(Path(__file__).parents[1] / "goldens" / "losses.npz")
CASES = ("paper", "odd", "shrinking", "same_size")
LEARNED = ("student_logits", "student_features", "kernel", "bias")
Arrays = dict[str, np.ndarray]


def golden(name: str) -> Arrays:
    return {key.partition("/")[2]: GOLDENS[key] for key in GOLDENS if key.startswith(f"{name}/")}


def channels_last(maps: np.ndarray) -> np.ndarray:
    return np.moveaxis(maps, 1, -1)


def ours(inputs: Arrays, size: tuple[int, int], settings: tuple[float, ...]) -> Arrays:
    """What `evaluate` of scripts/goldens/losses.py computes, in its layout."""
    alpha, beta, temperature = (float(value) for value in settings)
    out_features, in_features = inputs["kernel"].shape[:2]
    teacher = channels_last(inputs["teacher_features"])

    def loss(
        student_logits: jax.Array, student_features: jax.Array, kernel: jax.Array, bias: jax.Array
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], jax.Array]]:
        projection = Projection(in_features, out_features, rngs=nnx.Rngs(0))
        projection.kernel.set_value(jnp.transpose(kernel, (2, 3, 1, 0)))
        projection.bias.set_value(bias)
        aligned = projection(jnp.moveaxis(student_features, 1, -1), size)
        total, terms = fakd_loss(
            student_logits,
            jnp.asarray(inputs["labels"]),
            jnp.asarray(inputs["teacher_logits"]),
            aligned,
            jnp.asarray(teacher),
            alpha=alpha,
            beta=beta,
            temperature=temperature,
        )
        return total, (terms, aligned)

    arguments = [jnp.asarray(inputs[key]) for key in LEARNED]
    graded = jax.jit(jax.value_and_grad(loss, argnums=range(4), has_aux=True))
    (total, (terms, aligned)), gradients = graded(*arguments)
    return {
        "total": total,
        **terms,
        "aligned": np.moveaxis(np.asarray(aligned), -1, 1),
        **{f"grad_{key}": value for key, value in zip(LEARNED, gradients, strict=True)},
    }


@pytest.mark.parametrize("name", CASES)
def test_losses_and_gradients_equal_pytorchs(name: str) -> None:
    stored = golden(name)
    results = ours(stored, tuple(map(int, stored["size"])), tuple(stored["settings"]))
    for key, value in results.items():
        np.testing.assert_allclose(value, stored[key], rtol=1e-5, atol=1e-6, err_msg=key)


def test_losses_and_gradients_equal_pytorchs_in_the_papers_shapes() -> None:
    random = np.random.RandomState(0)  # as `draw(0, FULL)` of the generator
    bound = 1 / np.sqrt(960)
    inputs = {
        "student_logits": 3 * random.standard_normal((2, 4)).astype(np.float32),
        "teacher_logits": 3 * random.standard_normal((2, 4)).astype(np.float32),
        "labels": random.randint(0, 4, 2).astype(np.int64),
        "student_features": random.standard_normal((2, 960, 7, 7)).astype(np.float32),
        "teacher_features": random.standard_normal((2, 1024, 14, 14)).astype(np.float32),
        "kernel": random.uniform(-bound, bound, (1024, 960, 1, 1)).astype(np.float32),
        "bias": random.uniform(-bound, bound, 1024).astype(np.float32),
    }
    results = ours(inputs, (14, 14), (0.5, 1.0, 3.0))
    stored = golden("full")
    assert stored.keys() == {"ce", "kd", "fa", "total", "grad_student_logits", "grad_bias"}
    for key, value in stored.items():
        np.testing.assert_allclose(results[key], value, rtol=1e-5, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("index", range(5))
def test_upsampling_equals_pytorchs(index: int) -> None:
    stored = golden(f"upsample{index}")
    expected = channels_last(stored["resized"])
    resized = upsample_bilinear(jnp.asarray(channels_last(stored["image"])), expected.shape[1:3])
    np.testing.assert_allclose(resized, expected, rtol=1e-6, atol=1e-6)
