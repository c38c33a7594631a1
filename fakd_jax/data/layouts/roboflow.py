"""Roboflow's multi-class export: split folders with images and `_classes.csv`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fakd_jax.data.layouts.scan import Scan
from fakd_jax.data.layouts.table_files import read_table, require_rows
from fakd_jax.data.layouts.tables import Row, scan_rows
from fakd_jax.errors import UserError, listed

CLASSES_FILE = "_classes.csv"
_PATH = "filename"


def class_tables(root: Path, split_folders: Mapping[str, str]) -> dict[str, Path]:
    """The `_classes.csv` of each split that has one."""
    files = {split: root / name / CLASSES_FILE for split, name in split_folders.items()}
    return {split: file for split, file in files.items() if file.is_file()}


def scan_roboflow(root: Path, tables: Mapping[str, Path]) -> Scan:
    """Reads tables with a column per class, 1 in that of the image's class.

    Raises:
      UserError: a table has no column `filename` or no classes, or an image several classes or
        none.
    """
    rows: list[Row] = []
    for split, table in tables.items():
        columns, values = read_table(table)
        classes = [name for name in columns if name != _PATH]
        if _PATH not in columns or not classes:
            raise UserError(
                f"{table} has the columns {', '.join(columns) or 'none'}; it needs {_PATH} and one "
                "per class"
            )
        require_rows(table, values)
        wrong = []
        for number, row in values:
            marked = [name for name in classes if row[name] == "1"]
            if len(marked) != 1:
                wrong.append(f"{row[_PATH]} ({', '.join(marked) or 'none'})")
                continue
            path = f"{table.parent.name}/{row[_PATH]}"
            rows.append(Row(f"{table.name}:{number}", path, marked[0], split))
        if wrong:
            raise UserError(
                f"{table} marks several classes or none for {len(wrong):,} images: "
                f"{listed(wrong)}; each needs exactly one"
            )
    layout = f"a multi-class export of Roboflow ({CLASSES_FILE} in {len(tables)} split folders)"
    return scan_rows(root, rows, list(tables.values()), layout)
