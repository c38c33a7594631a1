"""How far the host runs ahead of the device, and what it has sent but not yet waited for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import jax

_AHEAD_OF_ACCELERATOR = 2
_RELEASE_SHARE, _RELEASE_MOST_S = 0.01, 5e-3


def steps_ahead() -> int:
    """How many steps may be under way when the next one is sent to the device.

    A GPU finds its next step waiting. XLA on CPU takes all memory of a program when it is sent,
    1.3 GB for the student at batch 32, so that every step under way costs that much more; there
    the host prepares the next batch while the device computes, and then waits.
    """
    return 0 if jax.default_backend() == "cpu" else _AHEAD_OF_ACCELERATOR


def wait_until_done(results: Any) -> None:
    """Waits for the results of a program, and on CPU until its memory is free again.

    XLA on CPU calls results ready a moment before it frees the activations behind them, one to
    three milliseconds in a training step. A program sent in that moment is given memory of its own,
    and the allocator keeps both pieces: 1.4 GB each. So a hundredth of the time that was waited is
    waited on, at most 5 ms.

    Args:
      results: A pytree of arrays.
    """
    started = time.monotonic()
    jax.block_until_ready(results)
    if jax.default_backend() == "cpu":
        waited = time.monotonic() - started
        time.sleep(min(_RELEASE_SHARE * waited, _RELEASE_MOST_S))


def wait_for_room(sent: Sequence[Any]) -> None:
    """Waits until no more than `steps_ahead()` of what was sent are under way.

    Args:
      sent: Results of programs, pytrees of arrays, in the order in which they were sent.
    """
    ahead = steps_ahead()
    if len(sent) > ahead:
        wait_until_done(sent[-1 - ahead])
