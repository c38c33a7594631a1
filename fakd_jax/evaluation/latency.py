"""The time that one prediction takes."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fakd_jax.inference.predictor import Predictor
from fakd_jax.runtime.environment import describe_environment

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
    side, device = predictor.preprocessing.image_size, describe_environment()["device"]
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
