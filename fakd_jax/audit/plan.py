"""How an audit will search, and an estimate of its time and memory before it starts."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fakd_jax.audit.matching.appearance import SIDE, EncodedImages, thumbnail_of
from fakd_jax.audit.matching.neighbours import import_faiss
from fakd_jax.data.pixels.raster import decode_rgb
from fakd_jax.reporting.numbers import count, duration, file_size
from fakd_jax.runtime.cache import data_cache_folder

EXACT_UP_TO = 10_000
"""Images up to which every pair is compared; beyond, each image and its nearest neighbours."""

EXACT, APPROXIMATE = "v1", "v1-approximate"
"""Versions of the searches, part of the fingerprint: raise them when other pairs would be found."""

READ_AS_SAMPLE = 16
BYTES_AT_START = {EXACT: 600e6, APPROXIMATE: 1.5e9}
BYTES_PER_IMAGE = {EXACT: 210e3, APPROXIMATE: 8e3}
SCRATCH_BYTES_PER_IMAGE = SIDE * SIDE * (1 + 2 + 2 / 4)

# CPU seconds of the search and the shortcuts, on a CPU whose probe (see :func:`_slowness`) takes
# REFERENCE_PROBE, per image and per squared number of images: `scripts/growth/audit.py`.
SECONDS = {EXACT: (4e-3, 1.6e-6), APPROXIMATE: (7e-3, 0.0)}
REFERENCE_PROBE = 0.011


@dataclass(frozen=True)
class Plan:
    """How duplicates are searched, and what that takes.

    Attributes:
      images: their number.
      method: `EXACT` or `APPROXIMATE`.
      scratch: the folder for scratch files; None if exact.
      seconds: estimate of the whole audit.
      bytes: estimate of its memory.
      scratch_bytes: size of the scratch files.
    """

    images: int
    method: str
    scratch: Path | None
    seconds: float
    bytes: float
    scratch_bytes: float

    def __str__(self) -> str:
        """For the log."""
        cost = f"about {duration(self.seconds)} and {file_size(round(self.bytes))} of memory"
        if self.scratch is None:
            return f"{cost}; every pair is compared"
        return (
            f"{cost}, {file_size(round(self.scratch_bytes))} of scratch files in {self.scratch}; "
            f"above {count(EXACT_UP_TO)} images each is compared with its nearest neighbours"
        )


def method_for(images: int) -> str:
    """The search for so many images."""
    return EXACT if images <= EXACT_UP_TO else APPROXIMATE


def scratch_folder(images: int, cache_dir: Path | str | None = None) -> Path | None:
    """Where the scratch files of so many images go; None if all are kept in memory.

    Args:
      images: their number.
      cache_dir: see :func:`fakd_jax.runtime.cache.data_cache_folder`.

    Raises:
      UserError: the cache can't be written.
    """
    return data_cache_folder(cache_dir) if method_for(images) == APPROXIMATE else None


def plan_search(dataset: EncodedImages, cache_dir: Path | str | None = None) -> Plan:
    """Decides how to search, and estimates the cost from a few images of the data.

    Args:
      dataset: the data.
      cache_dir: see :func:`fakd_jax.runtime.cache.data_cache_folder`; scratch files go there too.

    Raises:
      UserError: faiss is needed and not installed, or the cache can't be written.
    """
    images = len(dataset.examples)
    method = method_for(images)
    if method == APPROXIMATE:
        import_faiss()
    scratch = scratch_folder(images, cache_dir)
    each, squared = SECONDS[method]
    seconds = _seconds_to_read(dataset) * images
    seconds += _slowness() * (each * images + squared * images**2)
    return Plan(
        images=images,
        method=method,
        scratch=scratch,
        seconds=seconds / (os.cpu_count() or 1),
        bytes=BYTES_AT_START[method] + BYTES_PER_IMAGE[method] * images,
        scratch_bytes=SCRATCH_BYTES_PER_IMAGE * images if scratch else 0.0,
    )


def _seconds_to_read(dataset: EncodedImages) -> float:
    """Mean time to read an image and make its thumbnail, from a sample of the data."""
    sample = np.unique(np.linspace(0, len(dataset.examples) - 1, READ_AS_SAMPLE).astype(int))
    start = time.thread_time()
    for index in map(int, sample):
        thumbnail_of(decode_rgb(dataset.read_encoded(index), dataset.examples[index].id))
    return (time.thread_time() - start) / len(sample)


def _slowness() -> float:
    """How much longer than the reference this CPU takes to blur some noise."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).normal(size=(64, SIDE, SIDE)).astype(np.float32)
    gaussian_filter(noise, (0, 3, 3))  # the first call is slower
    start = time.thread_time()
    gaussian_filter(noise, (0, 3, 3))
    return (time.thread_time() - start) / REFERENCE_PROBE
