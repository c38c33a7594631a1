"""The time that one prediction takes, and the hardware that it depends on."""

from __future__ import annotations

import functools
import os
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fakd_jax.inference.predictor import Predictor

WARM_UPS = 2
MIN_REPEATS, MAX_REPEATS = 5, 100
SECONDS_PER_BATCH_SIZE = 3.0
BATCH_SIZES = (1, 32)


def measure_latency(
    predictor: Predictor, batch_sizes: tuple[int, ...] = BATCH_SIZES
) -> list[dict[str, Any]]:
    """Times the network from resized uint8 images to logits, both in host memory.

    Transfers to and from an accelerator count; decoding, resizing, compilation and warm-up runs
    do not.

    Returns:
      One dict per batch size: `batch`, `device`, `dtype`, `repeats`, and in milliseconds
      `median_ms` and `p95_ms` per batch and `median_ms_per_image`.
    """
    side, device = predictor.preprocessing.image_size, describe_hardware()["device"]
    rows = []
    for batch in batch_sizes:
        # Noise: a processor may compute black images faster than real ones.
        images = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
        seconds = _time(functools.partial(predictor.logits_of_batch, images))
        median, p95 = np.percentile(seconds, [50, 95]) * 1000
        rows.append(
            {
                "batch": batch,
                "device": device,
                "dtype": predictor.dtype,
                "repeats": len(seconds),
                "median_ms": float(median),
                "p95_ms": float(p95),
                "median_ms_per_image": float(median / batch),
            }
        )
    return rows


def describe_hardware() -> dict[str, Any]:
    """The device that computes, the number of usable processors, and software versions."""
    device = jax.devices()[0]
    name = _processor_name() if device.platform == "cpu" else device.device_kind
    return {
        "platform": device.platform,
        "device": name,
        "device_count": jax.device_count(),
        "cpu_count": _usable_cpus(),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }


def _time(call: Callable[[], object]) -> list[float]:
    """The seconds of each call, of as many as fit the time allowed."""
    for _ in range(WARM_UPS):
        call()
    seconds: list[float] = []
    while len(seconds) < MIN_REPEATS or (
        len(seconds) < MAX_REPEATS and sum(seconds) < SECONDS_PER_BATCH_SIZE
    ):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def _processor_name() -> str:
    """The CPU's model where Linux reports it, else its architecture."""
    information = Path("/proc/cpuinfo")
    text = information.read_text(encoding="utf-8") if information.is_file() else ""
    named = re.search(r"^model name\s*: *(.*\S)", text, re.MULTILINE)
    return named[1] if named else platform.processor() or platform.machine()


def _usable_cpus() -> int:
    """The processors that this process may use: a container may allow fewer than there are."""
    if hasattr(os, "sched_getaffinity"):  # on Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
