"""Hugging Face's imagefolder: images beside a `metadata` table, in split folders or without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fakd_jax.data.layouts.names import SPLIT_FOLDERS
from fakd_jax.data.layouts.scan import Scan
from fakd_jax.data.layouts.tables import TABLE_SUFFIXES, Row, read_rows, scan_rows

METADATA = tuple(f"metadata{suffix}" for suffix in TABLE_SUFFIXES)


def metadata_tables(root: Path, split_folders: Mapping[str, str]) -> dict[Path, str]:
    """The `metadata` tables in a folder and its split folders, each with its split, if any."""
    folders = [("", root), *((split, root / name) for split, name in split_folders.items())]
    return {
        folder / name: split
        for split, folder in folders
        for name in METADATA
        if (folder / name).is_file()
    }


def scan_imagefolder(root: Path, tables: Mapping[Path, str]) -> Scan:
    """Reads `metadata` tables, whose paths are relative to their own folders.

    A path in the root's table that begins with a split folder is of that split.

    Args:
      root: the folder of the data.
      tables: see :func:`metadata_tables`.

    Raises:
      UserError: as :func:`fakd_jax.data.layouts.tables.scan_table`.
    """
    rows: list[Row] = []
    for table, split in tables.items():
        below = table.parent.relative_to(root).as_posix()
        more, columns = read_rows(table, below=below, split=split)
        rows += [row if row.split else replace(row, split=_split_in(row.path)) for row in more]
    names = ", ".join(table.relative_to(root).as_posix() for table in tables)
    layout = f"an imagefolder of Hugging Face ({names}; {columns})"
    return scan_rows(root, rows, list(tables), layout)


def _split_in(path: str) -> str:
    """The first folder of a path if it is a split's, else ""."""
    folder = next(iter(PurePosixPath(path).parts), "")
    return folder if folder.lower() in SPLIT_FOLDERS else ""
