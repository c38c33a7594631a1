"""The losses: PyTorch's values and gradients, hand-computed ones, invariances, extremes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from fakd_jax.distillation.losses import (
    cross_entropy,
    fakd_loss,
    feature_alignment_loss,
    kd_loss,
)


def draw(seed: int, *shape: int, scale: float = 2.0) -> jax.Array:
    return scale * jax.random.normal(jax.random.key(seed), shape)


STUDENT, TEACHER = draw(0, 5, 4), draw(1, 5, 4)
LABELS = jnp.array([0, 3, 1, 2, 3])
ALIGNED, FEATURES = draw(2, 5, 2, 3, 6), draw(3, 5, 2, 3, 6)
MASK = jnp.array([True, False, True, True, False])

# Each loss as a function of (student's rows, the other rows, mask), with inputs for it.
LOSSES: dict[str, tuple[Callable[..., jax.Array], jax.Array, jax.Array]] = {
    "ce": (lambda s, o, mask=None: cross_entropy(s, o, mask=mask), STUDENT, LABELS),
    "kd": (lambda s, o, mask=None: kd_loss(s, o, temperature=3.0, mask=mask), STUDENT, TEACHER),
    "fa": (lambda s, o, mask=None: feature_alignment_loss(s, o, mask=mask), ALIGNED, FEATURES),
}
LOSSES = {name: (jax.jit(loss), *inputs) for name, (loss, *inputs) in LOSSES.items()}
every_loss = pytest.mark.parametrize("name", LOSSES)


def test_cross_entropy_by_hand() -> None:
    logits = jnp.log(jnp.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]]))
    expected = -(np.log(0.2) + np.log(0.25)) / 2
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([1, 2])), expected, rtol=1e-6)


def test_cross_entropy_with_class_weights_and_smoothed_labels_by_hand() -> None:
    """Row 1 has the label 1 of weight 3, row 2 the label 0 of weight 1; ε = 0.3 over 3 classes."""
    rows = np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]])
    targets = np.array([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1]])
    weights = np.array([1.0, 3.0, 0.5])
    expected = -(weights * targets * np.log(rows)).sum() / (3.0 + 1.0)
    # A third row is padding.
    inputs = jnp.log(jnp.array([*rows, [0.1, 0.1, 0.8]])), jnp.array([1, 0, 2])
    mask = jnp.array([True, True, False])
    found = cross_entropy(*inputs, class_weights=(1.0, 3.0, 0.5), label_smoothing=0.3, mask=mask)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.torch
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weights", [(), (0.5, 2.0, 1.0, 0.0)])
def test_cross_entropy_is_pytorchs(weights: tuple[float, ...], smoothing: float) -> None:
    torch = pytest.importorskip("torch")
    loss = torch.nn.CrossEntropyLoss(
        weight=torch.tensor(weights) if weights else None, label_smoothing=smoothing
    )
    expected = loss(torch.tensor(np.asarray(STUDENT)), torch.tensor(np.asarray(LABELS)).long())
    found = cross_entropy(STUDENT, LABELS, class_weights=weights, label_smoothing=smoothing)
    np.testing.assert_allclose(found, expected.item(), rtol=1e-5)


def test_kd_by_hand() -> None:
    teacher, student = np.array([0.8, 0.2]), np.array([0.5, 0.5])
    divergence = 0.8 * np.log(0.8 / 0.5) + 0.2 * np.log(0.2 / 0.5)
    # Logits T·log p soften to exactly p at temperature T.
    inputs = (jnp.array(2.0 * np.log(student))[None], jnp.array(2.0 * np.log(teacher))[None])
    np.testing.assert_allclose(kd_loss(*inputs, temperature=2.0), 4 * divergence, rtol=1e-5)


def test_kd_is_the_divergence_from_teacher_to_student_not_the_other_way() -> None:
    forward = kd_loss(STUDENT, TEACHER, temperature=1.0)
    assert not np.isclose(forward, kd_loss(TEACHER, STUDENT, temperature=1.0), rtol=1e-2)
    p, q = jax.nn.softmax(TEACHER), jax.nn.softmax(STUDENT)
    np.testing.assert_allclose(forward, (p * jnp.log(p / q)).sum(axis=1).mean(), rtol=1e-5)


def test_feature_alignment_by_hand() -> None:
    aligned = jnp.zeros((2, 1, 2, 2))
    features = jnp.array([[[[1.0, 2.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 3.0]]]])
    assert feature_alignment_loss(aligned, features) == (1 + 4 + 9) / 8


@every_loss
def test_gradients_agree_with_finite_differences(name: str) -> None:
    loss, student, other = LOSSES[name]
    with jax.enable_x64(True):
        wide = jnp.asarray(np.asarray(student, np.float64))
        for mask in (None, MASK):
            # check_grads calls with NumPy arrays too; the losses are functions of JAX's.
            check_grads(
                lambda rows, mask=mask: loss(jnp.asarray(rows), other, mask),
                (wide,),
                order=1,
                modes=["rev"],
                eps=1e-6,
            )


@given(shift=st.floats(-50, 50), temperature=st.floats(0.5, 20))
@settings(max_examples=5)
def test_kd_ignores_a_constant_added_to_logits(shift: float, temperature: float) -> None:
    plain = kd_loss(STUDENT, TEACHER, temperature=temperature)
    shifted = kd_loss(STUDENT + shift, TEACHER - shift, temperature=temperature)
    np.testing.assert_allclose(shifted, plain, rtol=2e-3, atol=1e-5)


def test_kd_is_zero_only_for_equal_distributions() -> None:
    assert kd_loss(TEACHER, TEACHER, temperature=3.0) == 0
    assert kd_loss(TEACHER.at[0, 0].add(0.1), TEACHER, temperature=3.0) > 0


@given(seed=st.integers(0, 1000), temperature=st.floats(0.5, 20))
@settings(max_examples=5)
def test_kd_is_never_below_zero(seed: int, temperature: float) -> None:
    student, teacher = draw(seed, 3, 4), draw(seed + 1, 3, 4)
    assert kd_loss(student, teacher, temperature=temperature) >= 0


def test_squared_temperature_keeps_the_size_of_the_gradient() -> None:
    """As T grows, T²·KL tends to the mean of ½·|centred difference of logits|²/C."""

    def gradient(temperature: float) -> np.ndarray:
        loss = lambda rows: kd_loss(rows, TEACHER, temperature=temperature)  # noqa: E731
        return np.asarray(jax.grad(loss)(STUDENT))

    difference = np.asarray(STUDENT - TEACHER)
    limit = (difference - difference.mean(axis=1, keepdims=True)) / (4 * len(difference))
    np.testing.assert_allclose(gradient(100.0), limit, rtol=0.1, atol=2e-3)
    sizes = [np.linalg.norm(gradient(t)) for t in (5.0, 10.0, 20.0, 40.0)]
    assert max(sizes) / min(sizes) < 1.6


@every_loss
@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_extremes_stay_finite(name: str, scale: float) -> None:
    loss, student, other = LOSSES[name]
    extreme = jnp.where(student > 0, scale, -scale)
    opposite = other if name == "ce" else jnp.where(student > 0, -scale, scale)
    value, gradient = jax.value_and_grad(loss)(extreme, opposite)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@every_loss
def test_low_precision_inputs_give_float32_losses(name: str) -> None:
    loss, student, other = LOSSES[name]
    half = student.astype(jnp.bfloat16)
    other_half = other if name == "ce" else other.astype(jnp.bfloat16)
    exact_other = other if name == "ce" else other_half.astype(jnp.float32)
    assert loss(half, other_half).dtype == jnp.float32
    np.testing.assert_array_equal(
        loss(half, other_half), loss(half.astype(jnp.float32), exact_other)
    )


@every_loss
def test_masked_rows_do_not_count(name: str) -> None:
    loss, student, other = LOSSES[name]
    kept = np.flatnonzero(MASK)
    alone, alone_gradient = jax.value_and_grad(loss)(student[kept], other[kept])
    poisoned = student.at[1].set(jnp.nan).at[4].set(1e30)
    masked, gradient = jax.value_and_grad(loss)(poisoned, other, MASK)
    np.testing.assert_allclose(masked, alone, rtol=1e-6)
    np.testing.assert_allclose(gradient[kept], alone_gradient, rtol=1e-5, atol=1e-8)
    assert (gradient[~MASK] == 0).all()


@every_loss
def test_a_full_mask_changes_nothing_and_an_empty_one_gives_zero(name: str) -> None:
    loss, student, other = LOSSES[name]
    full, empty = jnp.ones(5, bool), jnp.zeros(5, bool)
    np.testing.assert_allclose(loss(student, other, full), loss(student, other), rtol=1e-6)
    value, gradient = jax.value_and_grad(loss)(student, other, empty)
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", ["kd", "fa"])
def test_no_gradient_reaches_the_teacher(name: str) -> None:
    loss, student, teacher = LOSSES[name]
    assert (jax.grad(loss, argnums=1)(student, teacher) == 0).all()


@every_loss
def test_shapes_that_do_not_fit_are_refused(name: str) -> None:
    loss, student, other = LOSSES[name]
    with pytest.raises((ValueError, TypeError)):
        loss(student, other[:3])
    with pytest.raises((ValueError, TypeError)):
        loss(student, other, MASK[:3])


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_not_above_zero_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        kd_loss(STUDENT, TEACHER, temperature=temperature)


SETTINGS = {"alpha": 0.3, "beta": 2.0, "temperature": 3.0}
INPUTS = (STUDENT, LABELS, TEACHER, ALIGNED, FEATURES)


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
def test_the_total_is_the_weighted_sum(mask: jax.Array | None) -> None:
    total, terms = fakd_loss(*INPUTS, **SETTINGS, mask=mask)
    expected = {key: loss(s, o, mask) for key, (loss, s, o) in LOSSES.items()}
    assert terms == pytest.approx({key: float(value) for key, value in expected.items()})
    weighted = 0.7 * expected["ce"] + 0.3 * expected["kd"] + 2.0 * expected["fa"]
    np.testing.assert_allclose(total, weighted, rtol=1e-6)
    assert total.dtype == jnp.float32


@pytest.mark.parametrize(
    ("weights", "inputs", "computed"),
    [
        ({"alpha": 0.0, "beta": 0.0}, (STUDENT, LABELS, None, None, None), {"ce"}),
        ({"alpha": 1.0, "beta": 0.0}, (STUDENT, None, TEACHER, None, None), {"kd"}),
        ({"alpha": 0.0, "beta": 1.0}, (STUDENT, LABELS, None, ALIGNED, FEATURES), {"ce", "fa"}),
        ({"alpha": 0.5, "beta": 0.0}, (STUDENT, LABELS, TEACHER, None, None), {"ce", "kd"}),
    ],
)
def test_a_term_of_weight_zero_is_not_computed(
    weights: dict[str, float], inputs: tuple[Any, ...], computed: set[str]
) -> None:
    total, terms = fakd_loss(*inputs, **weights, temperature=3.0)
    assert terms.keys() == computed
    assert np.isfinite(total)


@pytest.mark.parametrize("missing", [1, 2, 3, 4])
def test_a_missing_input_of_a_weighted_term_is_refused(missing: int) -> None:
    inputs = [None if index == missing else value for index, value in enumerate(INPUTS)]
    with pytest.raises(ValueError, match="needed unless"):
        fakd_loss(*inputs, **SETTINGS)


@pytest.mark.parametrize(
    "wrong", [{"alpha": -0.1}, {"alpha": 1.1}, {"beta": -1.0}, {"beta": float("nan")}]
)
def test_weights_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"alpha|beta"):
        fakd_loss(*INPUTS, **SETTINGS | wrong)
