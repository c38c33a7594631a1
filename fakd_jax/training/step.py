"""One training step and one validation step, as pure jitted functions of explicit state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from fakd_jax.data.augment import Augmentation, augment_batch
from fakd_jax.data.preprocessing import Preprocessing, normalise
from fakd_jax.distillation.objective import Objective, TeacherOutputs
from fakd_jax.models import forward
from fakd_jax.models.kernels.compilation import compiler_options
from fakd_jax.training.state import Learner, TrainState, zero_sums

Batch = dict[str, jax.Array]


class Teacher(NamedTuple):
    """A frozen network: its structure in evaluation mode, and its variables.

    Nothing differentiates or saves it, hence nothing can change it (paper: "kept constant").
    """

    graphdef: nnx.GraphDef
    variables: nnx.State

    @classmethod
    def freeze(cls, network: nnx.Module) -> Teacher:
        """Takes a trained network as teacher: batch statistics fixed, no dropout."""
        network.eval()
        graphdef, variables = nnx.split(network)
        return cls(graphdef, variables)

    def network(self) -> nnx.Module:
        """Returns the network; changing it leaves the teacher as it is."""
        return nnx.merge(self.graphdef, self.variables, copy=True)


class Steps(NamedTuple):
    """The jitted functions of a phase.

    Attributes:
      train: (state, teacher variables or None, batch of uint8 images and labels, key) → (state,
        loss), the loss NaN if the gradient is not finite. The key is the phase's: augmentation
        and dropout of each step derive from it and the step's number.
      teach: (teacher variables, batch) → the teacher's outputs on images not augmented.
      validate: (state, teacher outputs or None, batch with mask) → sums over the masked-in images.
    """

    train: Callable[[TrainState, Any, Batch, jax.Array], tuple[TrainState, jax.Array]]
    teach: Callable[[Any, Batch], TeacherOutputs]
    validate: Callable[[TrainState, TeacherOutputs | None, Batch], dict[str, jax.Array]]


def _ask_teacher(
    graphdef: nnx.GraphDef | None,
    variables: nnx.State | None,
    images: jax.Array,
    objective: Objective,
) -> TeacherOutputs:
    assert graphdef is not None
    network = nnx.merge(graphdef, variables, copy=True)
    logits, features = forward(network, images, features=objective.teacher_features)
    return objective.teacher_outputs(logits, features)


def _loss_and_logits(
    learner: Learner,
    images: jax.Array,
    labels: jax.Array,
    teacher: TeacherOutputs | None,
    objective: Objective,
    *,
    dropout_key: jax.Array | None,
    mask: jax.Array | None = None,
) -> tuple[jax.Array, dict[str, jax.Array], jax.Array]:
    """Returns the total loss, its terms, and the logits [B, C] of the learner's network."""
    logits, features = forward(
        learner.network, images, features=objective.student_features, dropout_key=dropout_key
    )
    total, terms = objective.loss(
        logits, features, labels, teacher=teacher, projection=learner.projection, mask=mask
    )
    return total, terms, logits


def _summed(
    loss: jax.Array,
    terms: dict[str, jax.Array],
    logits: jax.Array,
    labels: jax.Array,
    mask: jax.Array | None,
) -> dict[str, jax.Array]:
    """Turns a batch's means into sums over its images, so that epochs average over images."""
    counted = jnp.ones(labels.shape, bool) if mask is None else mask
    count = jnp.sum(counted, dtype=jnp.float32)
    correct = jnp.sum((jnp.argmax(logits, axis=-1) == labels) & counted, dtype=jnp.float32)
    sums = zero_sums() | {name: term * count for name, term in terms.items()}
    return sums | {"loss": loss * count, "correct": correct, "count": count}


def make_steps(
    learner: Learner,
    teacher_graphdef: nnx.GraphDef | None,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    preprocessing: Preprocessing,
    augmentation: Augmentation,
    *,
    steps_per_epoch: int,
) -> Steps:
    """Builds the jitted steps of a phase.

    Args:
      learner: gives the structure; its variables live in the :class:`TrainState`.
      teacher_graphdef: the frozen teacher's structure, None where the objective needs none.
      objective: the loss.
      optimizer: optax's transformation.
      preprocessing: mean and standard deviation of the inputs.
      augmentation: of the training images, on the device.
      steps_per_epoch: after so many steps the sums begin again.

    Raises:
      ValueError: if the objective needs a teacher and there is none.
    """
    if objective.needs_teacher and teacher_graphdef is None:
        raise ValueError("this objective needs a teacher")
    learner.train()
    train_graphdef = nnx.split(learner, nnx.Param, nnx.BatchStat)[0]
    learner.eval()
    eval_graphdef = nnx.split(learner, nnx.Param, nnx.BatchStat)[0]

    def normalised(images: jax.Array) -> jax.Array:
        return jnp.asarray(normalise(images, preprocessing.mean, preprocessing.std))

    def train(
        state: TrainState, teacher_variables: nnx.State | None, batch: Batch, key: jax.Array
    ) -> tuple[TrainState, jax.Array]:
        augment_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step))
        images = normalised(augment_batch(augment_key, batch["image"], augmentation))
        outputs = None
        if objective.needs_teacher:
            outputs = _ask_teacher(teacher_graphdef, teacher_variables, images, objective)

        def loss_function(params: nnx.State) -> tuple[jax.Array, Any]:
            student = nnx.merge(train_graphdef, params, state.batch_stats, copy=True)
            total, terms, logits = _loss_and_logits(
                student, images, batch["label"], outputs, objective, dropout_key=dropout_key
            )
            return total, (terms, logits, nnx.state(student, nnx.BatchStat))

        (loss, (terms, logits, batch_stats)), gradients = jax.value_and_grad(
            loss_function, has_aux=True
        )(state.params)
        # A gradient that is not finite spoils the parameters a step before the loss tells of it.
        loss = jnp.where(jnp.isfinite(optax.tree.norm(gradients)), loss, jnp.nan)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer_state, state.params)
        begins_epoch = state.step % steps_per_epoch == 0
        sums = jax.tree.map(
            lambda so_far, new: jnp.where(begins_epoch, 0.0, so_far) + new,
            state.sums,
            _summed(loss, terms, logits, batch["label"], None),
        )
        next_state = TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=batch_stats,
            optimizer_state=optimizer_state,
            sums=sums,
        )
        return next_state, loss

    def teach(teacher_variables: nnx.State, batch: Batch) -> TeacherOutputs:
        images = normalised(batch["image"])
        return _ask_teacher(teacher_graphdef, teacher_variables, images, objective)

    def validate(
        state: TrainState, outputs: TeacherOutputs | None, batch: Batch
    ) -> dict[str, jax.Array]:
        student = nnx.merge(eval_graphdef, state.params, state.batch_stats, copy=True)
        total, terms, logits = _loss_and_logits(
            student,
            normalised(batch["image"]),
            batch["label"],
            outputs,
            objective,
            dropout_key=None,
            mask=batch["mask"],
        )
        return _summed(total, terms, logits, batch["label"], batch["mask"])

    return Steps(
        train=jax.jit(train, donate_argnums=0, compiler_options=compiler_options()),
        teach=jax.jit(teach, compiler_options=compiler_options()),
        validate=jax.jit(validate, compiler_options=compiler_options()),
    )
