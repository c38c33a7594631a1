"""Images inside other files: written out once into the cache, with a table beside them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fakd_jax.data.layouts import figshare, parquet_images
from fakd_jax.data.layouts.names import suffix_of
from fakd_jax.data.layouts.scan import Scan, stamp_of
from fakd_jax.data.layouts.tables import Row, read_rows, scan_rows
from fakd_jax.data.layouts.walking import File, file_in, files_below
from fakd_jax.data.pixels.frames import is_image_file

TABLE_FILE = "images.csv"
FORMAT = "v1"
"""Part of every stamp: raise it when what is written out changes."""

Log = Callable[[str], object]


@dataclass(frozen=True)
class Packed:
    """Files that hold images.

    Attributes:
      layout: what they are, in a few words.
      stamp: changes whenever one is written.
      write: writes their images into a folder and yields a row for each.
    """

    layout: str
    stamp: str
    write: Callable[[Path, Log], Iterable[Row]]

    def unpack(self, folder: Path, log: Log) -> None:
        """Writes images and table into an empty folder.

        Raises:
          UserError: a file is broken, or lacks what is needed.
        """
        columns = ("path", "label", "split", "group", "mask")
        with (folder / TABLE_FILE).open("w", encoding="utf-8", newline="") as lines:
            table = csv.writer(lines)
            table.writerow(columns)
            for row in self.write(folder, log):
                table.writerow([getattr(row, column) for column in columns])

    def scan(self, folder: Path) -> Scan:
        """The images that :meth:`unpack` wrote into a folder."""
        rows, _ = read_rows(folder / TABLE_FILE)
        return scan_rows(folder, rows, [folder / TABLE_FILE], self.layout)


def find_packed(source: Path) -> Packed | None:
    """What a folder or file packs images in; None if it does not, or has image files as well."""
    if source.is_dir():
        root, files = source, [file for file in files_below(source) if not file.is_hidden]
    else:
        root, files = source.parent, [file_in(source.parent, source)]
    if any(is_image_file(file.path) for file in files):
        return None
    for suffix, describe, write in (
        (parquet_images.SUFFIX, parquet_images.describe, parquet_images.write_images),
        (figshare.SUFFIX, figshare.describe, figshare.write_images),
    ):
        own = [file for file in files if suffix_of(file.path.name) == suffix]
        if own and (layout := describe(own)):
            stamp = stamp_of(root, own, FORMAT)
            return Packed(layout, stamp, _writing(write, own))
    return None


def _writing(
    write: Callable[[Sequence[File], Path, Log], Iterable[Row]], files: Sequence[File]
) -> Callable[[Path, Log], Iterable[Row]]:
    return lambda folder, log: write(files, folder, log)
