"""Folders with tables in them, above all Hugging Face's imagefolder with its `metadata`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fakd_jax.data.layouts.names import SPLIT_FOLDERS
from fakd_jax.data.layouts.scan import Scan
from fakd_jax.data.layouts.table_files import TABLE_SUFFIXES, read_table
from fakd_jax.data.layouts.tables import NEEDED, Row, find_columns, is_table, read_rows, scan_rows
from fakd_jax.errors import UserError

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


def tables_of_images(root: Path) -> dict[Path, str]:
    """The tables of paths and labels at the top of a folder, each with its split, if any.

    Several are taken together if they are named after splits, such as `train.csv` and `test.csv`;
    else only one that stands alone is taken.
    """
    files = sorted(path for path in root.iterdir() if path.is_file() and is_table(path))
    found = [path for path in files if has_labels(path)]
    splits = {path: path.stem for path in found if path.stem.lower() in SPLIT_FOLDERS}
    if len(splits) == len(found):
        return splits
    return dict.fromkeys(found, "") if len(found) == 1 else {}


def scan_table_folder(root: Path, tables: Mapping[Path, str]) -> Scan:
    """Reads the tables in a folder, whose paths are relative to their own folders.

    A path that begins with a split folder is of that split, where nothing else says so.

    Args:
      root: the folder of the data.
      tables: see :func:`metadata_tables` and :func:`tables_of_images`.

    Raises:
      UserError: as :func:`fakd_jax.data.layouts.tables.scan_table`.
    """
    rows: list[Row] = []
    for table, split in tables.items():
        below = table.parent.relative_to(root).as_posix()
        more, columns = read_rows(table, below=below, split=split)
        rows += [row if row.split else replace(row, split=_split_in(row.path)) for row in more]
    names = ", ".join(table.relative_to(root).as_posix() for table in tables)
    kind = "an imagefolder of Hugging Face" if _is_metadata(tables) else "a folder with a table"
    layout = f"{kind} ({names}; {columns})"
    return scan_rows(root, rows, list(tables), layout)


def has_labels(table: Path) -> bool:
    """Whether a table has paths and labels; one that cannot be read has none."""
    try:
        columns, _ = read_table(table)
    except UserError:
        return False
    return {*NEEDED} <= find_columns(columns).keys()


def _split_in(path: str) -> str:
    """The first folder of a path if it is a split's, else ""."""
    folder = next(iter(PurePosixPath(path).parts), "")
    return folder if folder.lower() in SPLIT_FOLDERS else ""


def _is_metadata(tables: Iterable[Path]) -> bool:
    return all(table.name in METADATA for table in tables)
