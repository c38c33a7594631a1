"""Recognises the layout of a folder by the names in it, and finds its images."""

from __future__ import annotations

import os
from pathlib import Path

from fakd_jax.data.layouts.class_folders import (
    EXPECTED_LAYOUT,
    class_folders_in,
    scan_class_folders,
    scan_unsplit_folders,
    split_folders_in,
)
from fakd_jax.data.layouts.refusals import refuse_detection, unknown_layout
from fakd_jax.data.layouts.roboflow import class_tables, scan_roboflow
from fakd_jax.data.layouts.scan import FoundImage, Scan
from fakd_jax.data.layouts.table_folders import (
    has_labels,
    metadata_tables,
    scan_table_folder,
    tables_of_images,
)
from fakd_jax.data.layouts.walking import files_below, subfolders
from fakd_jax.data.pixels.frames import is_image_file
from fakd_jax.errors import UserError

__all__ = ["EXPECTED_LAYOUT", "FoundImage", "Scan", "scan_folder"]

MAX_WRAPPING_FOLDERS = 3
NOT_CLASSES = frozenset({"images", "image", "imgs", "img", "data"})
"""Names of folders that hold images of any class."""


def scan_folder(folder: Path) -> Scan:
    """Finds the images of a folder, their classes and splits.

    In this order: class folders in split folders; without such, a multi-class export of Roboflow,
    an imagefolder of Hugging Face or another folder with a table; else class folders alone.
    The case of split folders does not matter, and a folder that wraps everything is entered.

    Raises:
      UserError: another layout; the line says what to give instead.
    """
    try:
        return _scan(folder, *_entered(folder.absolute()))
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}; check it") from error


def _entered(root: Path) -> tuple[Path, dict[str, str]]:
    """The folder that holds those of splits or classes, and the folder name of each split."""
    for _ in range(MAX_WRAPPING_FOLDERS):
        splits, names = split_folders_in(root), subfolders(root)
        if splits or len(names) != 1 or metadata_tables(root, {}):
            return root, splits
        if _has_images(root / names[0]):
            break  # the only folder is a class
        root = root / names[0]
    return root, split_folders_in(root)


def _has_images(folder: Path) -> bool:
    return any(entry.is_file() and is_image_file(Path(entry.path)) for entry in os.scandir(folder))


def _scan(folder: Path, root: Path, splits: dict[str, str]) -> Scan:
    tables = metadata_tables(root, splits)
    places = [root / name for name in splits.values()] or [root]
    has_classes = any(
        name.lower() not in NOT_CLASSES for place in places for name in class_folders_in(place)
    )
    if splits and has_classes:
        return scan_class_folders(root, splits)
    if marked := class_tables(root, splits):
        return scan_roboflow(root, marked)
    if has_classes:  # then a table without labels is none of ours
        tables = {table: split for table, split in tables.items() if has_labels(table)}
    if tables := tables or tables_of_images(root):
        return scan_table_folder(root, tables)
    if not has_classes:
        refuse_detection(root, files_below(root))
    if splits:
        return scan_class_folders(root, splits)
    if has_classes and (scan := scan_unsplit_folders(root)).images:
        return scan
    raise unknown_layout(folder, root, files_below(root))
