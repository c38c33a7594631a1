"""The objective: what it asks of the networks, and the loss it computes from their outputs."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.distillation.attention import attention_loss
from fakd_jax.distillation.losses import fakd_loss, feature_alignment_loss
from fakd_jax.distillation.objective import MixedLabels, Objective
from fakd_jax.distillation.projection import Projection
from fakd_jax.distillation.terms import TERM_NAMES, TermWeights

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
    with pytest.raises(ValueError, match="teacher"):
        objective.loss(LOGITS, {"features.16": STUDENT_MAP}, LABELS)


def test_every_term_has_a_name_and_a_weight():
    terms = [field.name for field in dataclasses.fields(TermWeights)]
    assert list(TERM_NAMES) == ["ce", "kd", "fa", *terms]
    every = TermWeights(**dict.fromkeys(terms, 0.5))
    assert list(Objective(alpha=0.25, beta=3.0, terms=every).weights) == list(TERM_NAMES)
    assert Objective(alpha=0.25, terms=TermWeights(nckd=8.0)).weights == {
        "ce": 0.75,
        "kd": 0.25,
        "nckd": 8.0,
    }


@pytest.mark.parametrize(
    ("term", "compares_features"),
    [("tckd", False), ("dist_intra", False), ("attention", True), ("rkd_angle", True)],
)
def test_a_further_term_needs_a_teacher_and_no_projection(term, compares_features):
    objective = Objective(terms=TermWeights(**{term: 1.0}))
    assert objective.needs_teacher
    assert objective.compares_features == compares_features
    assert objective.teacher_features == (("layer3",) if compares_features else ())
    assert not objective.aligns_features


@pytest.mark.slow
def test_several_pairs_of_layers_are_averaged():
    objective = Objective(
        beta=2.0, terms=TermWeights(attention=3.0), layer_pairs="layer3:a, layer3:b"
    )
    assert objective.pairs == (("layer3", "a"), ("layer3", "b"))
    assert objective.teacher_features == ("layer3",)
    assert objective.student_features == ("a", "b")
    key = jax.random.key(0)
    maps = {
        name: jax.random.normal(jax.random.fold_in(key, n), (2, 2, 2, 3))
        for n, name in enumerate("ab")
    }
    teacher_map = jax.random.normal(key, (2, 4, 4, 5))
    teacher = objective.teacher_outputs(TEACHER_LOGITS, {"layer3": teacher_map})
    projections = [Projection(3, 5, rngs=nnx.Rngs(seed)) for seed in range(2)]
    total, terms = objective.loss(LOGITS, maps, LABELS, teacher=teacher, projections=projections)
    aligned = [
        feature_alignment_loss(projection(maps[name], (4, 4)), teacher_map)
        for name, projection in zip("ab", projections, strict=True)
    ]
    attention = [attention_loss(maps[name], teacher_map) for name in "ab"]
    np.testing.assert_allclose(terms["fa"], np.mean(aligned), rtol=1e-6)
    np.testing.assert_allclose(terms["attention"], np.mean(attention), rtol=1e-6)
    expected = terms["ce"] + 2 * terms["fa"] + 3 * terms["attention"]
    np.testing.assert_allclose(total, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="2 pairs"):
        objective.loss(LOGITS, maps, LABELS, teacher=teacher, projections=projections[:1])


@pytest.mark.parametrize(
    "further", [{}, pytest.param({"tckd": 1.0, "nckd": 1.0}, marks=pytest.mark.slow)]
)
def test_labels_of_mixtures_are_mixed_and_the_teacher_is_compared_as_it_is(further):
    objective = Objective(alpha=0.5, terms=TermWeights(**further))
    teacher = objective.teacher_outputs(TEACHER_LOGITS, {})
    others = jnp.array([1, 2])
    mixed = MixedLabels(others, jnp.float32(0.25))
    plain, other, mixture = (
        objective.loss(LOGITS, {}, labels, teacher=teacher, mixed=mixed)[1]
        for labels, mixed in ((LABELS, None), (others, None), (LABELS, mixed))
    )
    for name in ("ce", *further):
        expected = 0.25 * plain[name] + 0.75 * other[name]
        np.testing.assert_allclose(mixture[name], expected, rtol=1e-6)
    assert mixture["kd"] == plain["kd"]


@pytest.mark.slow
def test_standardised_logits_are_compared_and_those_of_the_labels_are_not():
    plain, standardised = (Objective(alpha=0.5, standardise_logits=on) for on in (False, True))
    teacher = plain.teacher_outputs(5 * LOGITS + 1, {})
    (_, before), (_, after) = (
        one.loss(LOGITS, {}, LABELS, teacher=teacher) for one in (plain, standardised)
    )
    assert before["ce"] == after["ce"]
    assert before["kd"] > 0.1
    np.testing.assert_allclose(after["kd"], 0, atol=1e-6)
