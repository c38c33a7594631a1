"""Arithmetic that the losses share: float32 at least, and only over the rows that count."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def wide(values: Float[Array, " ..."]) -> Float[Array, " ..."]:
    """Float32 at least: a bfloat16 softmax or sum of squares would lose two of three digits."""
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def kept_rows(
    values: Float[Array, "B ..."], mask: Bool[Array, " B"] | None
) -> Float[Array, "B ..."]:
    """Zeroes the rows that do not count, so that nothing in them, not even NaN, has a gradient."""
    if mask is None:
        return values
    check_rows("mask", mask.shape, values.shape[:1])
    return jnp.where(mask.reshape(-1, *[1] * (values.ndim - 1)), values, 0)


def both(
    mask: Bool[Array, " B"] | None, other: Bool[Array, " B"] | None
) -> Bool[Array, " B"] | None:
    """The rows that two masks keep; None keeps all."""
    if mask is None or other is None:
        return other if mask is None else mask
    return mask & other


def mean_of_rows(values: Float[Array, " B"], mask: Bool[Array, " B"] | None) -> Float[Array, ""]:
    """The mean over the counted rows, 0 if there is none."""
    if mask is None:
        return jnp.mean(values)
    return jnp.sum(jnp.where(mask, values, 0)) / jnp.maximum(jnp.sum(mask), 1)


def check_rows(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Refuses shapes that would broadcast to a wrong value."""
    if shape != expected:
        raise ValueError(f"{name} has shape {list(shape)}, expected {list(expected)}")


def pair_of_rows(
    student: Float[Array, "B ..."],
    teacher: Float[Array, "B ..."],
    mask: Bool[Array, " B"] | None,
) -> tuple[Float[Array, "B ..."], Float[Array, "B ..."]]:
    """Both networks' rows, ready to be compared: wide, masked, and no gradient to the teacher."""
    fixed = jax.lax.stop_gradient(teacher)
    return wide(kept_rows(student, mask)), wide(kept_rows(fixed, mask))


def softened_rows(
    student_logits: Float[Array, "B C"],
    teacher_logits: Float[Array, "B C"],
    temperature: float,
    mask: Bool[Array, " B"] | None,
) -> tuple[Float[Array, "B C"], Float[Array, "B C"]]:
    """Both networks' logits over T, as of :func:`pair_of_rows`.

    Raises:
      ValueError: the shapes differ, or the temperature is not above 0.
    """
    check_rows("teacher_logits", teacher_logits.shape, student_logits.shape)
    if not temperature > 0:
        raise ValueError(f"the temperature must be above 0, not {temperature}")
    student, teacher = pair_of_rows(student_logits, teacher_logits, mask)
    return student / temperature, teacher / temperature


def mean_divergence(
    log_student: Float[Array, "B C"],
    log_teacher: Float[Array, "B C"],
    mask: Bool[Array, " B"] | None,
) -> Float[Array, ""]:
    """The mean over the counted rows of KL(teacher || student), from log-probabilities."""
    divergence = jnp.sum(jnp.exp(log_teacher) * (log_teacher - log_student), axis=-1)
    return mean_of_rows(divergence, mask)
