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


HALF = jnp.array([True, False, True, False])
FOUR_LOGITS = jnp.log(
    jnp.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.25, 0.25, 0.5], [0.8, 0.1, 0.1]])
)
FOUR_LABELS = jnp.array([0, 1, 1, 0])
FOUR_TEACHERS = jnp.log(
    jnp.array([[0.2, 0.6, 0.2], [0.5, 0.3, 0.2], [0.3, 0.3, 0.4], [0.1, 0.1, 0.8]])
)


def test_cross_entropy_is_the_mean_over_the_labelled_images_by_hand():
    loss, terms = Objective().loss(FOUR_LOGITS, {}, FOUR_LABELS, labelled=HALF)
    np.testing.assert_allclose(loss, -(np.log(0.5) + np.log(0.25)) / 2, rtol=1e-6)
    assert terms["ce"] == loss
    mask = jnp.array([True, True, False, True])  # of the labelled ones, the first alone
    loss, _ = Objective().loss(FOUR_LOGITS, {}, FOUR_LABELS, labelled=HALF, mask=mask)
    np.testing.assert_allclose(loss, -np.log(0.5), rtol=1e-6)
    weighted = Objective(class_weights=(1.0, 3.0, 1.0))
    loss, _ = weighted.loss(FOUR_LOGITS, {}, FOUR_LABELS, labelled=HALF)
    np.testing.assert_allclose(loss, -(np.log(0.5) + 3 * np.log(0.25)) / 4, rtol=1e-6)


def test_a_batch_without_labels_has_no_cross_entropy_and_only_the_teachers_gradient():
    nothing = jnp.zeros(4, bool)

    def loss(logits, objective):
        teacher = objective.teacher_outputs(FOUR_TEACHERS, {})
        return objective.loss(logits, {}, FOUR_LABELS, teacher=teacher, labelled=nothing)[0]

    value, gradient = jax.value_and_grad(loss)(FOUR_LOGITS, Objective())
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)
    half, whole = (jax.grad(loss)(FOUR_LOGITS, Objective(alpha=alpha)) for alpha in (0.5, 1.0))
    np.testing.assert_allclose(half, whole / 2, rtol=1e-6)
    assert np.abs(half).max() > 0.01


def test_the_target_of_decoupled_distillation_is_the_teachers_prediction_where_unlabelled():
    """Of the teachers' rows, the second predicts class 0 and the fourth class 2."""
    objective = Objective(temperature=1.0, terms=TermWeights(tckd=1.0, nckd=1.0))
    teacher = objective.teacher_outputs(FOUR_TEACHERS, {})
    _, terms = objective.loss(FOUR_LOGITS, {}, FOUR_LABELS, teacher=teacher, labelled=HALF)
    targets = [0, 0, 1, 2]
    ours, theirs = np.exp(FOUR_LOGITS), np.exp(FOUR_TEACHERS)
    tckd, nckd = [], []
    for student, taught, target in zip(ours, theirs, targets, strict=True):
        binary = [np.array([p[target], 1 - p[target]]) for p in (taught, student)]
        others = [np.delete(p, target) / (1 - p[target]) for p in (taught, student)]
        for found, (t, s) in ((tckd, binary), (nckd, others)):
            found.append(np.sum(t * np.log(t / s)))
    np.testing.assert_allclose(terms["tckd"], np.mean(tckd), rtol=1e-5)
    np.testing.assert_allclose(terms["nckd"], np.mean(nckd), rtol=1e-5)


@pytest.mark.parametrize("is_mixed", [False, True])
def test_another_label_of_an_unlabelled_image_changes_no_bit(is_mixed):
    objective = Objective(
        alpha=0.5,
        terms=TermWeights(tckd=1.0, nckd=2.0),
        class_weights=(1.0, 2.0, 3.0),
        label_smoothing=0.1,
    )
    teacher = objective.teacher_outputs(FOUR_TEACHERS, {})

    @jax.jit
    def value_and_gradient(labels, others):
        mixed = MixedLabels(others, jnp.float32(0.3), jnp.roll(HALF, 1)) if is_mixed else None
        return jax.value_and_grad(
            lambda logits: objective.loss(
                logits, {}, labels, teacher=teacher, labelled=HALF, mixed=mixed
            )[0]
        )(FOUR_LOGITS)

    before = value_and_gradient(FOUR_LABELS, jnp.roll(FOUR_LABELS, 1))
    for labels in ([0, 2, 1, 1], [0, 0, 1, 2]):
        after = value_and_gradient(jnp.array(labels), jnp.roll(jnp.array(labels), 1))
        assert [np.asarray(x).tobytes() for x in after] == [np.asarray(x).tobytes() for x in before]
    changed = value_and_gradient(jnp.array([1, 1, 1, 0]), jnp.roll(jnp.array([1, 1, 1, 0]), 1))
    assert changed[0] != before[0]  # of a labelled image


def test_all_labelled_is_the_loss_without_the_mask_and_mixtures_are_mixed_by_their_own():
    objective = Objective(alpha=0.5, terms=TermWeights(tckd=1.0))
    teacher = objective.teacher_outputs(FOUR_TEACHERS, {})
    every = jnp.ones(4, bool)
    plain, masked = (
        objective.loss(FOUR_LOGITS, {}, FOUR_LABELS, teacher=teacher, labelled=labelled)[0]
        for labelled in (None, every)
    )
    np.testing.assert_allclose(masked, plain, rtol=1e-6)
    others, mask = jnp.roll(FOUR_LABELS, 1), jnp.roll(HALF, 1)
    own, other = (
        objective.loss(FOUR_LOGITS, {}, labels, teacher=teacher, labelled=labelled)[1]
        for labels, labelled in ((FOUR_LABELS, HALF), (others, mask))
    )
    mixed = MixedLabels(others, jnp.float32(0.25), mask)
    _, mixture = objective.loss(
        FOUR_LOGITS, {}, FOUR_LABELS, teacher=teacher, labelled=HALF, mixed=mixed
    )
    for name in ("ce", "tckd"):
        expected = 0.25 * own[name] + 0.75 * other[name]
        np.testing.assert_allclose(mixture[name], expected, rtol=1e-6)
    with pytest.raises(ValueError, match="both images"):
        objective.loss(FOUR_LOGITS, {}, FOUR_LABELS, teacher=teacher, mixed=mixed)
