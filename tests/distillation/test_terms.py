"""The terms beside the paper's: their authors' values, hand-computed ones, extremes, masks.

All share one function, compiled once for a batch of eight rows of which a mask keeps some.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fakd_jax.distillation.attention import attention_loss
from fakd_jax.distillation.decoupled import nckd_loss, tckd_loss
from fakd_jax.distillation.dist import dist_inter_loss, dist_intra_loss
from fakd_jax.distillation.losses import kd_loss
from fakd_jax.distillation.relational import rkd_angle_loss, rkd_distance_loss
from fakd_jax.distillation.standardisation import correlation_alignment_loss, standardise_logits

GOLDENS = np.load(Path(__file__).parents[1] / "goldens" / "distillation.npz")
Inputs = dict[str, jax.Array]
NAMES = ("student_logits", "teacher_logits", "labels", "student_map", "teacher_map", "aligned")
NAMES += ("features", "student_vectors", "teacher_vectors")
T = 4.0
# The name of each term's inputs, the student's first, and the term.
TERMS: dict[str, tuple[str, str, Callable[..., jax.Array]]] = {
    "tckd": ("student_logits", "teacher_logits", tckd_loss),
    "nckd": ("student_logits", "teacher_logits", nckd_loss),
    "dist_inter": ("student_logits", "teacher_logits", dist_inter_loss),
    "dist_intra": ("student_logits", "teacher_logits", dist_intra_loss),
    "standardised_kd": ("student_logits", "teacher_logits", kd_loss),
    "attention": ("student_map", "teacher_map", attention_loss),
    "correlation": ("aligned", "features", correlation_alignment_loss),
    "rkd_distance": ("student_vectors", "teacher_vectors", rkd_distance_loss),
    "rkd_angle": ("student_vectors", "teacher_vectors", rkd_angle_loss),
}
every_term = pytest.mark.parametrize("name", TERMS)


# Compiling takes longer than computing.
@functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
def evaluate(inputs: Inputs, mask: jax.Array | None) -> dict[str, tuple[jax.Array, ...]]:
    """The value of every term, and its gradients by the student's and the teacher's input."""

    def term(name: str) -> Callable[[jax.Array, jax.Array], jax.Array]:
        loss = TERMS[name][2]
        if name in ("tckd", "nckd"):
            return lambda s, t: loss(s, t, inputs["labels"], temperature=T, mask=mask)
        if name.startswith("dist"):  # the authors' code has no temperature
            return lambda s, t: loss(s, t, temperature=1.0, mask=mask)
        if name == "standardised_kd":
            z = lambda logits: standardise_logits(logits, mask=mask)  # noqa: E731
            return lambda s, t: loss(z(s), z(t), temperature=T, mask=mask)
        return lambda s, t: loss(s, t, mask=mask)

    results = {}
    for name, (student, teacher, _) in TERMS.items():
        both = jax.value_and_grad(term(name), argnums=(0, 1))
        value, gradients = both(inputs[student], inputs[teacher])
        results[name] = (value, *gradients)
    return results


def golden_inputs() -> Inputs:
    arrays = {name: GOLDENS[name] for name in NAMES}
    return {
        name: jnp.asarray(np.moveaxis(array, 1, -1) if array.ndim == 4 else array)
        for name, array in arrays.items()
    }


def padded(inputs: Inputs, value: float) -> Inputs:
    """Two more rows than `inputs`, filled with a value."""
    return {
        name: jnp.concatenate(
            [array, jnp.full((2, *array.shape[1:]), 0 if name == "labels" else value, array.dtype)]
        )
        for name, array in inputs.items()
    }


MASK = jnp.arange(8) < 6
WHOLE = golden_inputs()
PADDED = padded(WHOLE, jnp.nan)


@every_term
@pytest.mark.parametrize(
    "masked",
    [pytest.param(False, marks=pytest.mark.slow, id="whole"), pytest.param(True, id="masked")],
)
def test_values_and_gradients_are_the_authors(name: str, masked: bool) -> None:
    results = evaluate(PADDED, MASK) if masked else evaluate(WHOLE, None)
    value, gradient, to_teacher = map(np.asarray, results[name])
    positions = 4 * 4 if name == "attention" else 1  # theirs is the mean over them
    expected = GOLDENS[f"{name}/gradient"]
    expected = np.moveaxis(expected, 1, -1) if expected.ndim == 4 else expected
    np.testing.assert_allclose(value, positions * GOLDENS[f"{name}/loss"], rtol=1e-5)
    np.testing.assert_allclose(gradient[:6], positions * expected, rtol=1e-4, atol=1e-6)
    assert (gradient[6:] == 0).all()
    assert (to_teacher == 0).all()
