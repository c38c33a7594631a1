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
from fakd_jax.distillation.losses import cross_entropy, feature_alignment_loss, kd_loss
from fakd_jax.distillation.projection import Projection
from fakd_jax.distillation.relational import rkd_angle_loss, rkd_distance_loss
from fakd_jax.distillation.rows import wide
from fakd_jax.distillation.standardisation import correlation_alignment_loss, standardise_logits
from fakd_jax.distillation.terms import NO_TERMS, TERM_NAMES, TermWeights

Maps = Sequence[tuple[Array, Array]]  # the student's and the teacher's, by pair of layers


class TeacherOutputs(NamedTuple):
    """A frozen teacher's outputs for a batch; `features` by layer, those that are compared."""

    logits: Float[Array, "B C"]
    features: dict[str, Float[Array, "B _ _ _"]]


class MixedLabels(NamedTuple):
    """Labels of images that were mixed into those of a batch, and what these kept of themselves."""

    labels: Int[Array, " B"]
    share: Float[Array, ""]


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
        return not self.weights.keys() <= {"ce"}

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
        return tuple(dict.fromkeys(student for _, student in self.pairs))

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
    ) -> tuple[Float32[Array, ""], dict[str, Float32[Array, ""]]]:
        """Computes the total loss and its terms.

        Args:
          logits: the student's.
          features: the student's :attr:`student_features` by name.
          labels: class indices.
          teacher: needed if :attr:`needs_teacher`.
          projections: from the student's channels to the teacher's, one per pair of layers; needed
            if :attr:`aligns_features`.
          mask: False for rows that do not count (padding); None counts all.
          mixed: of images that are mixtures; terms that use labels are then mixed likewise.

        Returns:
          The total, and the unweighted terms with a weight above zero, by name.

        Raises:
          ValueError: the teacher or a projection is missing, or shapes do not match.
        """
        if self.needs_teacher and teacher is None:
            raise ValueError("this objective needs the teacher's outputs")
        if self.aligns_features and len(projections) != len(self.pairs):
            raise ValueError(
                f"aligning {len(self.pairs)} pairs of layers needs as many projections, "
                f"not {len(projections)}"
            )
        if teacher is None:
            teacher = TeacherOutputs(logits, {})  # no term that has a weight compares with it
        ours, theirs = logits, teacher.logits
        if self.standardise_logits:
            ours, theirs = (standardise_logits(values, mask=mask) for values in (ours, theirs))
        weighted: dict[str, Any] = {
            "class_weights": self.class_weights,
            "label_smoothing": self.label_smoothing,
            "mask": mask,
        }
        softened: dict[str, Any] = {"temperature": self.temperature, "mask": mask}
        maps = [(features[one], teacher.features[other]) for other, one in self.pairs]
        align = correlation_alignment_loss if self.normalise_features else feature_alignment_loss

        def by_label(loss: Callable[[Array], Array]) -> Array:
            if mixed is None:
                return loss(labels)
            return mixed.share * loss(labels) + (1 - mixed.share) * loss(mixed.labels)

        def mean(loss: Callable[..., Array], pairs: Maps) -> Array:
            losses = [loss(*pair, mask=mask) for pair in pairs]
            return functools.reduce(operator.add, losses) / len(losses)

        compute: dict[str, Callable[[], Array]] = {
            "ce": lambda: by_label(lambda labels: cross_entropy(logits, labels, **weighted)),
            "kd": lambda: kd_loss(ours, theirs, **softened),
            "fa": lambda: mean(align, _projected(maps, projections)),
            "tckd": lambda: by_label(lambda labels: tckd_loss(ours, theirs, labels, **softened)),
            "nckd": lambda: by_label(lambda labels: nckd_loss(ours, theirs, labels, **softened)),
            "dist_inter": lambda: dist_inter_loss(ours, theirs, **softened),
            "dist_intra": lambda: dist_intra_loss(ours, theirs, **softened),
            "attention": lambda: mean(attention_loss, maps),
            "rkd_distance": lambda: mean(rkd_distance_loss, _pooled(maps)),
            "rkd_angle": lambda: mean(rkd_angle_loss, _pooled(maps)),
        }
        terms = {name: compute[name]() for name in self.weights}
        total = jnp.zeros((), jnp.float32)
        for name, weight in self.weights.items():
            total += weight * terms[name]
        return total, terms


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
