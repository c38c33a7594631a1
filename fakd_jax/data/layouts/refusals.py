"""Layouts that are refused, each with the line that helps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fakd_jax.data.layouts.class_folders import EXPECTED_LAYOUT, class_folders_in
from fakd_jax.data.layouts.names import suffix_of
from fakd_jax.data.layouts.tables import is_table
from fakd_jax.data.layouts.walking import File, subfolders
from fakd_jax.data.pixels.frames import is_image_file
from fakd_jax.errors import UserError, listed

TABLE_ADVICE = "give a table of path and label (CSV, JSON lines or Parquet) as the source instead"
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_BOXES = ("_annotations.coco.json", "instances_default.json")


def refuse_detection(root: Path, files: Sequence[File]) -> None:
    """Refuses exports for object detection, which have boxes and no class per image.

    They are known by `labels/*.txt` beside `images/`, by an XML file named as each image, or by
    COCO's file.

    Raises:
      UserError: it is one.
    """
    texts = [
        file.id
        for file in files
        if suffix_of(file.id) == ".txt" and "labels" in map(str.lower, file.parts[:-1])
    ]
    has_images = any("images" in map(str.lower, file.parts[:-1]) for file in files)
    boxes = [file.id for file in files if file.parts[-1].lower() in _BOXES]
    stems = {file.id.rpartition(".")[0] for file in files if suffix_of(file.id) == ".xml"}
    described = [file.id for file in files if stems and file.id.rpartition(".")[0] in stems]
    found = (texts if has_images else []) or boxes or (described if len(described) > 1 else [])
    if found:
        raise UserError(
            f"{root} is an export for object detection ({listed(found, most=2)}), which has boxes "
            "but no class per image; export it as folders by class (Roboflow: Folder Structure), "
            f"or {TABLE_ADVICE}"
        )


def unknown_layout(folder: Path, root: Path, files: Sequence[File]) -> UserError:
    """The error for a folder in which no layout was recognised; names what could be given instead.

    Args:
      folder: the source.
      root: the folder in it where recognition ended.
      files: below `root`.
    """
    names = [f"{name}/" for name in subfolders(root)]
    found = f"; it holds {listed(names)}" if names else ""
    tables = [file.id for file in files if is_table(file.path)]
    archives = [file.id for file in files if suffix_of(file.id) in _ARCHIVES]
    images = sum(is_image_file(file.path) for file in files if not file.is_hidden)
    inside = [root / name for name in class_folders_in(root) if class_folders_in(root / name)]
    if inside:
        advice = f"to use the folders in one of these, give that as the source: {inside[0]}"
    elif tables:
        advice = f"to use a table in it, give that as the source: {root / tables[0]}"
    elif archives and not images:
        advice = f"unpack {listed(archives)}, or give one of them as the source"
    elif images:
        advice = f"its {images:,} images are in no class folders: sort them, or {TABLE_ADVICE}"
    else:
        advice = f"the layout expected is {EXPECTED_LAYOUT}"
    return UserError(f"{folder} has no split folders and no class folders{found}; {advice}")
