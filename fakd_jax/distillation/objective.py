"""The training objective: the terms of the loss, their weights, and the features they compare."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32, Int

from fakd_jax.distillation.attention import attention_loss
from fakd_jax.distillation.decoupled import nckd_loss, tckd_loss
from fakd_jax.distillation.dist import dist_inter_loss, dist_intra_loss
from fakd_jax.distillation.lesions import (
    counterfactual_loss,
    evidence_of_map,
    lesion_attention_loss,
    right_reasons_loss,
)
from fakd_jax.distillation.losses import cross_entropy, feature_alignment_loss, kd_loss
from fakd_jax.distillation.projection import Projection
from fakd_jax.distillation.relational import rkd_angle_loss, rkd_distance_loss
from fakd_jax.distillation.rows import both, kept_rows, wide
from fakd_jax.distillation.standardisation import correlation_alignment_loss, standardise_logits
from fakd_jax.distillation.terms import LESION_TERMS, NO_TERMS, TERM_NAMES, TermWeights

Maps = Sequence[tuple[Array, Array]]  # the student's and the teacher's, by pair of layers


class TeacherOutputs(NamedTuple):
    """A frozen teacher's outputs for a batch; `features` by layer, those that are compared."""

    logits: Float[Array, "B C"]
    features: dict[str, Float[Array, "B _ _ _"]]


class MixedLabels(NamedTuple):
    """Labels of images that were mixed into those of a batch, and what these kept of themselves.

    `labelled` is False for images whose label does not count; None for none.
    """

    labels: Int[Array, " B"]
    share: Float[Array, ""]
    labelled: Bool[Array, " B"] | None = None


