"""One seed derives everything: named, independent streams of randomness."""

from __future__ import annotations

import zlib

import numpy as np


def derive_seed(seed: int, *names: str) -> int:
    """Derives the seed of a named purpose from the run's seed.

    Args:
      seed: the run's seed, at least 0.
      *names: the purpose, e.g. `"student", "dropout"`; other names give independent streams
        (NumPy's `SeedSequence`).

    Returns:
      An integer in [0, 2³²), the same on every machine.
    """
    words = [seed, *(zlib.crc32(name.encode()) for name in names)]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint32)[0])
