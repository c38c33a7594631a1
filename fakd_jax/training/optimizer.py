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
    kind: str,
    *,
    learning_rate: float,
    steps_per_epoch: int,
    num_epochs: int,
    warmup_epochs: float = 0.0,
) -> Callable[[jax.Array | int], jax.Array]:
    r"""Builds the learning rate as a function of the number of updates made so far.

    After the warm-up of w updates (Goyal et al. 2017, "Accurate, Large Minibatch SGD"), in which it
    rises linearly as :math:`\eta_0 t / w`, the cosine falls from the full rate to 0 over the rest
    of the run, :math:`\eta_t = \tfrac{1}{2}\eta_0 (1 + \cos(\pi (t - w) / (T - w)))`; PyTorch's
    `SequentialLR` of a `LambdaLR` and a `CosineAnnealingLR` does the same.

    Args:
      kind: `"cosine_epoch"`, t - w in whole epochs, as PyTorch's `CosineAnnealingLR` stepped once
        an epoch (the paper's); `"cosine_step"`, t in steps; `"constant"`.
      learning_rate: :math:`\eta_0`.
      steps_per_epoch: updates in an epoch.
      num_epochs: epochs in the whole run.
      warmup_epochs: w in epochs, below `num_epochs`; rounded to whole updates, at least one less
        than the run has.

    Raises:
      ValueError: for an unknown kind, or a warm-up as long as the run.
    """
    if kind not in SCHEDULES:
        raise ValueError(f"unknown schedule {kind!r}; known: {', '.join(SCHEDULES)}")
    if warmup_epochs >= num_epochs:
        raise ValueError(f"a warm-up of {warmup_epochs} epochs leaves none of {num_epochs}")
    total = steps_per_epoch * num_epochs
    warmup = min(round(warmup_epochs * steps_per_epoch), total - 1)
    num_steps = total - warmup

    def after_warmup(step: jax.Array) -> jax.Array:
        if kind == "constant":
            return jnp.full(step.shape, learning_rate, jnp.float32)
        if kind == "cosine_epoch":
            progress = (step // steps_per_epoch) / (num_steps / steps_per_epoch)
        else:
            progress = step / num_steps
        return 0.5 * learning_rate * (1.0 + jnp.cos(math.pi * jnp.minimum(progress, 1.0)))

    def schedule(count: jax.Array | int) -> jax.Array:
        step = jnp.asarray(count)
        if not warmup:
            return after_warmup(step)
        rising = learning_rate * step / warmup
        return jnp.where(step < warmup, rising, after_warmup(jnp.maximum(step - warmup, 0)))

    return schedule


@functools.cache
def adamw(
    schedule: Callable[[jax.Array | int], jax.Array],
    *,
    weight_decay: float,
    max_gradient_norm: float = 0.0,
) -> optax.GradientTransformation:
    """PyTorch's `AdamW`: betas (.9, .999), eps 1e-8, decoupled decay of every parameter.

    Biases and batch-norm scales are decayed too, as PyTorch does by default.

    Args:
      schedule: the learning rate by the number of updates so far.
      weight_decay: times the learning rate, the share by which parameters shrink.
      max_gradient_norm: gradients whose norm over all parameters is above this are scaled down to
        it (Pascanu et al. 2013), as by `torch.nn.utils.clip_grad_norm_`, which divides by the norm
        + 1e-6 where this divides by the norm; 0 leaves gradients as they are.
    """
    optimizer = optax.adamw(
        schedule, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, weight_decay=weight_decay, mask=None
    )
    if max_gradient_norm == 0:
        return optimizer
    return optax.chain(optax.clip_by_global_norm(max_gradient_norm), optimizer)
