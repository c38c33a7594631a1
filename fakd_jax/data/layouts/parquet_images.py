"""Hugging Face's Parquet exports: a column of encoded images and one of labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fakd_jax.data.layouts.names import SPLIT_FOLDERS, stem_of
from fakd_jax.data.layouts.pointers import is_pointer, pointer_error
from fakd_jax.data.layouts.table_files import class_labels, open_parquet, parquet_values, text_of
from fakd_jax.data.layouts.tables import Row, find_columns
from fakd_jax.data.layouts.walking import File
from fakd_jax.errors import UserError

SUFFIX = ".parquet"
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8": ".jpg", b"II*\0": ".tif", b"MM\0*": ".tif"}


def describe(files: Sequence[File]) -> str:
    """What Parquet files are, if the first has a column of encoded images; else ""."""
    if not _holds_images(_opened(files[0])):
        return ""
    return f"a Parquet export ({len(files)} files)"


def write_images(
    files: Sequence[File], folder: Path, log: Callable[[str], object]
) -> Iterator[Row]:
    """Writes every image to `<split>/<number>` in a folder, and masks to `masks/`.

    The split is that of a column, or of the file's name (`train-00000-of-00002.parquet`) or folder.

    Raises:
      UserError: a file cannot be read, has no label column, or a row without an image.
    """
    for file in files:
        parquet = _opened(file)
        columns, names = find_columns(parquet.schema_arrow.names), class_labels(parquet)
        if "label" not in columns or not _holds_images(parquet):
            raise UserError(
                f"{file.path} has the columns {', '.join(parquet.schema_arrow.names)}; it needs "
                "image (with bytes) and label"
            )
        split = _split_of(file)
        prefix = "-".join((*file.parts[:-1], stem_of(file.parts[-1])))
        try:
            for number, values in enumerate(parquet_values(parquet), start=1):
                cells = {
                    kind: text_of(names, column, values[column])
                    for kind, column in columns.items()
                    if kind in ("label", "split", "group")
                }
                cells["split"] = cells.get("split") or split
                where = f"{file.parts[-1]}:{number}"
                if cells["split"] and cells["split"].lower() not in SPLIT_FOLDERS:
                    raise UserError(
                        f"{where} has the split {cells['split']!r}; known: "
                        f"{', '.join(SPLIT_FOLDERS)}"
                    )
                name = f"{prefix}-{number:06d}"
                image = _bytes_in(values[columns["path"]])
                if image is None:
                    raise UserError(f"{where} has no image")
                path = _write(folder, cells["split"] or "images", name, image)
                mask = _bytes_in(values[columns["mask"]]) if "mask" in columns else None
                drawn = _write(folder, "masks", name, mask) if mask else ""
                yield Row(where, path, mask=drawn, **cells)
        except (OSError, ValueError) as error:
            raise UserError(f"{file.path} is damaged ({error}); download it again") from error


def _opened(file: File) -> Any:
    try:
        if is_pointer(file.path):
            raise pointer_error(file.path)
        return open_parquet(file.path)
    except (OSError, ValueError) as error:
        raise UserError(f"{file.path} is no readable Parquet file ({error})") from error


def _holds_images(parquet: Any) -> bool:
    """Whether the column of images holds bytes, alone or beside a path."""
    import pyarrow as arrow

    if (column := find_columns(parquet.schema_arrow.names).get("path")) is None:
        return False
    kind = parquet.schema_arrow.field(column).type
    if arrow.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return bool(arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind))


def _bytes_in(value: bytes | Mapping[str, Any] | None) -> bytes | None:
    found = value.get("bytes") if isinstance(value, Mapping) else value
    return found or None


def _split_of(file: File) -> str:
    """The split that a file's name or folder stands for; "" if there is none."""
    names = [file.parts[-1].replace(".", "-").partition("-")[0], *reversed(file.parts[:-1])]
    return next((name for name in names if name.lower() in SPLIT_FOLDERS), "")


def _write(folder: Path, kind: str, name: str, content: bytes) -> str:
    suffix = next((suffix for magic, suffix in _SUFFIXES.items() if content.startswith(magic)), "")
    path = folder / kind / f"{name}{suffix}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return f"{kind}/{path.name}"
