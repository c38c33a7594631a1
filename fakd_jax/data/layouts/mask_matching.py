"""Which files are masks, and of which images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from fakd_jax.data.layouts.names import (
    composed,
    image_of_mask,
    is_mask_folder,
    stem_of,
    suffix_of,
)
from fakd_jax.data.layouts.scan import FoundImage, FoundMasks
from fakd_jax.data.layouts.walking import File, file_in, files_below
from fakd_jax.data.pixels.frames import file_id, is_image_file
from fakd_jax.data.pixels.raster import SUFFIXES

Key = tuple[str, ...]
"""A path below the folder of the data, without the suffix and with composed accents."""


def part_masks(files: Iterable[File]) -> tuple[list[File], list[File]]:
    """Separates masks from images, among files that are one or the other.

    Masks lie in a folder for masks at any depth, or are named after an image: `x_mask.png`,
    `x_seg.png`. A name such as `x_label.png` is a mask's only where the image is beside it.

    Returns:
      The images and the masks.
    """
    files = list(files)
    names = {_key(file.parts) for file in files}
    images: list[File] = []
    masks: list[File] = []
    for file in files:
        stem = stem_of(file.parts[-1])
        beside = image_of_mask(stem, certain=False)
        is_mask = (
            file.in_mask_folder
            or image_of_mask(stem, certain=True) is not None
            or (beside is not None and _key((*file.parts[:-1], f"{beside}.png")) in names)
        )
        (masks if is_mask else images).append(file)
    return images, masks


def match_masks(masks: Sequence[File], images: Sequence[FoundImage]) -> FoundMasks:
    """Finds the image of each mask, if there is exactly one.

    The mask `A/masks/B/x.png` is that of `A/B/x` or of `A/<any folder>/B/x`, such as a class or
    `images/`; the mask `A/x_mask.png` is that of `A/x`. One named `x#3` is that of one image of
    several in the file `x`. Masks that are no pictures, such as volumes, are nobody's.
    """
    direct: dict[Key, list[str]] = defaultdict(list)
    inserted: dict[Key, list[str]] = defaultdict(list)
    for image in images:
        key = _key(tuple(image.id.split("/")))
        direct[key].append(image.id)
        for place in range(len(key) - 1):
            inserted[key[:place] + key[place + 1 :]].append(image.id)
    of: dict[str, list[str]] = defaultdict(list)
    others = []
    for mask in masks:
        wanted = _keys_of_image(mask) if suffix_of(mask.id) in SUFFIXES else {}
        found, key = next(((direct[key], key) for key in wanted if key in direct), ([], ()))
        if not found and mask.in_mask_folder:
            found, key = next(((inserted[key], key) for key in wanted if key in inserted), ([], ()))
        if len(found) == 1:
            of[f"{found[0]}{wanted[key]}"].append(mask.id)
        else:
            others.append(mask.id)
    return FoundMasks({id: tuple(of[id]) for id in sorted(of)}, tuple(others))


def masks_in(root: Path, folder: str) -> list[File]:
    """The masks in a folder of the data that is not scanned otherwise."""
    below = files_below(root / folder)
    files = (file_in(root, file.path) for file in below)
    return [file for file in files if not file.is_hidden and is_image_file(file.path)]


def _keys_of_image(mask: File) -> dict[Key, str]:
    """The paths of images that the mask is named as, or after, each with what numbers the image."""
    outside = [part for part in mask.parts[:-1] if not is_mask_folder(part)]
    stem = stem_of(mask.parts[-1])
    keys: dict[Key, str] = {}
    for name in (stem, image_of_mask(stem, certain=False) or stem):
        file = file_id(name)
        for image, number in ((name, ""), (file.removesuffix(".nii"), name.removeprefix(file))):
            keys.setdefault(tuple(map(composed, (*outside, image))), number)
    return keys


def _key(parts: Sequence[str]) -> Key:
    return tuple(map(composed, (*parts[:-1], stem_of(parts[-1]))))
