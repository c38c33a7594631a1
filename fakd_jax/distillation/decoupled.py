"""Decoupled knowledge distillation, DKD (Zhao et al. 2022, arXiv:2203.08679).

The loss is α TCKD + β NCKD (eq. 7); α and β are the terms' weights. The authors use α = 1 with
β = 0.5 and T = 1 on ImageNet, and with β = 8 and T = 4 on CIFAR-100 (ResNet32×4 to ResNet8×4).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fakd_jax.distillation.rows import check_rows, mean_divergence, softened_rows


def tckd_loss(
    student_logits: Float[Array, "B C"],
    teacher_logits: Float[Array, "B C"],
    labels: Int[Array, " B"],
    *,
    temperature: float,
    mask: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Distillation of the target class against all others: how hard an image is.

    $$\mathrm{TCKD} = \frac{T^2}{B} \sum_i KL(b^t_i \| b^s_i), \quad b_i = [p_{y_i}, 1 - p_{y_i}]$$

    p is the softmax of the logits over T (eqs. 1 and 6).

    Args:
      student_logits: `[B, C]`, any float dtype, C ≥ 2.
      teacher_logits: `[B, C]`, any float dtype.
      labels: `[B]`, class indices in `[0, C)`.
      temperature: T > 0.
      mask: `[B]`, False for rows that do not count.

    Raises:
      ValueError: the shapes do not match, or the temperature is not above 0.

    >>> teacher = jnp.log(jnp.array([[0.5, 0.3, 0.2]]))
    >>> tckd_loss(teacher[:, ::-1], teacher, jnp.array([1]), temperature=1.0).item()
    0.0
    """
    student, teacher = softened_rows(student_logits, teacher_logits, temperature, mask)
    target = _is_target(labels, student)

    def log_binary(logits: Float[Array, "B C"]) -> Float[Array, "B 2"]:
        every = jax.nn.logsumexp(logits, axis=-1)
        picked = jnp.sum(jnp.where(target, logits, 0), axis=-1)
        others = jax.nn.logsumexp(logits, axis=-1, where=~target)
        return jnp.stack([picked - every, others - every], axis=-1)

    return mean_divergence(log_binary(student), log_binary(teacher), mask) * temperature**2


def nckd_loss(
    student_logits: Float[Array, "B C"],
    teacher_logits: Float[Array, "B C"],
    labels: Int[Array, " B"],
    *,
    temperature: float,
    mask: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Distillation of the probabilities among the classes that are not the target.

    $$\mathrm{NCKD} = \frac{T^2}{B} \sum_i KL(\hat p^t_i \| \hat p^s_i)$$

    p̂ is the softmax over the classes other than $y_i$ (eq. 2), so that the terms of images on which
    the teacher is certain weigh as much as others.

    Args:
      student_logits: `[B, C]`, any float dtype, C ≥ 2.
      teacher_logits: `[B, C]`, any float dtype.
      labels: `[B]`, class indices in `[0, C)`.
      temperature: T > 0.
      mask: `[B]`, False for rows that do not count.

    Raises:
      ValueError: the shapes do not match, or the temperature is not above 0.

    >>> teacher = jnp.log(jnp.array([[0.5, 0.3, 0.2]]))
    >>> nckd_loss(teacher.at[0, 0].set(9.0), teacher, jnp.array([0]), temperature=1.0).item()
    0.0
    """
    student, teacher = softened_rows(student_logits, teacher_logits, temperature, mask)
    target = _is_target(labels, student)

    def log_others(logits: Float[Array, "B C"]) -> Float[Array, "B C"]:
        total = jax.nn.logsumexp(logits, axis=-1, keepdims=True, where=~target)
        return jnp.where(target, 0, logits - total)  # the same for both networks: no divergence

    return mean_divergence(log_others(student), log_others(teacher), mask) * temperature**2


def _is_target(labels: Int[Array, " B"], logits: Float[Array, "B C"]) -> Bool[Array, "B C"]:
    """Whether a logit is that of the target class."""
    check_rows("labels", labels.shape, logits.shape[:1])
    return jnp.arange(logits.shape[1])[None] == labels[:, None]
