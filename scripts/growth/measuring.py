"""Time and memory of a call, in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def in_own_process(function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function in a new process, so that the peak memory is this call's."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *args).result()


def timed(call: Callable[..., Any], *args: Any, **keywords: Any) -> tuple[Any, dict[str, Any]]:
    """The result of a call; its seconds of processor and clock, and the peak memory so far."""
    wall, cpu = time.monotonic(), time.process_time()
    result = call(*args, **keywords)
    return result, {
        "seconds": round(time.process_time() - cpu, 3),
        "wall_seconds": round(time.monotonic() - wall, 3),
        "peak_rss_gib": peak_gib(),
    }


def peak_gib() -> float:
    """The peak memory of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)
