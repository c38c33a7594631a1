import math

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fakd_jax.training.optimizer import adamw, learning_rate_schedule


def rates(kind, steps, *, warmup_epochs=0.0):
    schedule = learning_rate_schedule(
        kind, learning_rate=1e-4, steps_per_epoch=10, num_epochs=4, warmup_epochs=warmup_epochs
    )
    return schedule(jnp.array(steps))


def test_cosine_per_epoch_is_pytorchs_cosine_annealing():
    # torch.optim.lr_scheduler.CosineAnnealingLR(T_max=4), stepped after each epoch.
    expected = [0.5e-4 * (1 + math.cos(math.pi * epoch / 4)) for epoch in (0, 0, 1, 2, 3)]
    np.testing.assert_allclose(rates("cosine_epoch", [0, 9, 10, 20, 39]), expected, rtol=1e-6)


def test_cosine_per_step_falls_to_zero():
    np.testing.assert_allclose(
        rates("cosine_step", [0, 20, 40]), [1e-4, 0.5e-4, 0.0], rtol=1e-6, atol=1e-12
    )


def test_constant():
    np.testing.assert_allclose(rates("constant", [0, 39]), [1e-4, 1e-4])


@pytest.mark.parametrize("kind", ["constant", "cosine_step"])
def test_the_rate_rises_linearly_to_where_the_schedule_begins(kind):
    expected = [0.0, 0.2e-4, 0.8e-4, 1e-4]
    expected += [0.5e-4, 0.0] if kind == "cosine_step" else [1e-4, 1e-4]
    np.testing.assert_allclose(
        rates(kind, [0, 1, 4, 5, 22.5, 40], warmup_epochs=0.5), expected, rtol=1e-6, atol=1e-12
    )


def test_after_a_warm_up_epochs_count_from_its_end():
    expected = [0.5e-4 * (1 + math.cos(math.pi * epoch / 3)) for epoch in (0, 0, 1, 2)]
    steps = [10, 19, 20, 39]
    np.testing.assert_allclose(rates("cosine_epoch", steps, warmup_epochs=1.0), expected, rtol=1e-6)


def test_a_warm_up_as_long_as_the_run_is_refused():
    with pytest.raises(ValueError, match="leaves none of 4"):
        rates("constant", [0], warmup_epochs=4.0)


def test_a_warm_up_that_rounds_up_to_the_run_ends_before_its_last_update():
    """39.9 of 40 updates."""
    expected = [0.0, 38 / 39 * 1e-4, 1e-4]
    np.testing.assert_allclose(rates("constant", [0, 38, 39], warmup_epochs=3.99), expected)


@pytest.mark.parametrize(("longest", "scale"), [(1.0, 1 / 13), (14.0, 1.0), (0.0, 1.0)])
def test_gradients_are_clipped_by_their_norm_over_all_parameters(longest, scale):
    """PyTorch's `clip_grad_norm_`: the norm of (3, 4) and 12 together is 13.

    Adam's first moment is a tenth of the gradient that it gets.
    """
    gradients = {"kernel": jnp.array([3.0, 4.0]), "bias": jnp.array([12.0])}
    optimizer = adamw(lambda step: 0.1, weight_decay=0.0, max_gradient_norm=longest)
    _, state = optimizer.update(gradients, optimizer.init(gradients), gradients)
    moments = optax.tree.get(state, "mu")
    for name, gradient in gradients.items():
        np.testing.assert_allclose(moments[name], 0.1 * scale * gradient, rtol=1e-5)


def test_unknown_schedule():
    with pytest.raises(ValueError, match="cosine_epoch"):
        learning_rate_schedule("linear", learning_rate=1.0, steps_per_epoch=1, num_epochs=1)


def test_adamw_is_pytorchs_by_hand():
    """Loshchilov & Hutter's algorithm 2 as torch.optim.AdamW runs it, two steps."""
    rate, decay, gradients = 0.1, 0.01, [np.array([0.5, -2.0]), np.array([1.0, 0.0])]
    params = np.array([1.0, -3.0])
    optimizer = adamw(lambda step: jnp.asarray(rate), weight_decay=decay)
    ours = {"bias": jnp.asarray(params, jnp.float32)}
    state = optimizer.init(ours)
    first, second = np.zeros(2), np.zeros(2)
    for step, gradient in enumerate(gradients, start=1):
        updates, state = optimizer.update({"bias": jnp.asarray(gradient, jnp.float32)}, state, ours)
        ours = optax.apply_updates(ours, updates)
        params = params * (1 - rate * decay)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        denominator = np.sqrt(second) / math.sqrt(1 - 0.999**step) + 1e-8
        params = params - rate / (1 - 0.9**step) * first / denominator
    np.testing.assert_allclose(ours["bias"], params, rtol=1e-5)
