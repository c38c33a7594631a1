"""Small sources in many layouts, and how a test opens them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.sources import open_dataset


def draw(path: Path, seed: int = 0, *, mask: bool = False) -> Path:
    """Writes an image of noise, 10 pixels wide and 12 high, or a mask of its upper half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, len(path.name)]).integers(0, 256, (12, 10), np.uint8)
    if mask:
        pixels[:6], pixels[6:] = 255, 0
    Image.fromarray(pixels).save(path)
    return path


def draw_all(root: Path, names: Iterable[str]) -> Path:
    """Writes an image of its own for each name; masks by the names that say so."""
    for seed, name in enumerate(names):
        draw(root / name, seed, mask="mask" in name)
    return root


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([header, *rows])
    return path


class Opener:
    """Opens sources with one cache and remembers what was logged."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.lines: list[str] = []

    def __call__(self, source: Path | str, **keywords: Any) -> ImageDataset:
        return open_dataset(source, cache_dir=self.cache, log=self.lines.append, **keywords)

    def logged(self, words: str) -> str:
        """The one line that has these words."""
        (line,) = [line for line in self.lines if words in line]
        return line
