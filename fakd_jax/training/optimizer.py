"""AdamW and its learning-rate schedules, as PyTorch has them (paper, section IV-B)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

SCHEDULES = ("cosine_epoch", "cosine_step", "constant")


@functools.cache
def learning_rate_schedule(
    kind: str, *, learning_rate: float, steps_per_epoch: int, num_epochs: int
) -> Callable[[jax.Array | int], jax.Array]:
    r"""Builds the learning rate as a function of the number of updates made so far.

    The cosine falls from the full rate to 0 over the whole run,
    :math:`\eta_t = \tfrac{1}{2}\eta_0 (1 + \cos(\pi t / T))`:

    Args:
      kind: `"cosine_epoch"`, t in whole epochs, as PyTorch's `CosineAnnealingLR` stepped once an
        epoch (the paper's); `"cosine_step"`, t in steps; `"constant"`.
      learning_rate: :math:`\eta_0`.
      steps_per_epoch: updates in an epoch.
      num_epochs: epochs in the whole run.

    Raises:
      ValueError: for an unknown kind.
    """
    if kind not in SCHEDULES:
        raise ValueError(f"unknown schedule {kind!r}; known: {', '.join(SCHEDULES)}")

    def schedule(count: jax.Array | int) -> jax.Array:
        step = jnp.asarray(count)
        if kind == "constant":
            return jnp.full(step.shape, learning_rate, jnp.float32)
        if kind == "cosine_epoch":
            progress = (step // steps_per_epoch) / num_epochs
        else:
            progress = step / (steps_per_epoch * num_epochs)
        return 0.5 * learning_rate * (1.0 + jnp.cos(math.pi * jnp.minimum(progress, 1.0)))

    return schedule


@functools.cache
def adamw(
    schedule: Callable[[jax.Array | int], jax.Array], *, weight_decay: float
) -> optax.GradientTransformation:
    """PyTorch's `AdamW`: betas (.9, .999), eps 1e-8, decoupled decay of every parameter.

    Biases and batch-norm scales are decayed too, as PyTorch does by default.
    """
    return optax.adamw(
        schedule, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, weight_decay=weight_decay, mask=None
    )
