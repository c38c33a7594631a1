"""The objective: what it asks of the networks, and the loss it computes from their outputs."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.distillation.losses import fakd_loss
from fakd_jax.distillation.objective import Objective
from fakd_jax.distillation.projection import Projection

LABELS = jnp.array([0, 3])
LOGITS, TEACHER_LOGITS = jnp.arange(8.0).reshape(2, 4), jnp.ones((2, 4))
STUDENT_MAP, TEACHER_MAP = jnp.ones((2, 2, 2, 3)), jnp.full((2, 4, 4, 5), 0.5)


@pytest.mark.parametrize(
    ("alpha", "beta", "needs_teacher", "teacher_features", "student_features"),
    [
        (0.0, 0.0, False, (), ()),
        (0.5, 0.0, True, (), ()),
        (0.0, 1.0, True, ("layer3",), ("features.16",)),
    ],
)
def test_only_terms_with_a_weight_ask_anything_of_the_networks(
    alpha, beta, needs_teacher, teacher_features, student_features
):
    objective = Objective(alpha=alpha, beta=beta)
    assert objective.needs_teacher == needs_teacher
    assert objective.teacher_features == teacher_features
    assert objective.student_features == student_features


def test_the_loss_is_the_papers_with_the_students_features_projected():
    objective = Objective(alpha=0.3, beta=2.0)
    projection = Projection(3, 5, rngs=nnx.Rngs(0))
    teacher = objective.teacher_outputs(TEACHER_LOGITS, {"layer3": TEACHER_MAP})
    total, terms = objective.loss(
        LOGITS, {"features.16": STUDENT_MAP}, LABELS, teacher=teacher, projections=[projection]
    )
    aligned = projection(STUDENT_MAP, (4, 4))
    expected, expected_terms = fakd_loss(
        LOGITS, LABELS, TEACHER_LOGITS, aligned, TEACHER_MAP, alpha=0.3, beta=2.0, temperature=3.0
    )
    np.testing.assert_array_equal(total, expected)
    assert terms == expected_terms
    with pytest.raises(ValueError, match="projection"):
        objective.loss(LOGITS, {"features.16": STUDENT_MAP}, LABELS, teacher=teacher)
