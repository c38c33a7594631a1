"""Tiny data sets on disk for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TreeMaker = Callable[..., Path]


@pytest.fixture
def make_tree(tmp_path: Path) -> TreeMaker:
    """Makes a folder of small distinct PNGs: `make_tree({'Training/a': 3, ...}, name='x')`."""

    def make(counts: Mapping[str, int], name: str = "source", seed: int = 0) -> Path:
        rng = np.random.default_rng(seed)
        root = tmp_path / name
        root.mkdir()
        for folder, number in counts.items():
            (root / folder).mkdir(parents=True)
            for index in range(number):
                pixels = rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / folder / f"{index:03d}.png")
        return root

    return make


@pytest.fixture
def small_tree(make_tree: TreeMaker) -> Path:
    """Two classes, 3 + 4 training and 2 + 1 test images."""
    return make_tree({"Training/a": 3, "Training/b": 4, "Testing/a": 2, "Testing/b": 1})
