"""Training steps with masks, on a tiny network."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from fakd_jax.data.augment import Augmentation
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.distillation.objective import Objective
from fakd_jax.distillation.terms import TermWeights
from fakd_jax.models import create_model
from fakd_jax.training.state import Learner, initial_state, to_named_arrays
from fakd_jax.training.step import Steps, make_steps

SIZE, BATCH, CLASSES, LAYER = 32, 4, 3, "features.4"
KEY = jax.random.key(0)


def learner() -> Learner:
    return Learner(create_model("tiny_mobilenet", num_classes=CLASSES, rngs=nnx.Rngs(0)))


def steps_of(objective: Objective, **settings: float) -> Steps:
    still = Augmentation(flip_probability=0.0, rotation_degrees=0.0, **settings)
    return make_steps(
        learner(), None, objective, optax.sgd(0.1), Preprocessing(SIZE), still, steps_per_epoch=9
    )


def batch() -> dict[str, jax.Array]:
    generator = np.random.default_rng(0)
    return {
        "image": jnp.asarray(generator.integers(0, 256, (BATCH, SIZE, SIZE, 3)), jnp.uint8),
        "label": jnp.asarray(generator.integers(0, CLASSES, BATCH), jnp.int32),
    }


def lesions(value: int) -> dict[str, jax.Array]:
    """A lesion in the upper left quarter of all images but one."""
    masks = jnp.zeros((BATCH, SIZE, SIZE), jnp.uint8).at[1:, :16, :16].set(value)
    return {"lesion": masks, "lesion_chance": jnp.any(masks > 0, axis=(1, 2)).astype(jnp.float32)}


@pytest.mark.slow
def test_lesions_count_in_training_and_without_any_it_is_the_plain_step() -> None:
    """With outlines both terms have a gradient; a batch without any, and validation, have none."""
    weights = TermWeights(lesion_attention=1.0, right_reasons=1.0)
    objectives = (
        Objective(),
        Objective(lesion_layer=LAYER, right_reasons_layer=LAYER, terms=weights),
    )
    plain, taught = map(steps_of, objectives)

    def after(steps: Steps, objective: Objective, **masks: jax.Array) -> tuple[dict, float]:
        state = initial_state(learner(), optax.sgd(0.1), objective.weights.keys())
        state, loss = steps.train(state, None, batch() | masks, KEY)
        return to_named_arrays(state.params), float(loss)

    expected, loss = after(plain, objectives[0])
    unmoved, same_loss = after(taught, objectives[1], **lesions(0))
    moved, larger = after(taught, objectives[1], **lesions(255))
    np.testing.assert_allclose(same_loss, loss, rtol=1e-5)
    assert larger > loss + 1e-3
    for name, value in expected.items():
        np.testing.assert_allclose(unmoved[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
    assert any(np.abs(moved[name] - expected[name]).max() > 1e-4 for name in expected)

    state = initial_state(learner(), optax.sgd(0.1), objectives[1].weights.keys())
    sums = taught.validate(state, None, batch())
    assert float(sums["lesion_attention"]) == float(sums["right_reasons"]) == 0
    np.testing.assert_allclose(sums["loss"], sums["ce"], rtol=1e-6)


def test_an_image_without_its_lesion_counts_for_the_counterfactual_term_alone() -> None:
    objective = Objective(terms=TermWeights(counterfactual=1.0))
    steps = steps_of(objective, lesion_infill=1.0)
    state = initial_state(learner(), optax.sgd(0.1), [*objective.weights, "labelled"])
    found = []
    for step in range(3):
        before = {name: float(value) for name, value in state.sums.items()}
        state, loss = steps.train(state, None, batch() | lesions(255), KEY)
        assert np.isfinite(loss), step
        found.append({name: float(state.sums[name]) - before[name] for name in before})
    for sums in found:
        assert sums["count"] == BATCH
        assert 1 <= sums["labelled"] <= BATCH  # the first image has no lesion to lose
        assert sums["correct"] <= sums["labelled"]
        assert (sums["counterfactual"] > 0) == (sums["labelled"] < BATCH)
    assert any(sums["labelled"] < BATCH for sums in found)


def test_a_step_without_masks_is_that_of_a_loss_that_knows_no_lesions() -> None:
    """Not only the same values: the same program."""

    def program(objective: Objective) -> str:
        state = initial_state(learner(), optax.sgd(0.1), objective.weights.keys())
        return str(steps_of(objective).train.trace(state, None, batch(), KEY).jaxpr)

    off = Objective(
        lesion_layer="none", right_reasons_layer="none", terms=TermWeights(right_reasons=0.0)
    )
    assert program(off) == program(Objective())
