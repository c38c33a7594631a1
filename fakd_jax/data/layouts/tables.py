"""A table of images: paths and labels, with optional splits, groups and masks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from fakd_jax.data.layouts.names import SPLIT_FOLDERS, UNSPLIT
from fakd_jax.data.layouts.scan import FoundImage, FoundMasks, Scan, stamp_of
from fakd_jax.data.layouts.table_files import TABLE_SUFFIXES, read_table, require_rows
from fakd_jax.data.layouts.walking import File, file_in
from fakd_jax.data.pixels.frames import SEPARATOR, file_id, frame_id
from fakd_jax.errors import UserError, listed

COLUMNS = {
    "path": (
        *("path", "file_name", "filename", "file", "image", "image_path", "filepath"),
        *("file_path", "image_file", "image_name", "id"),
    ),
    "label": ("label", "class", "class_name", "category", "diagnosis", "target"),
    "split": ("split", "subset", "partition", "set"),
    "group": ("group", "patient", "patient_id", "patientid", "pid", "subject", "subject_id"),
    "mask": ("mask", "mask_path", "mask_file_name", "mask_file", "segmentation"),
}
"""The names of a column by what it holds, in order of preference; in any case."""

NEEDED = ("path", "label")


@dataclass(frozen=True)
class Row:
    """An image of a table.

    Attributes:
      where: its table and line, for messages.
      path: of the image, relative to the table's folder; `x.nii.gz#80` is one image of a file.
      label: its class.
      split: its split, in any spelling of `SPLIT_FOLDERS`; "" if the table has none.
      group: its group; likewise.
      mask: the path of its mask; "" if it has none.
    """

    where: str
    path: str
    label: str
    split: str = ""
    group: str = ""
    mask: str = ""


def is_table(path: Path) -> bool:
    """Whether a file is a table by its suffix."""
    return path.suffix.lower() in TABLE_SUFFIXES


def find_columns(columns: Iterable[str]) -> dict[str, str]:
    """The column of each kind in :data:`COLUMNS` that a table has."""
    by_name = {name.lower(): name for name in reversed(list(columns))}
    found = {}
    for kind, names in COLUMNS.items():
        if known := [name for name in names if name in by_name]:
            found[kind] = by_name[known[0]]
    return found


def scan_table(file: Path) -> Scan:
    """Reads a table whose paths are relative to its own folder.

    Raises:
      UserError: see :func:`read_rows` and :func:`scan_rows`.
    """
    rows, columns = read_rows(file)
    return scan_rows(file.parent, rows, [file], f"the table {file.name} ({columns})")


def read_rows(file: Path, *, below: str = "", split: str = "") -> tuple[list[Row], str]:
    """Reads the rows of a table.

    Args:
      file: the table.
      below: the folder that its paths are relative to, below that of the data; "" for that one.
      split: of the rows, where the table has no column for it.

    Returns:
      The rows, and in a few words the columns that were taken.

    Raises:
      UserError: the table cannot be read, has no rows, or lacks paths or labels.
    """
    names, values = read_table(file)
    columns = find_columns(names)
    if missing := [kind for kind in NEEDED if kind not in columns]:
        raise UserError(
            f"{file} has the columns {', '.join(names) or 'none'}, none of them a "
            f"{' or '.join(missing)}; it needs path and label, and may have split, group and mask"
        )
    require_rows(file, values)
    rows = []
    for number, row in values:
        cells = {kind: row[column] for kind, column in columns.items()}
        for kind in ("path", "mask"):
            if cells.get(kind):
                cells[kind] = str(PurePosixPath(below, cells[kind]))
        cells["split"] = cells.get("split") or split
        rows.append(Row(f"{file.name}:{number}", **cells))
    taken = [kind if kind == name else f"{kind} from {name}" for kind, name in columns.items()]
    return rows, f"columns: {', '.join(taken)}"


def scan_rows(root: Path, rows: Sequence[Row], tables: Sequence[Path], layout: str) -> Scan:
    """The images of rows.

    Args:
      root: the folder that paths are relative to.
      rows: one per image.
      tables: the files that they come from, which the stamp depends on.
      layout: what was recognised, for the log.

    Raises:
      UserError: rows without path or label; splits or groups in some rows only; unknown splits;
        several rows of an image; paths of which none exists, or missing masks. Each names the rows.
    """
    _refuse(rows, lambda row: not (row.path and row.label), "have no path or no label")
    _refuse(rows, lambda row: "\0" in row.path + row.mask, "have a path that cannot be")
    for kind in ("split", "group"):
        if any(getattr(row, kind) for row in rows):
            _refuse(
                rows,
                lambda row, kind=kind: not getattr(row, kind),  # type: ignore[misc]
                f"have no {kind}, which the others have; fill it in, or remove the column",
            )
    _refuse(
        rows,
        lambda row: bool(row.split) and row.split.lower() not in SPLIT_FOLDERS,
        f"have another split than {', '.join(sorted(SPLIT_FOLDERS))}",
        lambda row: row.split,
    )
    placed = [_image(root, row.path) for row in rows]
    images = [image for image, _ in placed]
    counts = Counter(image.id for image in images)
    twice = {id for id in counts if file_id(id) != id and file_id(id) in counts}  # and its file
    if doubled := [id for id, number in counts.items() if number > 1 or id in twice]:
        raise UserError(f"{tables[0]} has several rows of the same image: {listed(doubled)}")
    if not any(image.path.is_file() for image in images):
        raise UserError(
            f"none of the {len(images):,} images of {tables[0]} exists, such as {images[0].path}; "
            f"its paths must be relative to {root}, or absolute"
        )
    masks = {
        image.id: _file(root, row.mask) for image, row in zip(images, rows, strict=True) if row.mask
    }
    if missing := [place for mask, place in masks.values() if not mask.path.is_file()]:
        raise UserError(
            f"{tables[0]} names {len(missing):,} masks that do not exist: {listed(missing)}; "
            "add them, or leave those cells empty"
        )
    found = [
        FoundImage(
            image.id,
            image.path,
            SPLIT_FOLDERS.get(row.split.lower(), UNSPLIT),
            row.label,
            frame=frame,
        )
        for (image, frame), row in zip(placed, rows, strict=True)
    ]
    splits = sorted({image.split for image in found})
    read = [file_in(table.parent, table) for table in tables]
    return Scan(
        folder=root,
        split_folders={split: "." if split == UNSPLIT else split for split in splits},
        class_names=tuple(sorted({image.class_name for image in found})),
        images=tuple(sorted(found, key=lambda image: image.id)),
        strays=(),
        stamp=stamp_of(
            root,
            [*images, *(mask for mask, _ in masks.values()), *read],
            sorted((image.id, image.split, image.class_name) for image in found),
        ),
        layout=layout,
        masks=FoundMasks({id: (place,) for id, (_, place) in sorted(masks.items())}),
        groups={image.id: row.group for image, row in zip(images, rows, strict=True) if row.group},
    )


def _refuse(
    rows: Sequence[Row],
    is_wrong: Callable[[Row], bool],
    what: str,
    shown: Callable[[Row], str] | None = None,
) -> None:
    """Raises a UserError that names the rows that are wrong."""
    if wrong := [row for row in rows if is_wrong(row)]:
        each = [f"{row.where} ({shown(row)})" if shown else row.where for row in wrong]
        raise UserError(f"{len(wrong):,} of {len(rows):,} rows {what}: {listed(each)}")


def _image(root: Path, text: str) -> tuple[File, int | None]:
    """The file of an image in a table and, where the path names one of several in it, its number.

    The file's id is the image's.
    """
    file, _ = _file(root, text)
    if (of_several := file_id(text)) == text or file.path.is_file():
        return file, None
    file, _ = _file(root, of_several)
    frame = int(text.removeprefix(of_several).removeprefix(SEPARATOR))
    return replace(file, id=frame_id(file.id, frame)), frame


def _file(root: Path, text: str) -> tuple[File, str]:
    """The file of a path in a table: as written, with forward slashes, or with other accents.

    Returns:
      The file, whose id is the path without what leads out of `root`; and where it is: below
      `root` if it is there, else absolute.
    """
    spellings = [text, text.replace("\\", "/")]
    spellings += [normalize(form, name) for name in spellings for form in ("NFC", "NFD")]
    paths = [Path(os.path.normpath(root / name)) for name in dict.fromkeys(spellings)]
    path = next((path for path in paths if path.is_file()), paths[0])
    place = path.relative_to(root) if path.is_relative_to(root) else path
    inside = PurePosixPath(os.path.relpath(path, root) if not Path(text).is_absolute() else place)
    parts = tuple(part for part in inside.parts if part not in ("..", "/"))
    return File("/".join(parts), path, parts), place.as_posix()
