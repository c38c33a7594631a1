"""What files and folders are, by their names: splits, images, masks, and what is passed over."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

SPLIT_FOLDERS = {
    "training": "train",
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "testing": "test",
    "test": "test",
}
UNSPLIT = "unsplit"
"""The split of images whose source has no splits."""

MASKS_FOLDER = "masks"
MASK_FOLDERS = frozenset(
    {
        *("mask", "masks", "label", "labels", "seg", "segs", "segmentation", "segmentations"),
        *("annotation", "annotations", "gt", "groundtruth", "ground_truth"),
    }
)
_ALWAYS_MASKS = re.compile(r"(.+?)[ _.-]+(?:masks?|seg|segmentation)(?:[ _.-]*\d+)?", re.IGNORECASE)
_MASKS_OF_AN_IMAGE = re.compile(
    r"(.+?)[ _.-]+(?:labels?|segm|roi|gt|ground[ _-]?truth|annotation|lesion|tumou?r)",
    re.IGNORECASE,
)


def is_junk(name: str) -> bool:
    """Whether a file or folder is hidden, or an archiver's own."""
    return name.startswith(".") or name == "__MACOSX"


def is_mask_folder(name: str) -> bool:
    """Whether a folder has this name because it holds masks.

    >>> is_mask_folder("Masks"), is_mask_folder("Ground Truth"), is_mask_folder("glioma")
    (True, True, False)
    """
    return re.sub("[ -]", "_", name.lower()) in MASK_FOLDERS


def image_of_mask(stem: str, *, certain: bool) -> str | None:
    """The stem of the image that a mask is named after; None if the name is not a mask's.

    Args:
      stem: of the file.
      certain: whether only names are taken that hardly anything but a mask has; the others are
        masks where the image is there too.

    >>> image_of_mask("benign (3)_mask_1", certain=True), image_of_mask("x_seg", certain=True)
    ('benign (3)', 'x')
    >>> image_of_mask("x_label", certain=True), image_of_mask("x_label", certain=False)
    (None, 'x')
    """
    patterns = (_ALWAYS_MASKS,) if certain else (_ALWAYS_MASKS, _MASKS_OF_AN_IMAGE)
    found = (pattern.fullmatch(stem) for pattern in patterns)
    return next((match[1] for match in found if match), None)


def composed(name: str) -> str:
    """A name in Unicode's composed form: file systems and archives may decompose accents."""
    return unicodedata.normalize("NFC", name)


def suffix_of(name: str) -> str:
    """The suffix in lower case, `.nii.gz` whole.

    >>> suffix_of("a.b.PNG"), suffix_of("brain.nii.gz"), suffix_of("IM0001")
    ('.png', '.nii.gz', '')
    """
    lower = name.lower()
    return ".nii.gz" if lower.endswith(".nii.gz") else PurePosixPath(lower).suffix


def stem_of(name: str) -> str:
    """A name without its :func:`suffix_of`."""
    return name[: len(name) - len(suffix_of(name))]
