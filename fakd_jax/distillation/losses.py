"""The losses of FAKD (the paper's eqs. 1-4) as pure functions of arrays.

Every loss is computed in float32 at least, and is the mean over the rows (examples) where `mask` is
True, so that it does not depend on padding; None counts all rows, and no row gives 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from fakd_jax.distillation.rows import (
    check_rows,
    kept_rows,
    mean_divergence,
    mean_of_rows,
    pair_of_rows,
    softened_rows,
    wide,
)


def cross_entropy(
    logits: Float[Array, "B C"],
    labels: Int[Array, " B"],
    *,
    class_weights: Sequence[float] = (),
    label_smoothing: float = 0.0,
    mask: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Cross-entropy with the true labels, the paper's eq. 1.

    $$L_{CE} = -\frac{1}{B} \sum_i \log \mathrm{softmax}(z_i)_{y_i}$$

    With class weights w and label smoothing ε (Szegedy et al. 2016, section 7) it is, as PyTorch's
    `CrossEntropyLoss(weight=w, label_smoothing=ε)`,

    $$L_{CE} = -\frac{1}{\sum_i w_{y_i}} \sum_i \sum_c w_c q_{ic} \log \mathrm{softmax}(z_i)_c,
    \qquad q_{ic} = (1 - ε) [c = y_i] + ε / C$$

    Args:
      logits: `[B, C]`, any float dtype.
      labels: `[B]`, class indices in `[0, C)`.
      class_weights: C numbers, each at least 0; empty for equal weights.
      label_smoothing: ε in [0, 1].
      mask: `[B]`, False for rows that do not count (padding).

    Raises:
      ValueError: the shapes do not match.

    >>> cross_entropy(jnp.zeros((2, 4)), jnp.array([0, 3])).item() == jnp.log(4.0).item()
    True
    """
    check_rows("labels", labels.shape, logits.shape[:1])
    log_probabilities = jax.nn.log_softmax(wide(kept_rows(logits, mask)), axis=-1)
    if not (class_weights or label_smoothing):
        picked = jnp.take_along_axis(log_probabilities, labels[:, None], axis=-1)[:, 0]
        return mean_of_rows(-picked, mask)
    num_classes = logits.shape[-1]
    weights = jnp.asarray(class_weights or (1.0,) * num_classes, log_probabilities.dtype)
    check_rows("class_weights", weights.shape, (num_classes,))
    targets = optax.smooth_labels(jax.nn.one_hot(labels, num_classes), label_smoothing)
    losses = -jnp.sum(weights * targets * log_probabilities, axis=-1)
    mean_weight = mean_of_rows(weights[labels], mask)  # 0 if no row counts, or none of weight
    return mean_of_rows(losses, mask) / jnp.where(mean_weight > 0, mean_weight, 1.0)


