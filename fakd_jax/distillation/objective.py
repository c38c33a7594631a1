"""The training objective: the terms of the loss, their weights, and the features they compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Array, Bool, Float, Float32, Int

from fakd_jax.distillation.losses import fakd_loss
from fakd_jax.distillation.projection import Projection


class TeacherOutputs(NamedTuple):
    """A frozen teacher's outputs for a batch; `features` is None unless they are aligned."""

    logits: Float[Array, "B C"]
    features: Float[Array, "B H W D"] | None


@dataclass(frozen=True)
class Objective:
    """The loss (1 - α) CE + α KD + β FA (the paper's eq. 4) and the layers it aligns.

    The defaults are plain cross-entropy, without a teacher.

    Attributes:
      alpha: α, the weight of the teacher's probabilities against the labels, in [0, 1].
      beta: β, the weight of feature alignment, at least 0.
      temperature: T > 0, which softens both networks' logits.
      teacher_layer: name of the teacher's feature map.
      student_layer: name of the student's feature map.
    """

    alpha: float = 0.0
    beta: float = 0.0
    temperature: float = 3.0
    teacher_layer: str = "layer3"
    student_layer: str = "features.16"

    @property
    def needs_teacher(self) -> bool:
        """Whether a term with a weight compares the student with a teacher."""
        return self.alpha > 0 or self.beta > 0

    @property
    def aligns_features(self) -> bool:
        """Whether feature alignment has a weight, and thus a projection is needed."""
        return self.beta > 0

    @property
    def teacher_features(self) -> tuple[str, ...]:
        """Names of the feature maps to request from the teacher."""
        return (self.teacher_layer,) if self.aligns_features else ()

    @property
    def student_features(self) -> tuple[str, ...]:
        """Names of the feature maps to request from the student."""
        return (self.student_layer,) if self.aligns_features else ()

    def teacher_outputs(
        self, logits: Float[Array, "B C"], features: Mapping[str, Float[Array, "B H W D"]]
    ) -> TeacherOutputs:
        """Selects from a teacher's logits and features what :meth:`loss` compares."""
        return TeacherOutputs(logits, features.get(self.teacher_layer))

    def loss(
        self,
        logits: Float[Array, "B C"],
        features: Mapping[str, Float[Array, "B h w c"]],
        labels: Int[Array, " B"],
        *,
        teacher: TeacherOutputs | None = None,
        projection: Projection | None = None,
        mask: Bool[Array, " B"] | None = None,
    ) -> tuple[Float32[Array, ""], dict[str, Float32[Array, ""]]]:
        """Computes the total loss and its terms.

        Args:
          logits: the student's.
          features: the student's :attr:`student_features` by name.
          labels: class indices.
          teacher: needed if :attr:`needs_teacher`.
          projection: from the student's channels to the teacher's; needed if
            :attr:`aligns_features`.
          mask: False for rows that do not count (padding); None counts all.

        Returns:
          The total, and the unweighted terms with a weight above zero: 'ce', 'kd', 'fa'.

        Raises:
          ValueError: the teacher or the projection is missing, or as of :func:`fakd_loss`.
        """
        aligned = None
        if self.aligns_features:
            if teacher is None or teacher.features is None or projection is None:
                raise ValueError("aligning features needs the teacher's features and a projection")
            height, width = teacher.features.shape[1:3]
            aligned = projection(features[self.student_layer], (height, width))
        return fakd_loss(
            logits,
            labels,
            None if teacher is None else teacher.logits,
            aligned,
            None if teacher is None else teacher.features,
            alpha=self.alpha,
            beta=self.beta,
            temperature=self.temperature,
            mask=mask,
        )
