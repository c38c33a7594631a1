"""Seeded synthetic head MRI in the four classes, with ground-truth lesion masks.

No patient, nothing downloaded: enough to run, test and explain the whole program. They are
schematic sections (:mod:`fakd_jax.data.phantom.anatomy`) with or without a lesion
(:mod:`fakd_jax.data.phantom.lesions`), seen through a simulated scanner. Plane, contrast, pose,
noise, bias field, window and size are drawn alike in all classes, and vessels, ventricles, eyes
and the normal gland appear in all of them, so that only the lesion tells the class.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from fakd_jax.data.phantom.anatomy import CONTRASTS, PLANES, Head, draw_head
from fakd_jax.data.phantom.lesions import ADD_LESION
from fakd_jax.data.phantom.shapes import Field, smooth_noise
from fakd_jax.errors import UserError

CLASS_NAMES = ("glioma", "meningioma", "notumor", "pituitary")

MASK_FOLDER = "masks"
MIN_SIZE = 32

CONTRAST_SHARES = (0.15, 0.6, 0.25)  # of T1, T1 with contrast agent, T2
SELLAR_SHARE = 0.7  # of sections through the sella; all of the pituitary class are
AREA_BOUNDS = (0.004, 0.15)  # of a lesion, as a share of the picture
_ATTEMPTS = 50


@dataclass(frozen=True, eq=False)
class Phantom:
    """One synthetic picture.

    Attributes:
      image: uint8 [H, W, 3], three equal channels.
      mask: bool [H, W], the lesion; empty for `notumor`.
      plane: `axial`, `coronal` or `sagittal`.
      contrast: `t1`, `t1c` (with contrast agent) or `t2`.
      label: index into `CLASS_NAMES`.
    """

    image: UInt8[np.ndarray, "H W 3"]
    mask: Bool[np.ndarray, "H W"]
    plane: str
    contrast: str
    label: int


def phantom(seed: int, label: int | str, size: int) -> Phantom:
    """Draws one phantom; equal arguments give equal bytes.

    Args:
      seed: any non-negative integer.
      label: the class, by name or by index into `CLASS_NAMES`.
      size: about the side of the picture, in pixels; height and width vary by a tenth.

    Raises:
      UserError: for an unknown class or a size below `MIN_SIZE`.
    """
    index = _class_index(label)
    return _draw(np.random.default_rng([seed, index]), index, size)


def write_phantoms(
    directory: Path,
    *,
    train_per_class: int = 300,
    test_per_class: int = 75,
    size: int = 72,
    seed: int = 0,
) -> None:
    """Writes a set in the layout of the Kaggle data, with masks beside it.

    `Training/<class>/Tr-<class>_0000.png` and `Testing/<class>/Te-<class>_0000.png`, 8-bit grey,
    and under `masks/` the same paths, 0 or 255. Each picture depends on the seed, the split, its
    class and its number alone, so a larger set begins with a smaller one.

    Args:
      directory: created if missing; files of the same names are replaced.
      train_per_class: pictures of each class for training.
      test_per_class: pictures of each class for testing.
      size: see :func:`phantom`.
      seed: see :func:`phantom`.

    Raises:
      UserError: for numbers below one, or a size below `MIN_SIZE`.
    """
    if min(train_per_class, test_per_class) < 1 or seed < 0:
        raise UserError(
            f"phantoms: train_per_class {train_per_class} and test_per_class {test_per_class} "
            f"must be 1 or more, seed {seed} not negative"
        )
    parts = (("Training", "Tr", train_per_class), ("Testing", "Te", test_per_class))
    for split, (folder, prefix, count) in enumerate(parts):
        for label, name in enumerate(CLASS_NAMES):
            images = directory / folder / name
            masks = directory / MASK_FOLDER / folder / name
            images.mkdir(parents=True, exist_ok=True)
            masks.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                rng = np.random.default_rng([seed, split, label, number])
                drawn = _draw(rng, label, size)
                file = f"{prefix}-{name}_{number:04d}.png"
                (images / file).write_bytes(_png(drawn.image[..., 0]))
                (masks / file).write_bytes(_png(np.where(drawn.mask, 255, 0).astype(np.uint8)))


def _class_index(label: int | str) -> int:
    if label in CLASS_NAMES:
        return CLASS_NAMES.index(label)
    if isinstance(label, int) and 0 <= label < len(CLASS_NAMES):
        return label
    raise UserError(f"no phantom class {label!r}; there are {', '.join(CLASS_NAMES)}")


def _draw(rng: np.random.Generator, label: int, size: int) -> Phantom:
    """Draws until the lesion's area is within bounds; the scene is drawn anew each time."""
    if size < MIN_SIZE:
        raise UserError(f"phantoms of {size} pixels are too small; give {MIN_SIZE} or more")
    height, width = (round(size * share) for share in rng.uniform(0.9, 1.1, 2))
    plane = PLANES[rng.integers(len(PLANES))]
    contrast = CONTRASTS[rng.choice(len(CONTRASTS), p=CONTRAST_SHARES)]
    name = CLASS_NAMES[label]
    for _ in range(_ATTEMPTS):
        sellar = bool(rng.random() < SELLAR_SHARE) or name == "pituitary"
        head = draw_head(rng, (height, width), plane=plane, contrast=contrast, sellar=sellar)
        if name == "notumor":
            mask = np.zeros((height, width), bool)
            break
        mask = ADD_LESION[name](head)
        if AREA_BOUNDS[0] <= mask.mean() <= AREA_BOUNDS[1]:
            break
    else:
        raise RuntimeError(f"no {name} of plausible area in {_ATTEMPTS} attempts")
    image = _acquire(rng, head)
    return Phantom(np.repeat(image[..., None], 3, axis=-1), mask, plane, contrast, label)


def _acquire(rng: np.random.Generator, head: Head) -> UInt8[np.ndarray, "H W"]:
    """The scanner: bias field, point spread, Rician noise, gamma and window."""
    from scipy import ndimage

    shape = (head.picture.shape[0], head.picture.shape[1])
    signal: Field = head.picture * np.exp(
        np.float32(rng.uniform(0.03, 0.15)) * smooth_noise(rng, shape, 2)
    )
    signal = ndimage.gaussian_filter(signal, rng.uniform(0.3, 0.7), truncate=3)
    sigma = np.float32(rng.uniform(0.01, 0.04))
    real, imaginary = sigma * rng.standard_normal((2, *shape), dtype=np.float32)
    magnitude = np.hypot(signal + real, imaginary)
    level = np.float32(rng.uniform(0.75, 1.2))
    shown = np.clip(magnitude * level, 0, 1) ** np.float32(rng.uniform(0.8, 1.25))
    return (255 * shown + 0.5).astype(np.uint8)


def _png(image: UInt8[np.ndarray, "H W"]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()
