"""The losses that teach where to look: by hand, by finite differences, and without any lesion."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from fakd_jax.distillation.lesions import (
    UNIFORM_SHARE,
    counterfactual_loss,
    evidence_of_map,
    lesion_attention_loss,
    log_probabilities,
    right_reasons_loss,
)
from fakd_jax.distillation.objective import Objective
from fakd_jax.distillation.terms import TermWeights

# A lesion of 4 × 4 pixels, on a map of 2 × 2 positions: half of the upper left one, a quarter of
# the upper right one. The second image has none.
LESIONS = jnp.zeros((2, 4, 4)).at[0, 0, :2].set(1).at[0, 0, 2].set(1)
FEATURES = jnp.asarray(
    [
        [[[1.0, -2.0], [0.0, 1.0]], [[1.0, 1.0], [0.0, 2.0]]],
        [[[9.0, 9.0], [9.0, 9.0]], [[9.0, 9.0], [9.0, 9.0]]],
    ]
)
GRADIENT = jnp.asarray(
    [
        [[[2.0, 0.5], [1.0, 4.0]], [[-1.0, 3.0], [5.0, 0.0]]],
        [[[7.0, 7.0], [7.0, 7.0]], [[7.0, 7.0], [7.0, 7.0]]],
    ]
)
OF_LESIONS = Objective(
    lesion_layer="map",
    right_reasons_layer="map",
    terms=TermWeights(lesion_attention=2.0, right_reasons=3.0),
)


def test_attention_by_hand() -> None:
    target = np.array([2 / 3, 1 / 3])
    # Q = 5, 1, 2, 4 of 12.
    q = (1 - UNIFORM_SHARE) * np.array([5 / 12, 1 / 12]) + UNIFORM_SHARE / 4
    expected = np.sum(target * np.log(target / q))
    found = jax.jit(lesion_attention_loss)(FEATURES, LESIONS)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_reasons_by_hand() -> None:
    # Outside of the lesion are 1/2, 3/4, 1 and 1 of the positions.
    expected = 0.25 * (4 + 0.25) + 0.5625 * (1 + 16) + (1 + 9) + 25
    np.testing.assert_allclose(right_reasons_loss(GRADIENT, LESIONS), expected, rtol=1e-6)
    evidence = evidence_of_map(FEATURES, GRADIENT)
    np.testing.assert_array_equal(evidence[0, ..., 0], [[1, 4], [2, 0]])
    expected = 0.5**2 + 3.0**2 + 2.0**2
    np.testing.assert_allclose(right_reasons_loss(evidence, LESIONS), expected, rtol=1e-6)


def test_confidence_without_the_lesion_by_hand() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25], [0.1, 0.1, 0.8]], np.float32)
    logits, labels = jnp.log(probabilities) + 5, jnp.array([0, 1, 2])
    loss = jax.jit(counterfactual_loss)
    refuted = jnp.array([True, True, False])
    expected = -(np.log(1 - 0.7) + np.log(1 - 0.5)) / 2
    np.testing.assert_allclose(loss(logits, labels, refuted), expected, rtol=1e-5)
    masked = loss(logits, labels, refuted, mask=np.array([False, True, True]))
    np.testing.assert_allclose(masked, np.log(2), rtol=1e-5)
    assert loss(logits, labels, np.zeros(3, bool)) == 0
    certain = jnp.array([[80.0, 0.0, 0.0]])  # 1 - p is 0 in float32
    gradient = jax.grad(counterfactual_loss)(certain, labels[:1], refuted[:1])
    np.testing.assert_allclose(gradient, [[1.0, -0.5, -0.5]], atol=1e-6)
    check_grads(lambda x: loss(x, labels, refuted), (logits,), 1, ["rev"], rtol=1e-2)


def test_a_refuted_image_has_no_label_and_no_lesion() -> None:
    logits, labels = jnp.asarray([[2.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), jnp.asarray([0, 1])
    objective = Objective(
        lesion_layer="map",
        terms=TermWeights(lesion_attention=1.0, tckd=0.0, counterfactual=0.5),
    )
    refuted = jnp.asarray([True, False])
    total, terms = objective.loss(
        logits, {"map": FEATURES}, labels, lesions=LESIONS, refuted=refuted
    )
    log_p = jax.nn.log_softmax(logits)
    np.testing.assert_allclose(terms["ce"], -log_p[1, 1], rtol=1e-6)
    np.testing.assert_allclose(
        terms["counterfactual"], -jnp.log(1 - jnp.exp(log_p[0, 0])), rtol=1e-5
    )
    assert terms["lesion_attention"] == 0  # the second image never had a lesion
    np.testing.assert_allclose(total, terms["ce"] + 0.5 * terms["counterfactual"], rtol=1e-6)


def test_gradients_are_those_of_finite_differences() -> None:
    attention = jax.jit(lambda x: lesion_attention_loss(x, LESIONS))
    check_grads(attention, (FEATURES,), 1, ["rev"], rtol=1e-2)
    check_grads(
        jax.jit(lambda x, y: right_reasons_loss(evidence_of_map(x, y), LESIONS)),
        (FEATURES, GRADIENT),
        1,
        ["rev"],
        rtol=1e-2,
    )


@pytest.mark.parametrize("mask", [None, jnp.array([False, True])])
def test_without_a_lesion_that_counts_there_is_no_loss_and_no_gradient(
    mask: jax.Array | None,
) -> None:
    lesions = jnp.zeros_like(LESIONS) if mask is None else LESIONS
    broken = [values.at[0, 0, 0, 0].set(jnp.nan) for values in (FEATURES, GRADIENT)]

    @jax.jit
    def loss(features: jax.Array, gradient: jax.Array) -> jax.Array:
        first = lesion_attention_loss(features, lesions, mask=mask)
        return first + right_reasons_loss(gradient, lesions, mask=mask)

    value, gradients = jax.value_and_grad(loss, argnums=(0, 1))(*broken)
    assert value == 0
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, np.zeros_like(FEATURES))


def test_a_map_of_zeros_looks_everywhere_and_can_learn() -> None:
    found, gradient = jax.value_and_grad(lesion_attention_loss)(jnp.zeros_like(FEATURES), LESIONS)
    target = np.array([2 / 3, 1 / 3])
    np.testing.assert_allclose(found, np.sum(target * np.log(4 * target)), rtol=1e-5)
    assert np.isfinite(gradient).all()


def test_log_probabilities_by_hand() -> None:
    found = log_probabilities(jnp.log(jnp.array([[1.0, 3.0], [2.0, 2.0]])))
    np.testing.assert_allclose(found, np.log([0.25, 0.75, 0.5, 0.5]).sum(), rtol=1e-6)


def test_the_objective_weighs_them_and_needs_no_teacher() -> None:
    logits, labels = jnp.zeros((2, 3)), jnp.array([0, 2])
    assert OF_LESIONS.needs_gradient
    assert not OF_LESIONS.needs_teacher
    assert OF_LESIONS.student_features == ("map",)
    features = {"map": FEATURES}
    total, terms = OF_LESIONS.loss(logits, features, labels, lesions=LESIONS, gradient=GRADIENT)
    assert list(terms) == ["ce", "lesion_attention", "right_reasons"]
    np.testing.assert_allclose(terms["right_reasons"], 13.25, rtol=1e-6)
    expected = terms["ce"] + 2 * terms["lesion_attention"] + 3 * terms["right_reasons"]
    np.testing.assert_allclose(total, expected, rtol=1e-6)
    total, terms = OF_LESIONS.loss(logits, features, labels)  # as in validation
    assert total == terms["ce"]
    with pytest.raises(ValueError, match="gradient"):
        OF_LESIONS.loss(logits, features, labels, lesions=LESIONS)
