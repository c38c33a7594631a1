"""The terms beside the paper's: their authors' values, hand-computed ones, extremes, masks.

All share one function, compiled once for a batch of eight rows of which a mask keeps some.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fakd_jax.distillation.attention import attention_loss, averaging_matrix
from fakd_jax.distillation.decoupled import nckd_loss, tckd_loss
from fakd_jax.distillation.dist import dist_inter_loss, dist_intra_loss
from fakd_jax.distillation.losses import kd_loss
from fakd_jax.distillation.relational import rkd_angle_loss, rkd_distance_loss
from fakd_jax.distillation.standardisation import correlation_alignment_loss, standardise_logits

GOLDENS = np.load(Path(__file__).parents[1] / "goldens" / "distillation.npz")
Inputs = dict[str, np.ndarray]
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


@jax.jit
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
        name: np.moveaxis(array, 1, -1) if array.ndim == 4 else array
        for name, array in arrays.items()
    }


def padded(inputs: Inputs, value: float) -> Inputs:
    """Two more rows than `inputs`, filled with a value."""
    return {
        name: np.concatenate(
            [array, np.full((2, *array.shape[1:]), 0 if name == "labels" else value, array.dtype)]
        )
        for name, array in inputs.items()
    }


MASK = np.arange(8) < 6
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


def with_inputs(**changes: Any) -> Inputs:
    """The padded golden inputs with other first rows; NaN remains in the rows beyond."""
    inputs = {name: array.copy() for name, array in PADDED.items()}
    for name, rows in changes.items():
        inputs[name][: len(rows)] = rows
    return inputs


def values(inputs: Inputs, rows: int) -> dict[str, float]:
    """Every term over the first rows alone."""
    return {
        name: float(result[0]) for name, result in evaluate(inputs, np.arange(8) < rows).items()
    }


def test_logit_terms_by_hand() -> None:
    """Two images; DKD's logits are T times the logarithms, so that they soften to the numbers."""
    student = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]])
    teacher = np.array([[0.7, 0.1, 0.1, 0.1], [0.2, 0.2, 0.2, 0.4]])
    logits = {"student_logits": T * np.log(student), "teacher_logits": T * np.log(teacher)}
    computed = values(with_inputs(**logits, labels=[0, 3]), 2)
    binary = 0.7 * np.log(0.7 / 0.4) + 0.3 * np.log(0.3 / 0.6) + 0  # the second image's are equal
    assert computed["tckd"] == pytest.approx(T**2 * binary / 2, rel=1e-5)
    first = sum(np.log((1 / 3) / p) / 3 for p in (1 / 2, 1 / 3, 1 / 6))
    second = sum(np.log((1 / 3) / p) / 3 for p in (1 / 6, 1 / 3, 1 / 2))
    assert computed["nckd"] == pytest.approx(T**2 * (first + second) / 2, rel=1e-5)
    logits = {"student_logits": np.log(student), "teacher_logits": np.log(teacher)}
    computed = values(with_inputs(**logits), 2)
    inter = [1 - np.corrcoef(s, t)[0, 1] for s, t in zip(student, teacher, strict=True)]
    assert computed["dist_inter"] == pytest.approx(np.mean(inter), rel=1e-5)
    # Of two images a class's probabilities rise together (ρ = 1), apart (-1) or not at all (0):
    # student down, down, up, up; teacher down, up, up, up.
    assert computed["dist_intra"] == pytest.approx((0 + 2 + 0 + 0) / 4, abs=1e-5)


def test_map_terms_by_hand() -> None:
    student_map = np.zeros((1, 4, 4, 5))
    student_map[0, 0, 0] = 2.0  # all its attention at one corner
    teacher_map = np.ones((1, 7, 7, 8))  # evenly spread: 1/4 at each of 16 positions
    aligned = np.broadcast_to(np.arange(4.0)[None, None, :, None], (2, 4, 4, 5))
    maps = {"student_map": student_map, "teacher_map": teacher_map, "aligned": aligned}
    computed = values(with_inputs(**maps, features=5 - 3 * aligned), 1)
    assert computed["attention"] == pytest.approx((1 - 1 / 4) ** 2 + 15 / 16)
    assert computed["correlation"] == pytest.approx(2 * 15 / 16)  # ρ = -1; n - 1 of 16 positions
    computed = values(with_inputs(**maps, features=7 * aligned + 1), 2)
    assert computed["correlation"] == pytest.approx(0, abs=1e-6)


