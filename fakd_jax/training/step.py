"""One training step and one validation step, as pure jitted functions of explicit state."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import NamedSharding

from fakd_jax.data.augment import Augmentation, Augmented, Outlines, augment_outlined
from fakd_jax.data.mixup import mixed_in, mixup
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.distillation.lesions import log_probabilities
from fakd_jax.distillation.objective import MixedLabels, Objective, TeacherOutputs
from fakd_jax.models import forward, forward_and_gradient
from fakd_jax.models.kernels.compilation import compiler_options
from fakd_jax.training.batch_statistics import include_batch
from fakd_jax.training.sharding import Placement
from fakd_jax.training.state import LABELLED, Learner, TrainState, zero_sums

Batch = dict[str, jax.Array]
Sums = dict[str, jax.Array]


class Teacher(NamedTuple):
    """A frozen network: its structure in evaluation mode, and its variables.

    Nothing differentiates or saves it, hence nothing can change it (paper: "kept constant").

    Attributes:
      preprocessing: of its inputs, which may differ from the run's in normalisation; None for the
        run's.
    """

    graphdef: nnx.GraphDef
    variables: nnx.State
    preprocessing: Preprocessing | None = None

    @classmethod
    def freeze(cls, network: nnx.Module, preprocessing: Preprocessing | None = None) -> Teacher:
        """Makes a trained network a teacher: batch statistics fixed, no dropout."""
        network.eval()
        return cls(*nnx.split(network), preprocessing)

    def network(self) -> nnx.Module:
        """Returns a copy of the network."""
        return nnx.merge(self.graphdef, self.variables, copy=True)


class Steps(NamedTuple):
    """The jitted functions of a phase.

    Attributes:
      train: (state, teacher variables or None, batch of uint8 images and labels, key) → (state,
        loss); the loss is NaN if the gradient is not finite. The key is the phase's: augmentation
        and dropout of each step derive from it and the step's number. A batch may have "labelled",
        bool [B]: where it is False, the label does not count; and "lesion", uint8 [B, H, W], with
        "lesion_chance", float32 [B], where the loss or the augmentation needs outlines.
      teach: (teacher variables, batch) → the teacher's outputs on images without augmentation.
      validate: (state, teacher outputs or None, batch with mask) → sums over the masked-in images,
        "class_correct" and "class_count" float32 [C], the others scalars.
      re_estimate: (state, batch statistics estimated so far, number of batches so far, batch of
        uint8 images, with masks as in training, key) → the statistics estimated with one more
        batch, augmented as in training.
    """

    train: Callable[[TrainState, Any, Batch, jax.Array], tuple[TrainState, jax.Array]]
    teach: Callable[[Any, Batch], TeacherOutputs]
    validate: Callable[[TrainState, TeacherOutputs | None, Batch], Sums]
    re_estimate: Callable[[TrainState, nnx.State, Any, Batch, jax.Array], nnx.State]


def make_steps(
    learner: Learner,
    teacher_graphdef: nnx.GraphDef | None,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    preprocessing: Preprocessing,
    augmentation: Augmentation,
    *,
    steps_per_epoch: int,
    ema_decay: float = 0.0,
    deterministic: bool = True,
    placement: Placement | None = None,
    teacher_preprocessing: Preprocessing | None = None,
) -> Steps:
    """Builds the jitted steps of a phase.

    Phases that differ in their arrays alone share the functions of the last few: the runs of a
    study are traced and compiled once. That needs the very same optimizer, as of
    :func:`fakd_jax.training.optimizer.adamw`.

    Args:
      learner: gives the structure; its variables are in the :class:`TrainState`.
      teacher_graphdef: the frozen teacher's structure; None if the objective needs no teacher.
      objective: the loss.
      optimizer: updates the parameters.
      preprocessing: makes the networks' inputs from the images.
      augmentation: of the training images, on the device.
      steps_per_epoch: after this many steps the sums start again from zero.
      ema_decay: share of the averages that each step keeps, see :func:`average_values`; 0 averages
        nothing.
      deterministic: see :func:`fakd_jax.models.kernels.compilation.compiler_options`.
      placement: of states and sums, replicated, and of the teacher's outputs, split; None leaves
        them where the arguments are.
      teacher_preprocessing: see :class:`Teacher`.

    Raises:
      ValueError: the objective needs a teacher and there is none.
    """
    if objective.needs_teacher and teacher_graphdef is None:
        raise ValueError("this objective needs a teacher")
    learner.train()
    train_graphdef = nnx.split(learner, nnx.Param, nnx.BatchStat)[0]
    learner.eval()
    eval_graphdef = nnx.split(learner, nnx.Param, nnx.BatchStat)[0]
    return _jitted(
        train_graphdef,
        eval_graphdef,
        teacher_graphdef,
        objective,
        optimizer,
        preprocessing,
        augmentation,
        steps_per_epoch,
        ema_decay,
        deterministic,
        placement.replicated if placement else None,
        placement.split if placement else None,
        teacher_preprocessing,
    )


@functools.lru_cache(maxsize=8)
def _jitted(
    train_graphdef: nnx.GraphDef,
    eval_graphdef: nnx.GraphDef,
    teacher_graphdef: nnx.GraphDef | None,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    preprocessing: Preprocessing,
    augmentation: Augmentation,
    steps_per_epoch: int,
    ema_decay: float,
    deterministic: bool,
    whole: NamedSharding | None,
    split: NamedSharding | None,
    teacher_preprocessing: Preprocessing | None,
) -> Steps:
    """The jitted steps, see :func:`make_steps`."""

    def augmented(key: jax.Array, batch: Batch) -> tuple[jax.Array, Augmented]:
        """Returns the networks' inputs, and the augmented batch that they were made of."""
        outlines = None
        if "lesion" in batch:
            outlines = Outlines(batch["lesion"], batch["lesion_chance"])
        pictures = augment_outlined(key, batch["image"], outlines, augmentation)
        return preprocessing.inputs(pictures.images), pictures

    def teacher_outputs(variables: nnx.State | None, images: jax.Array) -> TeacherOutputs:
        assert teacher_graphdef is not None
        if teacher_preprocessing is not None:
            images = preprocessing.renormalised(images, teacher_preprocessing)
        network = nnx.merge(teacher_graphdef, variables, copy=True)
        logits, features = forward(network, images, features=objective.teacher_features)
        return objective.teacher_outputs(logits, features)

    def loss_and_sums(
        learner: Learner,
        images: jax.Array,
        batch: Batch,
        teacher: TeacherOutputs | None,
        dropout_key: jax.Array | None = None,
        mixed: MixedLabels | None = None,
        augmented: Augmented | None = None,
    ) -> tuple[jax.Array, Sums, Sums]:
        """Returns the mean loss, and sums over the images that the mask keeps: of all, by class."""
        labels, mask, labelled = batch["label"], batch.get("mask"), batch.get(LABELLED)
        lesions = refuted = None
        if augmented is not None and augmented.lesions is not None:
            lesions = augmented.lesions.astype(jnp.float32) / 255
            refuted = augmented.refuted
        wanted: dict[str, Any] = {
            "features": objective.student_features,
            "dropout_key": dropout_key,
        }
        gradient = None
        if objective.needs_gradient and lesions is not None:
            by = objective.right_reasons_layer
            logits, features, gradient = forward_and_gradient(
                learner.network, images, by, log_probabilities, **wanted
            )
        else:
            logits, features = forward(learner.network, images, **wanted)
        loss, terms = objective.loss(
            logits,
            features,
            labels,
            teacher=teacher,
            projections=learner.projections,
            mask=mask,
            mixed=mixed,
            labelled=labelled,
            lesions=lesions,
            refuted=refuted,
            gradient=gradient,
        )
        if refuted is not None:
            labelled = ~refuted if labelled is None else labelled & ~refuted
        counted = jnp.ones(labels.shape, bool) if mask is None else mask
        count = jnp.sum(counted, dtype=jnp.float32)
        if mixed is not None:
            labels = jnp.where(mixed.share < 0.5, mixed.labels, labels)  # of the larger share
        is_correct = (jnp.argmax(logits, axis=-1) == labels) & counted
        if labelled is not None:
            if mixed is not None:
                assert mixed.labelled is not None
                labelled = jnp.where(mixed.share < 0.5, mixed.labelled, labelled)
            is_correct &= labelled
        correct = jnp.sum(is_correct, dtype=jnp.float32)
        by_class = jax.nn.one_hot(labels, logits.shape[-1])
        class_sums = {
            "class_correct": jnp.sum(by_class * is_correct[:, None], axis=0),
            "class_count": jnp.sum(by_class * counted[:, None], axis=0),
        }
        if objective.class_weights and "ce" in terms:
            # Batches differ in the weight of their images: their means do not simply average.
            weight = class_sums["class_count"] @ jnp.asarray(objective.class_weights)
            class_sums |= {"weighted_ce": weight * terms["ce"], "ce_weight": weight}
        sums = {name: mean * count for name, mean in {"loss": loss, **terms}.items()}
        if labelled is not None:
            sums[LABELLED] = jnp.sum(labelled & counted, dtype=jnp.float32)
            if "ce" in terms:
                sums["ce"] = terms["ce"] * sums[LABELLED]
        return loss, zero_sums(terms) | sums | {"correct": correct, "count": count}, class_sums

    def train(
        state: TrainState, teacher_variables: nnx.State | None, batch: Batch, key: jax.Array
    ) -> tuple[TrainState, jax.Array]:
        step_key = jax.random.fold_in(key, state.step)
        augment_key, dropout_key = jax.random.split(step_key)
        images, pictures = augmented(augment_key, batch)
        mixed = None
        if augmentation.mixup_alpha > 0:
            # A third key beside the two: others keep the random numbers that they have without it.
            mixup_key = jax.random.fold_in(step_key, 2)
            alpha = augmentation.mixup_alpha
            images, labels, share = mixup(mixup_key, images, batch["label"], alpha)
            labelled = mixed_in(batch[LABELLED]) if LABELLED in batch else None
            mixed = MixedLabels(labels, share, labelled)
        teacher = None
        if objective.needs_teacher:
            teacher = teacher_outputs(teacher_variables, images)

        def loss_function(params: nnx.State) -> tuple[jax.Array, Any]:
            student = nnx.merge(train_graphdef, params, state.batch_stats, copy=True)
            loss, sums, _ = loss_and_sums(
                student, images, batch, teacher, dropout_key, mixed, pictures
            )
            return loss, (sums, nnx.state(student, nnx.BatchStat))

        (loss, (sums, batch_stats)), gradients = jax.value_and_grad(loss_function, has_aux=True)(
            state.params
        )
        updates, optimizer_state = optimizer.update(gradients, state.optimizer_state, state.params)
        starts_epoch = state.step % steps_per_epoch == 0
        params = optax.apply_updates(state.params, updates)
        average = {}
        if ema_decay:
            values = {"params": params, "batch_stats": batch_stats}
            average = average_values(state.average, values, ema_decay, state.step)
        next_state = TrainState(
            step=state.step + 1,
            params=params,
            batch_stats=batch_stats,
            optimizer_state=optimizer_state,
            sums=jax.tree.map(
                lambda so_far, new: jnp.where(starts_epoch, 0.0, so_far) + new, state.sums, sums
            ),
            average=average,
        )
        # A gradient that is not finite makes the next step's loss NaN; it is reported at once.
        return next_state, jnp.where(jnp.isfinite(optax.tree.norm(gradients)), loss, jnp.nan)

    def teach(teacher_variables: nnx.State, batch: Batch) -> TeacherOutputs:
        return teacher_outputs(teacher_variables, preprocessing.inputs(batch["image"]))

    def validate(state: TrainState, teacher: TeacherOutputs | None, batch: Batch) -> Sums:
        student = nnx.merge(eval_graphdef, state.params, state.batch_stats, copy=True)
        images = preprocessing.inputs(batch["image"])
        _, sums, class_sums = loss_and_sums(student, images, batch, teacher)
        return sums | class_sums

    def re_estimate(
        state: TrainState,
        estimated: nnx.State,
        number: jax.Array,
        batch: Batch,
        key: jax.Array,
    ) -> nnx.State:
        learner = nnx.merge(eval_graphdef, state.params, state.batch_stats, copy=True)
        estimate = nnx.merge(eval_graphdef, state.params, estimated, copy=True)
        images, _ = augmented(jax.random.fold_in(key, number), batch)
        include_batch(learner.network, estimate.network, images, number)
        return nnx.state(estimate, nnx.BatchStat)

    options = compiler_options(deterministic=deterministic)
    return Steps(
        train=jax.jit(train, donate_argnums=0, compiler_options=options, out_shardings=whole),
        teach=jax.jit(teach, compiler_options=options, out_shardings=split),
        validate=jax.jit(validate, compiler_options=options, out_shardings=whole),
        re_estimate=jax.jit(re_estimate, compiler_options=options, out_shardings=whole),
    )


def average_values(average: Any, values: Any, decay: float, step: jax.Array) -> Any:
    """Updates an exponential moving average: decay · average + (1 - decay) · values.

    The values after the first step are the first average, as in PyTorch's
    `swa_utils.AveragedModel` with `get_ema_multi_avg_fn(decay)` and `use_buffers=True` (Polyak &
    Juditsky 1992, "Acceleration of stochastic approximation by averaging").

    Args:
      average: pytree of arrays, the average before the step.
      values: pytree of the same structure, after the step.
      decay: in (0, 1).
      step: number of steps before it.
    """
    share = jnp.where(step == 0, 1.0, 1.0 - decay)
    return optax.incremental_update(values, average, share)
