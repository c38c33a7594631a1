"""DIST, distillation from a stronger teacher (Huang et al. 2022, arXiv:2205.10536).

Relations instead of exact probabilities: the loss is β L_inter + γ L_intra (the paper's eq. 11),
both 1 - Pearson's correlation; β and γ are the terms' weights, 1 and 1 on ImageNet with T = 1, 2
and 2 on CIFAR-100 with T = 4.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fakd_jax.distillation.rows import mean_of_rows, softened_rows
from fakd_jax.distillation.standardisation import standardise


def dist_inter_loss(
    student_logits: Float[Array, "B C"],
    teacher_logits: Float[Array, "B C"],
    *,
    temperature: float,
    mask: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Relations between the classes of each image.

    $$L_{inter} = \frac{T^2}{B} \sum_i (1 - \rho(p^s_i, p^t_i))$$

    ρ is Pearson's correlation over the classes, p the softmax of the logits over T (eq. 9). T² is
    of the authors' code. Constant probabilities correlate with nothing, ρ = 0.

    Args:
      student_logits: `[B, C]`, any float dtype.
      teacher_logits: `[B, C]`, any float dtype.
      temperature: T > 0.
      mask: `[B]`, False for rows that do not count.

    Returns:
      A scalar in `[0, 2 T²]`.

    Raises:
      ValueError: the shapes differ, or the temperature is not above 0.
    """
    softened = softened_rows(student_logits, teacher_logits, temperature, mask)
    student, teacher = map(jax.nn.softmax, softened)
    products = standardise(student, axis=1) * standardise(teacher, axis=1)
    correlation = jnp.sum(products, axis=1) / max(student.shape[1] - 1, 1)
    return mean_of_rows(1 - correlation, mask) * temperature**2


def dist_intra_loss(
    student_logits: Float[Array, "B C"],
    teacher_logits: Float[Array, "B C"],
    *,
    temperature: float,
    mask: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Relations between the images of a batch, for each class.

    $$L_{intra} = \frac{T^2}{C} \sum_c (1 - \rho(p^s_{\cdot c}, p^t_{\cdot c}))$$

    ρ is Pearson's correlation over the images (eq. 10); otherwise as :func:`dist_inter_loss`. It
    depends on which images share a batch; a single image gives T², without a gradient.

    Args:
      student_logits: `[B, C]`, any float dtype.
      teacher_logits: `[B, C]`, any float dtype.
      temperature: T > 0.
      mask: `[B]`, False for rows that do not count.

    Returns:
      A scalar in `[0, 2 T²]`; 0 if no row counts.

    Raises:
      ValueError: the shapes differ, or the temperature is not above 0.
    """
    softened = softened_rows(student_logits, teacher_logits, temperature, mask)
    student, teacher = map(jax.nn.softmax, softened)
    counted = jnp.ones(len(student), bool) if mask is None else mask
    count = jnp.sum(counted)
    products = standardise(student, axis=0, mask=counted) * standardise(
        teacher, axis=0, mask=counted
    )
    correlation = jnp.sum(products, axis=0) / jnp.maximum(count - 1, 1)
    return jnp.where(count > 0, jnp.mean(1 - correlation), 0) * temperature**2
