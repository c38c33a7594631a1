import jax.numpy as jnp
import pytest

from fakd_jax.errors import NotFiniteError
from fakd_jax.training import progress as module
from fakd_jax.training.progress import EpochProgress


@pytest.fixture
def now(monkeypatch):
    """A clock that stands still."""
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(module, "wait_until_done", lambda loss: None)
    return clock


def test_steps_wait_in_order_and_as_many_stay_in_flight_as_may():
    progress = EpochProgress("", batch_size=2, num_steps=5, steps_done=0)
    for step in range(1, 5):
        progress.add(step, jnp.float32(step if step < 4 else jnp.nan))
    progress.wait(leave=1)
    assert progress._bar.n == 6
    with pytest.raises(NotFiniteError, match="not finite at step 4"):
        progress.wait()


@pytest.mark.parametrize(("steps_done", "seconds", "speed"), [(0, 6.0, 1.0), (3, 3.0, 2 / 3)])
def test_the_first_step_compiles_and_is_not_timed_unless_it_is_the_only_one(
    now, steps_done, seconds, speed
):
    progress = EpochProgress("", batch_size=2, num_steps=4, steps_done=steps_done)
    for step in range(steps_done + 1, 5):
        now[0] += 3.0 if step == steps_done + 1 else 2.0
        progress.add(step, jnp.float32(1))
    progress.wait()
    assert progress.speed() == {"images_per_second": speed, "seconds": seconds}
