"""Clipping, warm-up and averaging of weights against PyTorch itself."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fakd_jax.training.optimizer import adamw, learning_rate_schedule
from fakd_jax.training.step import average_values

pytestmark = pytest.mark.torch

RATE, STEPS_PER_EPOCH, EPOCHS, WARMUP, DECAY, LONGEST = 0.1, 4, 3, 1, 0.7, 0.5


def test_twelve_steps_with_warm_up_clipping_and_averaging_are_pytorchs():
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    initial = generator.normal(size=(3,)).astype(np.float32)
    gradients = generator.normal(size=(STEPS_PER_EPOCH * EPOCHS, 3)).astype(np.float32)

    model = torch.nn.Module()
    model.weight = torch.nn.Parameter(torch.tensor(initial))
    theirs = torch.optim.AdamW([model.weight], lr=RATE, weight_decay=0.01)
    warmup = WARMUP * STEPS_PER_EPOCH
    scheduler = torch.optim.lr_scheduler.SequentialLR(
        theirs,
        [
            torch.optim.lr_scheduler.LambdaLR(theirs, lambda step: step / warmup),
            torch.optim.lr_scheduler.CosineAnnealingLR(theirs, STEPS_PER_EPOCH * EPOCHS - warmup),
        ],
        milestones=[warmup],
    )
    averaged = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(DECAY), use_buffers=True
    )

    schedule = learning_rate_schedule(
        "cosine_step",
        learning_rate=RATE,
        steps_per_epoch=STEPS_PER_EPOCH,
        num_epochs=EPOCHS,
        warmup_epochs=WARMUP,
    )
    optimizer = adamw(schedule, weight_decay=0.01, max_gradient_norm=LONGEST)
    params = {"weight": jnp.asarray(initial)}
    state, average = optimizer.init(params), params
    for step, gradient in enumerate(gradients):
        model.weight.grad = torch.tensor(gradient)
        torch.nn.utils.clip_grad_norm_([model.weight], LONGEST)
        theirs.step()
        averaged.update_parameters(model)
        scheduler.step()
        updates, state = optimizer.update({"weight": jnp.asarray(gradient)}, state, params)
        params = optax.apply_updates(params, updates)
        average = average_values(average, params, DECAY, jnp.int32(step))
        pairs = (params, model), (average, averaged.module)
        for mine, module in pairs:  # PyTorch divides by the norm + 1e-6
            np.testing.assert_allclose(mine["weight"], module.weight.detach(), atol=3e-6)