def test_relational_terms_by_hand() -> None:
    """The teacher's triangle has sides 3, 4, 5; the student's points lie on a line: 1, 1, 2."""
    teacher, student = np.zeros((3, 9)), np.zeros((3, 5))
    teacher[1, 0], teacher[2, 1] = 3, 4
    student[1, 2], student[2, 2] = 1, 2
    computed = values(with_inputs(student_vectors=student, teacher_vectors=teacher), 3)
    # By their means, 4 and 4/3: teacher 3/4, 4/4, 5/4; student between the same 3/4, 6/4, 3/4.
    differences = np.array([0, 1 / 2, 1 / 2])
    assert computed["rkd_distance"] == pytest.approx(2 * np.sum(differences**2 / 2) / 9, rel=1e-4)
    # Cosines at the three corners: teacher 0, 3/5, 4/5; student 1, -1, 1. Each is met twice.
    huber = lambda x: x**2 / 2 if x < 1 else x - 1 / 2  # noqa: E731
    angles = huber(1) + huber(8 / 5) + huber(1 / 5)
    assert computed["rkd_angle"] == pytest.approx(2 * angles / 27, rel=1e-4)


CERTAIN = 1e4 * np.eye(4)[[0, 1, 2, 3, 0, 1]]
EXTREMES: dict[str, tuple[Inputs, int]] = {
    "certain and right": (with_inputs(student_logits=CERTAIN, teacher_logits=CERTAIN), 6),
    "certain and opposed": (with_inputs(student_logits=CERTAIN, teacher_logits=-CERTAIN), 6),
    "zero": ({name: array * 0 for name, array in padded(WHOLE, 0.0).items()}, 8),
    "student zero": (with_inputs(**{name: 0 * WHOLE[name] for name, *_ in TERMS.values()}), 6),
    "the same image": (with_inputs(**{n: WHOLE[n][:1].repeat(6, axis=0) for n in NAMES}), 6),
    "one image": (PADDED, 1),
    "no image": (PADDED, 0),
}


@pytest.mark.parametrize("case", EXTREMES)
def test_values_and_gradients_stay_finite(case: str) -> None:
    inputs, rows = EXTREMES[case]
    for name, (value, gradient, _) in evaluate(inputs, np.arange(8) < rows).items():
        assert np.isfinite(value), name
        assert np.isfinite(gradient).all(), name
        assert np.abs(gradient).max() < 1e4, name
        if case == "no image":
            assert value == 0, name


def test_equal_networks_are_no_loss() -> None:
    inputs = with_inputs(
        student_logits=WHOLE["teacher_logits"],
        aligned=WHOLE["features"],
        teacher_vectors=np.pad(2 * WHOLE["student_vectors"] + 1, ((0, 0), (0, 4))),
    )
    computed = values(inputs, 6)
    del computed["attention"]  # maps of unequal sizes
    assert computed == pytest.approx(dict.fromkeys(computed, 0), abs=1e-5)


def test_averaging_is_pytorchs_adaptive_pooling() -> None:
    """Its windows overlap where the sides are no multiples, and cover every value."""
    matrix = averaging_matrix(7, 4)
    assert [np.flatnonzero(row).tolist() for row in matrix] == [
        [0, 1],
        [1, 2, 3],
        [3, 4, 5],
        [5, 6],
    ]
    np.testing.assert_allclose(matrix.sum(axis=1), 1)


def test_logits_are_standardised_in_scale_and_shift() -> None:
    logits = jnp.asarray(WHOLE["student_logits"])
    scores = standardise_logits(logits)
    np.testing.assert_allclose(standardise_logits(5 * logits - 3), scores, atol=1e-5)
    np.testing.assert_allclose(np.mean(scores, axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(np.std(scores, axis=1, ddof=1), 1, rtol=1e-5)


@every_term
def test_shapes_that_do_not_fit_are_refused(name: str) -> None:
    student, teacher, loss = TERMS[name]
    more = {"temperature": T} if student == "student_logits" else {}
    whole = {name: jnp.asarray(array) for name, array in WHOLE.items()}
    labels = [whole["labels"]] if name in ("tckd", "nckd") else []
    fewer = whole[teacher][:3]
    with pytest.raises((ValueError, TypeError)):
        loss(whole[student], fewer, *labels, **more)
