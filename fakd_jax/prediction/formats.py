"""Rows as CSV, JSON lines or Parquet, chosen by the suffix of the output."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from fakd_jax.errors import UserError
from fakd_jax.prediction.rows import Row, cells, column_names
from fakd_jax.runtime.extras import import_extra

ROWS_PER_GROUP = 2**16
"""Of a Parquet file: rows in memory at once when it is written."""


class RowFormat(Protocol):
    """How rows are kept while they are added to, and the file that they become."""

    def header(self) -> bytes:
        """What comes before the first row."""

    def encode(self, rows: Sequence[Row]) -> bytes:
        """Rows to append."""

    def finish(self, rows: Path, output: Path) -> None:
        """Makes the output of the file of all rows, which stays."""


def row_format(output: Path, class_names: Sequence[str]) -> RowFormat:
    """The format of an output by its suffix.

    Raises:
      UserError: another suffix, or pyarrow is needed and not installed.
    """
    require_suffix(output)
    chosen: RowFormat = _FORMATS[output.suffix.lower()](class_names)
    return chosen


def require_suffix(output: Path) -> None:
    """Refuses an output of no known format.

    Raises:
      UserError: its suffix is another one.
    """
    if output.suffix.lower() not in _FORMATS:
        raise UserError(f"--output {output} must end in {', '.join(_FORMATS)}; give such a name")


def _digits(value: Any) -> Any:
    """A float by the nine digits that preserve every float32."""
    return f"{value:.9g}" if isinstance(value, float) else value


class _Csv:
    """Comma-separated values; what is not known is an empty cell."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self._class_names = class_names

    def header(self) -> bytes:
        return self._lines([column_names(self._class_names)])

    def encode(self, rows: Sequence[Row]) -> bytes:
        return self._lines(
            [self._text(cell) for cell in cells(row, self._class_names)] for row in rows
        )

    def finish(self, rows: Path, output: Path) -> None:
        _link_or_copy(rows, output)

    @staticmethod
    def _text(cell: Any) -> Any:
        return str(cell).lower() if isinstance(cell, bool) else _digits(cell)

    @staticmethod
    def _lines(rows: Any) -> bytes:
        return b"".join(map(_csv_line, rows))


def _csv_line(cells: Sequence[Any]) -> bytes:
    """One record: with a carriage return in the terminator, one in a cell is quoted too."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return (text.getvalue().removesuffix("\r\n") + "\n").encode()


class _JsonLines:
    """One JSON object per line; what is not known is null."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self._class_names = class_names
        self._columns = column_names(class_names)

    def header(self) -> bytes:
        return b""

    def encode(self, rows: Sequence[Row]) -> bytes:
        return b"".join(map(self._line, rows))

    def finish(self, rows: Path, output: Path) -> None:
        _link_or_copy(rows, output)

    def _line(self, row: Row) -> bytes:
        values = (
            float(_digits(cell)) if isinstance(cell, float) else cell
            for cell in cells(row, self._class_names)
        )
        named = dict(zip(self._columns, values, strict=True))
        return f"{json.dumps(named, ensure_ascii=False, allow_nan=False)}\n".encode()


class _Parquet(_JsonLines):
    """Parquet, whose files cannot be appended to: rows are JSON lines until all are there."""

    def __init__(self, class_names: Sequence[str]) -> None:
        super().__init__(class_names)
        self._arrow = import_extra("pyarrow", "parquet", "writing Parquet")
        self._parquet = import_extra("pyarrow.parquet", "parquet", "writing Parquet")

    def finish(self, rows: Path, output: Path) -> None:
        schema = self._schema()
        with self._parquet.ParquetWriter(output, schema) as writer:
            for group in _groups(rows):
                writer.write_table(self._arrow.Table.from_pylist(group, schema))

    def _schema(self) -> Any:
        arrow = self._arrow
        types = {
            "frame": arrow.int32(),
            "abstained": arrow.bool_(),
            "ood_score": arrow.float32(),
            **{f"p_{name}": arrow.float32() for name in self._class_names},
        }
        return arrow.schema([(name, types.get(name, arrow.string())) for name in self._columns])


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


_FORMATS: dict[str, type[_Csv | _JsonLines]] = {
    ".csv": _Csv,
    ".jsonl": _JsonLines,
    ".parquet": _Parquet,
}


def _groups(file: Path) -> Iterator[list[dict[str, Any]]]:
    """The objects in a file of JSON lines, `ROWS_PER_GROUP` at a time."""
    with file.open("rb") as lines:
        while group := [json.loads(line) for line in islice(lines, ROWS_PER_GROUP)]:
            yield group
