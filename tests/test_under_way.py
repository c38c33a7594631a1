"""Losses arrive in order, and no later than asked for."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

from fakd_jax import under_way
from fakd_jax.under_way import Losses, steps_ahead, wait_for_room


def test_losses_arrive_in_order_and_as_many_stay_as_may() -> None:
    arrived: list[tuple[int, float]] = []
    losses = Losses(lambda step, loss: arrived.append((step, loss)))
    for step in range(1, 5):
        losses.add(step, jnp.float32(step / 2))
    losses.wait(leave=3)
    assert arrived == [(1, 0.5)]
    losses.wait()
    assert arrived == [(1, 0.5), (2, 1.0), (3, 1.5), (4, 2.0)]
    losses.wait()
    assert len(arrived) == 4


@pytest.mark.parametrize(("backend", "ahead"), [("cpu", 0), ("gpu", 2)])
def test_only_an_accelerator_has_steps_waiting(
    backend: str, ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_way.jax, "default_backend", lambda: backend)
    assert steps_ahead() == ahead


@pytest.mark.parametrize(
    ("backend", "sent", "waited_for"),
    [("cpu", "", []), ("cpu", "abc", ["c"]), ("gpu", "ab", []), ("gpu", "abcd", ["b"])],
)
def test_room_is_made_by_waiting_for_the_youngest_that_may_not_be_under_way(
    backend: str, sent: str, waited_for: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[str] = []
    monkeypatch.setattr(under_way.jax, "default_backend", lambda: backend)
    monkeypatch.setattr(under_way.jax, "block_until_ready", waited.append)
    wait_for_room(list(sent))
    assert waited == waited_for
