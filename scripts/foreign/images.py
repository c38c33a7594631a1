"""Images that no network for brain MRI should be asked about, and some that only look like it.

Photographs are those that scikit-image ships: nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from jaxtyping import UInt8

from fakd_jax.data.resizing import resize

PHOTOGRAPHS = (
    *("astronaut", "coffee", "camera", "cat", "rocket", "brick", "grass", "gravel", "coins"),
    *("hubble_deep_field", "retina", "immunohistochemistry", "cell", "microaneurysms", "moon"),
    *("clock", "horse", "logo", "colorwheel", "page", "text"),
)
CROPS = 7
PATCHES = (8, 4)  # per side
WORDS = ("the", "tumour", "is", "in", "left", "temporal", "lobe", "report", "of", "contrast")

Images = list[np.ndarray]


def foreign_sets(
    tested: Sequence[UInt8[np.ndarray, "S S 3"]], size: int, seed: int
) -> dict[str, Images]:
    """Every set by name, of images of side `size`.

    Args:
      tested: real images, some of which are inverted and cut into shuffled patches.
      size: S in pixels.
      seed: of all random choices.
    """
    generator = np.random.default_rng(seed)
    photographs = [resize(image, size) for image in _photographs(generator)]
    some = [tested[index] for index in generator.permutation(len(tested))[:200]]
    makers: dict[str, tuple[Callable[[], np.ndarray], int]] = {
        "noise": (lambda: rgb(generator.integers(0, 256, (size, size))), 50),
        "text": (lambda: a_page_of_text(size, generator), 50),
        "knee": (lambda: a_knee(size, generator), 50),
    }
    drawn = {name: [make() for _ in range(count)] for name, (make, count) in makers.items()}
    return {
        "photographs": photographs,
        "grey photographs": [rgb(image.mean(axis=-1)) for image in photographs],
        **drawn,
        "blank": [np.full((size, size, 3), level, np.uint8) for level in range(0, 256, 15)],
        "inverted MRI": [255 - image for image in some],
        **{
            f"{count}×{count} patches": list(map(partial(shuffled, generator, count), some))
            for count in PATCHES
        },
    }


def rgb(grey: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    """Grey levels, rounded and clipped to 8 bits, in three channels."""
    levels = np.rint(grey).clip(0, 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def _photographs(generator: np.random.Generator) -> Images:
    """Each whole, and some random square crops of it."""
    import skimage.data

    images: Images = []
    for name in PHOTOGRAPHS:
        image = np.asarray(getattr(skimage.data, name)())
        if image.dtype == bool:
            image = 255 * image
        whole = rgb(image) if image.ndim == 2 else image[..., :3].astype(np.uint8)
        images.append(whole)
        height, width = whole.shape[:2]
        for _ in range(CROPS):
            side = int(min(height, width) * generator.uniform(0.4, 1))
            top, left = generator.integers(0, (height - side + 1, width - side + 1))
            images.append(np.ascontiguousarray(whole[top : top + side, left : left + side]))
    return images


def shuffled(
    generator: np.random.Generator, count: int, image: UInt8[np.ndarray, "S S 3"]
) -> UInt8[np.ndarray, "S S 3"]:
    """The image cut into `count` × `count` patches, in random order; a rest at the edge stays."""
    side = len(image) // count
    within = image[: side * count, : side * count]
    patches = within.reshape(count, side, count, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    mixed = generator.permutation(patches).reshape(count, count, side, side, 3).swapaxes(1, 2)
    result = image.copy()
    result[: side * count, : side * count] = mixed.reshape(within.shape)
    return result


def a_page_of_text(size: int, generator: np.random.Generator) -> UInt8[np.ndarray, "S S 3"]:
    """Lines of words, black on white or white on black."""
    from PIL import Image, ImageDraw, ImageFont

    ink, paper = generator.permutation([0, 255]).tolist()
    letters = int(generator.integers(size // 25, size // 10))
    page = Image.new("L", (size, size), paper)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(letters)
    for top in range(size // 40, size, int(1.5 * letters)):
        pen.text((size // 40, top), " ".join(generator.choice(WORDS, 9)), fill=ink, font=font)
    return rgb(np.asarray(page))


def a_knee(size: int, generator: np.random.Generator) -> UInt8[np.ndarray, "S S 3"]:
    """A phantom like a coronal knee: two bones with dark rims and a joint, muscle, bright fat."""
    from scipy.ndimage import gaussian_filter

    y, x = np.mgrid[:size, :size] / size
    centre, joint = generator.normal(0.5, 0.03, 2)
    half_width = generator.normal(0.3, 0.03)
    condyles = 0.1 * np.exp(-(((np.abs(y - joint) - 0.05) / 0.1) ** 2))
    bend = 0.03 * np.sin(3 * y + generator.normal())
    leg = np.abs(x - centre - bend) < half_width + condyles / 2
    bone = leg & (np.abs(x - centre) < 0.62 * half_width + condyles)
    bone &= np.abs(y - joint) > 0.015
    grey = np.where(leg, generator.normal(90, 10), 5.0)
    grey[leg & (gaussian_filter(leg.astype(float), size / 56) < 0.9)] += 100
    grey[bone] = generator.normal(140, 20)
    rim = gaussian_filter(bone.astype(float), size / 112)
    grey[leg & (rim > 0.15) & (rim < 0.5)] = 30
    grey[leg & (np.abs(y - joint) < 0.012)] = 20
    noise = gaussian_filter(generator.standard_normal(grey.shape), 1.0)
    return rgb(gaussian_filter(grey, size / 187) + 12 * noise)