def kd_loss(
    student_logits: Float[Array, "B C"],
    teacher_logits: Float[Array, "B C"],
    *,
    temperature: float,
    mask: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Distillation of the teacher's softened probabilities, the paper's eq. 2.

    $$L_{KD} = \frac{T^2}{B} \sum_i KL(\mathrm{softmax}(z^t_i / T) \| \mathrm{softmax}(z^s_i / T))$$

    The paper swaps the arguments of KL; this is Hinton's direction (2015, arXiv:1503.02531), and
    PyTorch's `kl_div(log_softmax(zs/T), softmax(zt/T), 'batchmean') * T**2`. T² keeps the size of
    the gradient independent of T. No gradient reaches the teacher.

    Args:
      student_logits: `[B, C]`, any float dtype.
      teacher_logits: `[B, C]`, any float dtype.
      temperature: T > 0.
      mask: `[B]`, False for rows that do not count.

    Returns:
      A scalar ≥ 0 (up to rounding), 0 exactly if both softened distributions are equal.

    Raises:
      ValueError: the shapes differ, or the temperature is not above 0.

    >>> logits = jnp.array([[1.0, 2.0, 3.0]])
    >>> kd_loss(logits, logits + 7.0, temperature=4.0).item()
    0.0
    """
    student, teacher = softened_rows(student_logits, teacher_logits, temperature, mask)
    log_student, log_teacher = jax.nn.log_softmax(student), jax.nn.log_softmax(teacher)
    return mean_divergence(log_student, log_teacher, mask) * temperature**2


def feature_alignment_loss(
    aligned: Float[Array, "B H W C"],
    teacher_features: Float[Array, "B H W C"],
    *,
    mask: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Mean squared distance of the student's aligned features to the teacher's, eq. 3.

    $$L_{FA} = \frac{1}{BHWC} \sum (A(f^s) - f^t)^2$$

    The mean over all elements, as PyTorch's `mse_loss`: the paper's squared norm would be
    H·W·C = 200,704 times larger per image. No gradient reaches the teacher.

    Args:
      aligned: `[B, H, W, C]`, from :class:`fakd_jax.distillation.projection.Projection`.
      teacher_features: `[B, H, W, C]`.
      mask: `[B]`, False for rows that do not count.

    Raises:
      ValueError: the shapes differ.

    >>> feature_alignment_loss(jnp.ones((1, 2, 2, 3)), jnp.zeros((1, 2, 2, 3))).item()
    1.0
    """
    check_rows("teacher_features", teacher_features.shape, aligned.shape)
    student, teacher = pair_of_rows(aligned, teacher_features, mask)
    return mean_of_rows(jnp.mean(jnp.square(student - teacher), axis=(1, 2, 3)), mask)


def fakd_loss(
    student_logits: Float[Array, "B C"],
    labels: Int[Array, " B"] | None,
    teacher_logits: Float[Array, "B C"] | None,
    aligned: Float[Array, "B H W K"] | None,
    teacher_features: Float[Array, "B H W K"] | None,
    *,
    alpha: float,
    beta: float,
    temperature: float,
    mask: Bool[Array, " B"] | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    r"""The whole loss of the paper, eq. 4: $(1-α) L_{CE} + α L_{KD} + β L_{FA}$.

    A term of weight zero is not computed, and inputs that only it needs may be None: α = β = 0 is
    plain training, β = 0 plain distillation, α = 0 feature alignment alone.

    Args:
      student_logits: `[B, C]`.
      labels: `[B]`; needed unless α = 1.
      teacher_logits: `[B, C]`; needed unless α = 0.
      aligned: `[B, H, W, K]`, the student's features in the teacher's shape; needed unless β = 0.
      teacher_features: `[B, H, W, K]`; needed unless β = 0.
      alpha: weight of the teacher's probabilities against the labels, in `[0, 1]`.
      beta: weight of feature alignment, ≥ 0.
      temperature: of :func:`kd_loss`.
      mask: `[B]`, False for rows that do not count.

    Returns:
      The total, and the unweighted terms that were computed, by name: 'ce', 'kd', 'fa'.

    Raises:
      ValueError: a weight is out of range, an input is missing, or shapes do not match.

    >>> inputs = (jnp.zeros((1, 4)), jnp.array([0]), None, None, None)
    >>> total, terms = fakd_loss(*inputs, alpha=0.0, beta=0.0, temperature=4.0)
    >>> sorted(terms)
    ['ce']
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], not {alpha}")
    if not beta >= 0:
        raise ValueError(f"beta must not be below 0, not {beta}")
    terms: dict[str, Float[Array, ""]] = {}
    total = jnp.zeros((), jnp.float32)
    if alpha < 1:
        if labels is None:
            raise ValueError("labels are needed unless alpha is 1")
        terms["ce"] = cross_entropy(student_logits, labels, mask=mask)
        total += (1 - alpha) * terms["ce"]
    if alpha > 0:
        if teacher_logits is None:
            raise ValueError("teacher_logits are needed unless alpha is 0")
        terms["kd"] = kd_loss(student_logits, teacher_logits, temperature=temperature, mask=mask)
        total += alpha * terms["kd"]
    if beta > 0:
        if aligned is None or teacher_features is None:
            raise ValueError("aligned and teacher_features are needed unless beta is 0")
        terms["fa"] = feature_alignment_loss(aligned, teacher_features, mask=mask)
        total += beta * terms["fa"]
    return total, terms
