"""Tables of images: rows of text from CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fakd_jax.data.layouts.pointers import is_pointer, pointer_error
from fakd_jax.errors import UserError
from fakd_jax.runtime.extras import import_extra
from fakd_jax.runtime.json_text import parse_json

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_DELIMITERS = (",", ";", "\t")

Rows = list[tuple[int, dict[str, str]]]
"""The line, or in Parquet the row, from 1, and its values by column."""


def read_table(path: Path) -> tuple[tuple[str, ...], Rows]:
    """Reads a table as text; missing values are "", and surrounding space is taken off.

    Args:
      path: with one of :data:`TABLE_SUFFIXES`; any other suffix is read as CSV. The delimiter of
        CSV is the comma, semicolon or tab that its header has most of. Numbers that stand for the
        classes of a Hugging Face data set become their names.

    Returns:
      The columns, and the rows.

    Raises:
      UserError: the file cannot be read, is no such table or has no rows, or pyarrow is needed and
        not installed.
    """
    suffix = path.suffix.lower()
    try:
        if is_pointer(path):
            raise pointer_error(path)
        if suffix == ".parquet":
            columns, rows = _parquet_rows(path)
        elif suffix in (".jsonl", ".ndjson"):
            columns, rows = _json_rows(path)
        else:
            columns, rows = _csv_rows(path)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot read the table {path} ({reason}); give CSV or JSON lines in UTF-8, or Parquet"
        ) from error
    return columns, rows


def require_rows(path: Path, rows: Sequence[object]) -> None:
    """Refuses a table without rows.

    Raises:
      UserError: there is none.
    """
    if not rows:
        raise UserError(f"{path} has no rows; it needs one per image")


def _csv_rows(path: Path) -> tuple[tuple[str, ...], Rows]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        header = lines.readline()
        lines.seek(0)
        delimiter = max(_DELIMITERS, key=header.count)
        reader = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True)
        columns = tuple(name.strip() for name in reader.fieldnames or ())
        reader.fieldnames = list(columns)
        rows = [
            (reader.line_num, {name: (row[name] or "").strip() for name in columns})
            for row in reader
        ]
    return columns, rows


def _json_rows(path: Path) -> tuple[tuple[str, ...], Rows]:
    rows: Rows = []
    columns: dict[str, None] = {}
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                values = parse_json(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            if not isinstance(values, dict):
                raise ValueError(f"line {number} is not an object")
            rows.append((number, {name: _text(value) for name, value in values.items()}))
            columns |= dict.fromkeys(values)
    return tuple(columns), [(number, _complete(values, columns)) for number, values in rows]


def _complete(values: Mapping[str, str], columns: Mapping[str, None]) -> dict[str, str]:
    return {name: values.get(name, "") for name in columns}


def _parquet_rows(path: Path) -> tuple[tuple[str, ...], Rows]:
    parquet = open_parquet(path)
    names = class_labels(parquet)
    rows: Rows = []
    for number, values in enumerate(parquet_values(parquet), start=1):
        rows.append((number, {name: text_of(names, name, value) for name, value in values.items()}))
    return tuple(parquet.schema_arrow.names), rows


def open_parquet(path: Path) -> Any:
    """Opens a Parquet file (`pyarrow.parquet.ParquetFile`).

    Raises:
      UserError: pyarrow is not installed.
      ValueError: it is no Parquet file.
    """
    module = import_extra("pyarrow.parquet", "parquet", "reading Parquet")
    return module.ParquetFile(path)


def parquet_values(parquet: Any) -> Iterator[dict[str, Any]]:
    """The values of every row of a Parquet file, a few rows in memory at a time."""
    for batch in parquet.iter_batches(batch_size=64):
        yield from batch.to_pylist()


def class_labels(parquet: Any) -> dict[str, list[str]]:
    """The names of the classes that Hugging Face's `datasets` keeps, by column."""
    stored = (parquet.schema_arrow.metadata or {}).get(b"huggingface")
    if stored is None:
        return {}
    features = parse_json(stored.decode()).get("info", {}).get("features", {})
    return {
        column: list(map(str, feature["names"]))
        for column, feature in features.items()
        if isinstance(feature, dict) and isinstance(feature.get("names"), list)
    }


def text_of(names: Mapping[str, Sequence[str]], column: str, value: Any) -> str:
    """A value as text, by its class's name where the column has names.

    Raises:
      ValueError: there is no class of that number.
    """
    if column not in names or not isinstance(value, int):
        return _text(value)
    if not 0 <= value < len(names[column]):
        raise ValueError(f"{column} has {value}, which is none of its {len(names[column])} classes")
    return names[column][value]


def _text(value: Any) -> str:
    """A value as text: missing ones are "", and 3.0 is 3, as pandas writes integers with gaps.

    Raises:
      ValueError: text that is not Unicode.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = json.dumps(value) if isinstance(value, dict | list) else str(value).strip()
    try:
        text.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair, as JSON may escape it
        raise ValueError(f"{text[:40]!r} is not Unicode text") from error
    return text
