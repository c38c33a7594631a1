"""Reference images of preprocessing and augmentation, from torchvision on synthetic PIL images.

`tests/data` compares our resizing, flip, rotation and normalisation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.transforms import InterpolationMode, Normalize, ToTensor, functional

SIZES = {"wide": (45, 61), "tall": (52, 37), "small": (9, 17)}
RESIZED = 32
ANGLES = (-15.0, -7.3, 0.41, 12.345)
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.5, 0.75)


def write(output: Path) -> None:
    """Writes inputs and torchvision's outputs, [H, W, 3], to one .npz."""
    arrays: dict[str, np.ndarray] = {
        "angles": np.array(ANGLES, np.float32),
        "mean": np.array(MEAN, np.float32),
        "std": np.array(STD, np.float32),
    }
    for name, size in SIZES.items():
        image = picture(*size)
        arrays[f"{name}.input"] = np.array(image)
        resized = functional.resize(image, [RESIZED, RESIZED])
        arrays[f"{name}.resized"] = np.array(resized)
        normalised = Normalize(MEAN, STD)(ToTensor()(resized))
        arrays[f"{name}.normalised"] = normalised.permute(1, 2, 0).numpy()
        for mode in (InterpolationMode.NEAREST, InterpolationMode.BILINEAR):
            for number, angle in enumerate(arrays["angles"]):
                rotated = functional.rotate(
                    functional.hflip(image), float(angle), interpolation=mode
                )
                arrays[f"{name}.{mode.value}.{number}"] = np.array(rotated)
    np.savez_compressed(output, **arrays)


def picture(height: int, width: int) -> Image.Image:
    """Waves of different directions per channel, and noise, so that every misplaced pixel shows."""
    rng = np.random.RandomState(height * width)
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / a + columns / b) for a, b in ((3, 7), (5, -4), (11, 2))]
    levels = 128 + 80 * np.stack(waves, axis=-1) + rng.normal(0, 20, (height, width, 3))
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
