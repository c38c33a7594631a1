"""Limits on how many programs the host sends ahead of the device."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import jax

_AHEAD_OF_ACCELERATOR = 2
_RELEASE_FRACTION, _RELEASE_MAX_S = 0.01, 5e-3


def steps_ahead() -> int:
    """How many programs may be in flight when the next one is sent.

    On an accelerator two, so that it never waits for the host. On a CPU none: XLA allocates each
    program's memory when it is sent (1.3 GB for a student step at batch size 32).
    """
    return 0 if jax.default_backend() == "cpu" else _AHEAD_OF_ACCELERATOR


def wait_until_done(results: Any) -> None:
    """Blocks until the arrays in a pytree are ready and, on a CPU, their program's memory is free.

    XLA on CPU reports results as ready some milliseconds before it frees the activations behind
    them; a program sent meanwhile would get memory of its own, and the allocator would keep both
    blocks. Hence a pause of 1 % of the time waited, at most 5 ms.
    """
    started = time.monotonic()
    jax.block_until_ready(results)
    if jax.default_backend() == "cpu":
        waited = time.monotonic() - started
        time.sleep(min(_RELEASE_FRACTION * waited, _RELEASE_MAX_S))


def wait_for_room(sent: Sequence[Any]) -> None:
    """Blocks until at most :func:`steps_ahead` programs are in flight; `sent` are their results."""
    ahead = steps_ahead()
    if len(sent) > ahead:
        wait_until_done(sent[-1 - ahead])
