"""Seeded synthetic head MRI in four classes, with ground-truth lesion masks.

Nothing is downloaded and no patient is shown: enough to run, test and explain the whole program.
Schematic sections (:mod:`fakd_jax.data.phantom.anatomy`) with or without a lesion
(:mod:`fakd_jax.data.phantom.lesions`) pass through a simulated scanner. Plane, contrast, pose,
noise, bias field, window and size follow the same distribution in all classes; vessels, ventricles,
eyes and the normal gland appear in all of them; and each picture has the grey levels of the same
head with a lesion of any class. So neither brightness nor size gives the class away: only the
lesion does.
"""

from __future__ import annotations

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

CONTRAST_SHARES = (0.1, 0.7, 0.2)  # of T1, T1 with contrast agent, FLAIR
SELLAR_SHARE = 0.85  # of sections through the sella; all of the pituitary class are
AREA_BOUNDS = (0.015, 0.2)  # of a lesion, as a share of the picture
_ATTEMPTS = 50
_TONES = 33  # points of the curve that matches the grey levels


@dataclass(frozen=True, eq=False)
class Phantom:
    """One synthetic picture.

    Attributes:
      image: uint8 [H, W, 3], three equal channels.
      mask: bool [H, W], the lesion; empty for `notumor`.
      plane: `axial`, `coronal` or `sagittal`.
      contrast: `t1`, `t1c` (with contrast agent) or `flair`.
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
      size: mean side of the picture, in pixels; height and width vary by a tenth.

    Raises:
      UserError: for an unknown class or a size below `MIN_SIZE`.
    """
    index = CLASS_NAMES.index(label) if label in CLASS_NAMES else label
    if not isinstance(index, int) or not 0 <= index < len(CLASS_NAMES):
        raise UserError(f"no phantom class {label!r}; choose from {', '.join(CLASS_NAMES)}")
    return _draw(np.random.default_rng([seed, index]), index, size)


def write_phantoms(
    directory: Path,
    *,
    train_per_class: int = 500,
    test_per_class: int = 75,
    size: int = 72,
    seed: int = 0,
) -> None:
    """Writes a data set in the layout of the Kaggle data, with masks beside it.

    `Training/<class>/Tr-<class>_0000.png` and `Testing/<class>/Te-<class>_0000.png`, 8-bit grey,
    and under `masks/` the same paths, 0 or 255. Each picture depends on the seed, the split, its
    class and its number alone, so a larger set begins with a smaller one.

    Args:
      directory: created if missing; files of the same names are replaced.
      train_per_class: training pictures per class.
      test_per_class: test pictures per class.
      size: see :func:`phantom`.
      seed: see :func:`phantom`.

    Raises:
      UserError: for numbers below one, or a size below `MIN_SIZE`.
    """
    from PIL import Image

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
                drawn = _draw(np.random.default_rng([seed, split, label, number]), label, size)
                file = f"{prefix}-{name}_{number:04d}.png"
                Image.fromarray(drawn.image[..., 0]).save(images / file)
                Image.fromarray(255 * drawn.mask.astype(np.uint8)).save(masks / file)


def _draw(rng: np.random.Generator, label: int, size: int) -> Phantom:
    """Draws whole pictures until the lesion's area is within bounds."""
    if size < MIN_SIZE:
        raise UserError(f"phantoms of {size} pixels are too small; give {MIN_SIZE} or more")
    height, width = (round(size * share) for share in rng.uniform(0.9, 1.1, 2))
    plane = PLANES[rng.integers(len(PLANES))]
    contrast = CONTRASTS[rng.choice(len(CONTRASTS), p=CONTRAST_SHARES)]
    name = CLASS_NAMES[label]
    for _ in range(_ATTEMPTS):
        sellar = bool(rng.random() < SELLAR_SHARE) or name == "pituitary"
        head = draw_head(rng, (height, width), plane=plane, contrast=contrast, sellar=sellar)
        reference, _ = _with_lesion(head, CLASS_NAMES[rng.integers(len(CLASS_NAMES))])
        picture, mask = _with_lesion(head, name)
        if name == "notumor" or AREA_BOUNDS[0] <= mask.mean() <= AREA_BOUNDS[1]:
            break
    else:
        raise RuntimeError(f"no {name} of plausible area in {_ATTEMPTS} attempts")
    image = _acquire(rng, picture, reference)
    return Phantom(np.repeat(image[..., None], 3, axis=-1), mask, plane, contrast, label)


def _with_lesion(head: Head, name: str) -> tuple[Field, Bool[np.ndarray, "H W"]]:
    """Returns the head's picture with a lesion of this class where it fits, and the mask."""
    if name not in ADD_LESION or (name == "pituitary" and head.sella is None):
        return head.picture, np.zeros(head.picture.shape, bool)
    healthy, head.picture = head.picture, head.picture.copy()
    mask = ADD_LESION[name](head)
    painted, head.picture = head.picture, healthy
    return painted, mask


def _acquire(
    rng: np.random.Generator, picture: Field, reference: Field
) -> UInt8[np.ndarray, "H W"]:
    """Simulates the scanner: bias field, point spread, tone curve, Rician noise, window, gamma.

    The tone curve matches the grey levels to those of `reference`, the same head with a lesion of
    any class, so that a histogram does not give the class away.
    """
    from scipy.ndimage import gaussian_filter

    bias = np.exp(rng.uniform(0.03, 0.15) * smooth_noise(rng, picture.shape, 2))
    spread = rng.uniform(0.3, 0.7)
    signal, target = (
        gaussian_filter(bias * image, spread, truncate=3) for image in (picture, reference)
    )
    shares = np.linspace(0, 1, _TONES)
    signal = np.interp(signal, np.quantile(signal, shares), np.quantile(target, shares))
    real, imaginary = rng.uniform(0.01, 0.025) * rng.standard_normal((2, *picture.shape))
    magnitude = np.hypot(signal + real, imaginary) * rng.uniform(0.8, 1.15)
    return (255 * np.clip(magnitude, 0, 1) ** rng.uniform(0.85, 1.2) + 0.5).astype(np.uint8)
