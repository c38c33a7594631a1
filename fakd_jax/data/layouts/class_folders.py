"""One folder per class, inside split folders or without them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from fakd_jax.data.layouts.mask_matching import masks_in, match_masks, part_masks
from fakd_jax.data.layouts.names import (
    MASKS_FOLDER,
    SPLIT_FOLDERS,
    UNSPLIT,
    is_mask_folder,
)
from fakd_jax.data.layouts.scan import FoundImage, Scan, stamp_of
from fakd_jax.data.layouts.walking import File, files_below, subfolders
from fakd_jax.data.pixels.frames import is_image_file
from fakd_jax.errors import UserError, listed

EXPECTED_LAYOUT = (
    "one folder per class inside Training/ and Testing/ (or train/, val/, test/), "
    "such as Training/glioma/001.jpg"
)


def split_folders_in(folder: Path) -> dict[str, str]:
    """The folder name of each split; {} if there are no split folders.

    Raises:
      UserError: two folders are of the same split.
    """
    splits: dict[str, str] = {}
    for name in subfolders(folder):
        split = SPLIT_FOLDERS.get(name.lower())
        if split in splits:
            raise UserError(
                f"{folder} has both {splits[split]}/ and {name}/ for the {split} split; "
                "keep one of them"
            )
        if split is not None:
            splits[split] = name
    return splits


def class_folders_in(folder: Path) -> list[str]:
    """The names of the folders that can be classes."""
    return [name for name in subfolders(folder) if not is_mask_folder(name)]


def scan_class_folders(root: Path, split_folders: Mapping[str, str]) -> Scan:
    """Reads `<split>/<class>/…/<image>`.

    Class folders may have subfolders, and a split may lack a class. Files elsewhere, hidden ones,
    those of `__MACOSX` and those that are not images are strays.

    Raises:
      UserError: a split without class folders, or a class folder without an image.
    """
    of_split = {folder: split for split, folder in split_folders.items()}
    classes = {split: class_folders_in(root / folder) for split, folder in split_folders.items()}
    for split, names in classes.items():
        if not names:
            raise UserError(
                f"{root / split_folders[split]} has no class folders; "
                f"the layout expected is {EXPECTED_LAYOUT}"
            )
    files = _files(root)
    places = {
        file.id: (of_split[file.parts[0]], file.parts[1])
        for file in files
        if file.parts[0] in of_split and len(file.parts) > 2
    }
    scan = _sort_out(root, split_folders, files, places)
    filled = {(image.split, image.class_name) for image in scan.images}
    for split, names in classes.items():
        for name in names:
            if (split, name) not in filled:
                raise UserError(
                    f"the class folder {root / split_folders[split] / name} has no image; "
                    "add images or remove that folder"
                )
    return scan


def scan_unsplit_folders(root: Path) -> Scan:
    """Reads `<class>/…/<image>`, where no folder is a split's; a folder without images is no class.

    Raises:
      UserError: the folders have split folders themselves.
    """
    inner = {name: split_folders_in(root / name) for name in class_folders_in(root)}
    if several := [f"{name}/" for name, splits in inner.items() if splits]:
        nested = [
            root / name / split for name, splits in inner.items() for split in splits.values()
        ]
        if any(class_folders_in(folder) for folder in nested):
            advice = "it may hold several data sets: give one of these as the source"
        else:
            advice = "put the class folders into split folders, not the other way round"
        raise UserError(f"{root} has split folders inside {listed(several)}; {advice}")
    files = _files(root)
    places = {file.id: (UNSPLIT, file.parts[0]) for file in files if len(file.parts) > 1}
    scan = _sort_out(root, {UNSPLIT: "."}, files, places)
    layout = (
        f"class folders without split folders ({listed(scan.class_names)}): training deals test "
        "images by seed, evaluation of other networks takes all"
    )
    return dataclasses.replace(scan, layout=layout)


def _files(root: Path) -> list[File]:
    """The files below `root` but those of its `masks/`, which are read when they are needed."""
    return [file for file in files_below(root) if not _is_own_mask(file)]


def _is_own_mask(file: File) -> bool:
    return len(file.parts) > 1 and file.parts[0].lower() == MASKS_FOLDER


def _sort_out(
    root: Path,
    split_folders: Mapping[str, str],
    files: Sequence[File],
    places: Mapping[str, tuple[str, str]],
) -> Scan:
    """Sorts files into images, masks and strays.

    Args:
      root: the folder of the data.
      split_folders: the folder name of each split.
      files: those below the folder.
      places: split and class by the id of each file that lies in a class folder.
    """
    candidates = [
        file
        for file in files
        if not file.is_hidden
        and (file.id in places or file.in_mask_folder)
        and is_image_file(file.path)
    ]
    pictures, masks = part_masks(candidates)
    images = tuple(
        FoundImage(file.id, file.path, *places[file.id], file.problem) for file in pictures
    )
    taken = {file.id for file in candidates}
    return Scan(
        folder=root,
        split_folders=dict(split_folders),
        class_names=tuple(sorted({image.class_name for image in images})),
        images=images,
        strays=tuple(file.id for file in files if file.id not in taken),
        stamp=stamp_of(root, files),
        masks=match_masks([*masks, *_own_masks(root)], images),
    )


def _own_masks(root: Path) -> list[File]:
    """The masks in `masks/` beside the split or class folders."""
    return [
        mask
        for name in subfolders(root)
        if name.lower() == MASKS_FOLDER
        for mask in masks_in(root, name)
    ]