@dataclass(frozen=True)
class Objective:
    """The loss: (1 - α) CE + α KD + β FA (the paper's eq. 4) and the weighted sum of further terms.

    The defaults are plain cross-entropy, without a teacher. Terms that compare feature maps are the
    mean over the pairs of layers.

    Attributes:
      alpha: α, the weight of the teacher's probabilities against the labels, in [0, 1].
      beta: β, the weight of feature alignment, at least 0.
      temperature: T > 0, which softens both networks' logits.
      teacher_layer: name of the teacher's feature map.
      student_layer: name of the student's feature map.
      layer_pairs: further pairs in place of this one, as "layer2:features.12,layer3:features.16",
        teacher's before student's; "" for the one.
      normalise_features: whether alignment compares standardised channels, as of
        :func:`fakd_jax.distillation.standardisation.correlation_alignment_loss`.
      standardise_logits: whether terms that compare logits get their z-scores, as of
        :func:`fakd_jax.distillation.standardisation.standardise_logits`.
      lesion_layer: name of the student's feature map whose attention is compared with lesions.
      right_reasons_layer: name of the map whose evidence is; "" for the gradient by the input.
      terms: weights of further terms.
      class_weights: of cross-entropy, see :func:`fakd_jax.distillation.losses.cross_entropy`.
      label_smoothing: likewise.
    """

    alpha: float = 0.0
    beta: float = 0.0
    temperature: float = 3.0
    teacher_layer: str = "layer3"
    student_layer: str = "features.16"
    layer_pairs: str = ""
    normalise_features: bool = False
    standardise_logits: bool = False
    lesion_layer: str = "features.12"
    right_reasons_layer: str = ""
    terms: TermWeights = NO_TERMS
    class_weights: tuple[float, ...] = ()
    label_smoothing: float = 0.0

    @property
    def weights(self) -> dict[str, float]:
        """The terms that have a weight, and it, in the order of :data:`TERM_NAMES`."""
        papers = {"ce": 1 - self.alpha, "kd": self.alpha, "fa": self.beta}
        every = papers | dataclasses.asdict(self.terms)
        return {name: every[name] for name in TERM_NAMES if every[name] > 0}

    @property
    def needs_teacher(self) -> bool:
        """Whether a term with a weight compares the student with a teacher."""
        return not self.weights.keys() <= {"ce", *LESION_TERMS}

    @property
    def needs_lesions(self) -> bool:
        """Whether a term with a weight needs outlined lesions."""
        return not self.weights.keys().isdisjoint(LESION_TERMS)

    @property
    def needs_gradient(self) -> bool:
        """Whether a term with a weight needs a gradient by `right_reasons_layer` or the input."""
        return "right_reasons" in self.weights

    @property
    def lesion_layers(self) -> tuple[str, ...]:
        """The student's feature maps that terms with a weight compare with lesions."""
        layers = {"lesion_attention": self.lesion_layer, "right_reasons": self.right_reasons_layer}
        return tuple(layers[name] for name in layers if name in self.weights and layers[name])

    @property
    def aligns_features(self) -> bool:
        """Whether feature alignment has a weight, and thus projections are needed."""
        return self.beta > 0

    @property
    def compares_features(self) -> bool:
        """Whether a term with a weight compares feature maps."""
        return not self.weights.keys().isdisjoint({"fa", "attention", "rkd_distance", "rkd_angle"})

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs of layers whose feature maps are compared: teacher's, student's."""
        if not self.compares_features:
            return ()
        if not self.layer_pairs:
            return ((self.teacher_layer, self.student_layer),)
        return tuple(
            (teacher, student) for teacher, student in map(_names, self.layer_pairs.split(","))
        )

    @property
    def teacher_features(self) -> tuple[str, ...]:
        """Names of the feature maps to request from the teacher."""
        return tuple(dict.fromkeys(teacher for teacher, _ in self.pairs))

    @property
    def student_features(self) -> tuple[str, ...]:
        """Names of the feature maps to request from the student."""
        compared = (student for _, student in self.pairs)
        return tuple(dict.fromkeys((*compared, *self.lesion_layers)))

    def teacher_outputs(
        self, logits: Float[Array, "B C"], features: Mapping[str, Float[Array, "B _ _ _"]]
    ) -> TeacherOutputs:
        """Selects from a teacher's logits and features what :meth:`loss` compares."""
        return TeacherOutputs(logits, {name: features[name] for name in self.teacher_features})

    def loss(
        self,
        logits: Float[Array, "B C"],
        features: Mapping[str, Float[Array, "B _ _ _"]],
        labels: Int[Array, " B"],
        *,
        teacher: TeacherOutputs | None = None,
        projections: Sequence[Projection] = (),
        mask: Bool[Array, " B"] | None = None,
        mixed: MixedLabels | None = None,
        labelled: Bool[Array, " B"] | None = None,
        lesions: Float[Array, "B H W"] | None = None,
        refuted: Bool[Array, " B"] | None = None,
        gradient: Float[Array, "B _ _ _"] | None = None,
    ) -> tuple[Float32[Array, ""], dict[str, Float32[Array, ""]]]:
        """Computes the total loss and its terms.

        Where an image is not labelled, its label has no influence on loss and gradient:
        cross-entropy is the mean over the labelled images, 0 without a gradient if the batch has
        none, and the target class of decoupled distillation is the teacher's prediction.

        Args:
          logits: the student's.
          features: the student's :attr:`student_features` by name.
          labels: class indices; any where `labelled` is False.
          teacher: needed if :attr:`needs_teacher`.
          projections: from the student's channels to the teacher's, one per pair of layers; needed
            if :attr:`aligns_features`.
          mask: False for rows that do not count (padding); None counts all.
          mixed: of images that are mixtures; terms that use labels are then mixed likewise.
          labelled: False for images without a label; None if all have one.
          lesions: where they are outlined, in [0, 1]; all 0 where none is, None where that is so of
            the whole batch. Terms that need them count the images that have one.
          refuted: True for images that lost the lesion which they were labelled for: they count
            as images without a label and without a lesion, and for `counterfactual` alone. None
            for none.
          gradient: of :func:`fakd_jax.distillation.lesions.log_probabilities`, with respect to the
            student's `right_reasons_layer` or its input; needed with lesions if
            :attr:`needs_gradient`.

        Returns:
          The total, and the unweighted terms with a weight above zero, by name.

        Raises:
          ValueError: the teacher, a projection, `mixed.labelled` or the gradient is missing, or
            shapes do not match.
        """
        if refuted is not None:
            kept = ~refuted
            labelled = kept if labelled is None else labelled & kept
            lesions = None if lesions is None else kept_rows(lesions, kept)
        if mixed is not None and (mixed.labelled is None) != (labelled is None):
            raise ValueError("labelled is needed of both images of a mixture, or of none")
        if self.needs_teacher and teacher is None:
            raise ValueError("this objective needs the teacher's outputs")
        if self.aligns_features and len(projections) != len(self.pairs):
            raise ValueError(
                f"aligning {len(self.pairs)} pairs of layers needs as many projections, "
                f"not {len(projections)}"
            )
        if teacher is None:
            teacher = TeacherOutputs(logits, {})  # no term that has a weight compares with it
        teacher_logits = teacher.logits
        ours, theirs = logits, teacher_logits
        if self.standardise_logits:
            ours, theirs = (standardise_logits(values, mask=mask) for values in (ours, theirs))
        weighted: dict[str, Any] = {
            "class_weights": self.class_weights,
            "label_smoothing": self.label_smoothing,
        }
        softened: dict[str, Any] = {"temperature": self.temperature, "mask": mask}
        maps = [(features[one], teacher.features[other]) for other, one in self.pairs]
        align = correlation_alignment_loss if self.normalise_features else feature_alignment_loss

        def by_label(loss: Callable[[Array, Array | None], Array]) -> Array:
            if mixed is None:
                return loss(labels, labelled)
            own = mixed.share * loss(labels, labelled)
            return own + (1 - mixed.share) * loss(mixed.labels, mixed.labelled)

        def ce(labels: Array, labelled: Array | None) -> Array:
            return cross_entropy(logits, labels, mask=both(mask, labelled), **weighted)

        def of_targets(loss: Callable[..., Array]) -> Callable[[Array, Array | None], Array]:
            return lambda labels, labelled: loss(
                ours, theirs, _targets(labels, labelled, teacher_logits), **softened
            )

        def lesion_attention() -> Array:
            if lesions is None:
                return jnp.zeros((), jnp.float32)
            return lesion_attention_loss(features[self.lesion_layer], lesions, mask=mask)

        def right_reasons() -> Array:
            if lesions is None:
                return jnp.zeros((), jnp.float32)
            if gradient is None:
                raise ValueError("right_reasons needs a gradient")
            layer = self.right_reasons_layer
            evidence = evidence_of_map(features[layer], gradient) if layer else gradient
            return right_reasons_loss(evidence, lesions, mask=mask)

        def counterfactual() -> Array:
            if refuted is None:
                return jnp.zeros((), jnp.float32)
            return counterfactual_loss(logits, labels, refuted, mask=mask)

        def mean(loss: Callable[..., Array], pairs: Maps) -> Array:
            losses = [loss(*pair, mask=mask) for pair in pairs]
            return functools.reduce(operator.add, losses) / len(losses)

        compute: dict[str, Callable[[], Array]] = {
            "ce": lambda: by_label(ce),
            "kd": lambda: kd_loss(ours, theirs, **softened),
            "fa": lambda: mean(align, _projected(maps, projections)),
            "tckd": lambda: by_label(of_targets(tckd_loss)),
            "nckd": lambda: by_label(of_targets(nckd_loss)),
            "dist_inter": lambda: dist_inter_loss(ours, theirs, **softened),
            "dist_intra": lambda: dist_intra_loss(ours, theirs, **softened),
            "attention": lambda: mean(attention_loss, maps),
            "rkd_distance": lambda: mean(rkd_distance_loss, _pooled(maps)),
            "rkd_angle": lambda: mean(rkd_angle_loss, _pooled(maps)),
            "lesion_attention": lesion_attention,
            "right_reasons": right_reasons,
            "counterfactual": counterfactual,
        }
        terms = {name: compute[name]() for name in self.weights}
        total = jnp.zeros((), jnp.float32)
        for name, weight in self.weights.items():
            total += weight * terms[name]
        return total, terms


def _targets(
    labels: Int[Array, " B"],
    labelled: Bool[Array, " B"] | None,
    teacher_logits: Float[Array, "B C"],
) -> Int[Array, " B"]:
    """The target classes: the labels, and the teacher's predictions where there are none."""
    if labelled is None:
        return labels
    return jnp.where(labelled, labels, jnp.argmax(teacher_logits, axis=-1))


def _projected(maps: Maps, projections: Sequence[Projection]) -> Maps:
    """The student's maps in the shape of the teacher's."""
    return [
        (projection(one, (other.shape[1], other.shape[2])), other)
        for (one, other), projection in zip(maps, projections, strict=True)
    ]


def _pooled(maps: Maps) -> Maps:
    """The means of the maps over all positions."""
    return [(jnp.mean(wide(one), (1, 2)), jnp.mean(wide(two), (1, 2))) for one, two in maps]


def are_pairs(text: str) -> bool:
    """Whether a text is empty or lists pairs of layers, as `layer_pairs` does."""
    pairs = text.split(",") if text else ()
    return all(len(names) == 2 and all(names) for names in map(_names, pairs))


def _names(pair: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in pair.split(":"))
