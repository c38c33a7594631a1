"""Folders of images with more than 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.tiny import CLASS_NAMES


def write_deep_images(
    folder: Path,
    *,
    train: int = 4,
    test: int = 2,
    high: int = 4_095,
    scale: float = 1.0,
    seed: int = 0,
) -> Path:
    """Writes `Training|Testing/<class>/*.png`: 16-bit grey noise up to `high`, then scaled."""
    rng = np.random.default_rng(seed)
    for split, count in (("Training", train), ("Testing", test)):
        for place, name in enumerate(CLASS_NAMES):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                levels = rng.integers(0, high + 1, (36, 40)) // (1 + place)
                path = folder / split / name / f"{index}.png"
                Image.fromarray((levels * scale).astype(np.uint16)).save(path)
    return folder
