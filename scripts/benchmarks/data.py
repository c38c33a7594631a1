"""The same images and labels for every side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from benchmarks.settings import NUM_CLASSES, Settings

PIPELINE_IMAGES = 512


def images_and_labels(batch: int, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Noise, uint8 [B, S, S, 3], and labels, int32 [B]; black images might be faster."""
    generator = np.random.default_rng(settings.seed)
    side = settings.image_size
    images = generator.integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    return images, generator.integers(0, NUM_CLASSES, batch).astype(np.int32)


def normalised(images: np.ndarray) -> np.ndarray:
    """The networks' input, with mean and standard deviation 0.5."""
    return (images.astype(np.float32) / 255 - 0.5) / 0.5


def write_image_folder(folder: Path, settings: Settings) -> Path:
    """Writes JPEG files of smooth noise as `Training|Testing/<class>/*.jpg`."""
    from PIL import Image

    generator = np.random.default_rng(settings.seed)
    side = settings.image_size
    for split, count in (("Training", PIPELINE_IMAGES // NUM_CLASSES), ("Testing", 1)):
        for label in range(NUM_CLASSES):
            place = folder / split / f"class{label}"
            place.mkdir(parents=True)
            for index in range(count):
                small = generator.integers(0, 256, (side // 8, side // 8), dtype=np.uint8)
                picture = Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)
                picture.convert("RGB").save(place / f"{index}.jpg", quality=90)
    return folder


def head_phantom(settings: Settings) -> np.ndarray:
    """One image with something to segment: a bright disc with a spot, uint8 [S, S, 3]."""
    side = settings.image_size
    rows, columns = np.mgrid[:side, :side] / side - 0.5
    distance = np.hypot(rows, columns)
    image = np.where(distance < 0.4, 110 + 60 * np.cos(14 * distance), 8.0)
    image += 90 * np.exp(-(((rows - 0.1) ** 2 + (columns + 0.12) ** 2) / 0.004))
    image += np.random.default_rng(settings.seed).normal(0, 6, image.shape)
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)
