"""A network without JAX: three classes, by the mean of the three channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fakd_jax.data.pixels.window import PixelRules
from fakd_jax.prediction.runtimes import OpenedNetwork
from fakd_jax.runs.decision import Decision

NAMES = ("red", "green", "blue")
SIDE = 16
BATCH_SIZE = 4


class Brightness:
    """Features are the mean grey levels of the channels in [0, 1], logits ten times as much.

    Args:
      on_batch: called with the number of each batch, from 1.
    """

    batch_size = BATCH_SIZE
    pads = True

    def __init__(self, on_batch: Callable[[int], object] = lambda number: None) -> None:
        self.batches = 0
        self._on_batch = on_batch

    def logits(self, batch: np.ndarray) -> np.ndarray:
        return self.features_and_logits(batch)[1]

    def features_and_logits(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert batch.shape == (BATCH_SIZE, SIDE, SIDE, 3)
        assert batch.dtype == np.uint8
        self.batches += 1
        self._on_batch(self.batches)
        features = (batch.mean(axis=(1, 2)) / 255).astype(np.float32)
        return features, 10 * features


class DarkImages:
    """Training images that were all dark."""

    foreign_threshold = 0.5

    def foreign_scores(self, features: np.ndarray) -> np.ndarray:
        return features.max(axis=1)

    def quality(self, images: Sequence[np.ndarray]) -> list[str]:
        return [
            "" if image.std(axis=(0, 1)).max() > 1 else "almost no contrast" for image in images
        ]


def brightness_network(
    runtime: Brightness | None = None,
    *,
    decision: Decision | None = None,
    reference: DarkImages | None = None,
    rules: PixelRules | None = None,
) -> OpenedNetwork:
    return OpenedNetwork(
        runtime=runtime or Brightness(),
        class_names=NAMES,
        image_size=SIDE,
        rules=rules or PixelRules(),
        identity={"weights_sha256": "ab" * 32},
        decision=decision,
        reference=reference,
    )


def write_colour(path: Path, colour: tuple[int, int, int], size: int = 20) -> Path:
    """Writes an image of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), colour).save(path)
    return path


def write_colours(folder: Path, count: int) -> Path:
    """Writes `count` images that differ, `0000.png` and so on."""
    for number in range(count):
        colour = (number * 37 % 256, number * 91 % 256, number * 13 % 256)
        write_colour(folder / f"{number:04d}.png", colour)
    return folder
