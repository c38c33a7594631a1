"""A prepared data set: examples with stable ids and random access, from array_record files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fakd_jax.data.layouts.names import MASKS_FOLDER, UNSPLIT
from fakd_jax.data.mask_files import MaskFiles, without_own
from fakd_jax.data.pixels.frames import file_id
from fakd_jax.data.pixels.raster import decode_rgb
from fakd_jax.data.pixels.window import DEFAULT_RULES, PixelRules
from fakd_jax.errors import UserError
from fakd_jax.runtime.hashing import sha256, sha256_of_array
from fakd_jax.runtime.json_text import parse_json, require_shape

SPLITS = ("train", "val", "test")
SOURCE_SPLITS = (*SPLITS, UNSPLIT)
"""Where a source may have an image: in one of its splits, or in none if it has no splits."""

DESCRIPTION_FILE = "dataset.json"
CONTENT_DIGITS = 32
PIXELS_KEY = "pixels"
"""The key of a report for the rules of pixels, where an image depends on them."""


@dataclass(frozen=True)
class Example:
    """One image of a data set.

    Attributes:
      id: its path in the source with forward slashes, `Testing/glioma/Te-gl_0010.jpg`; of a file
        that holds several images with its number, `Testing/glioma/volume.nii.gz#80`.
      label: index into the data set's `class_names`.
      split: that of its folder or table: `train`, `val` or `test`; `unsplit` if there is none.
      content: see :func:`content_of`.
    """

    id: str
    label: int
    split: str
    content: str


_SHAPE = {
    "class_names": [str],
    "fingerprint": str,
    "records": str,
    "files": {str: int},
    "examples": [list],
}
_ROW = {"id": str, "label": int, "split": str, "content": str}


@dataclass(frozen=True)
class Description:
    """The content of `dataset.json` in a folder of records.

    Attributes:
      class_names: the classes, in the order of their labels.
      fingerprint: see :func:`fingerprint_of`.
      records: the folder of the array_record files, relative to this one.
      files: size in bytes of every file of the records, to detect a damaged cache.
      examples: `[id, label, split, content]` of every example, sorted by id.
    """

    class_names: list[str]
    fingerprint: str
    records: str
    files: dict[str, int]
    examples: list[tuple[str, int, str, str]]

    def save(self, folder: Path) -> None:
        """Writes `dataset.json` into `folder`."""
        (folder / DESCRIPTION_FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Description:
        """Reads `dataset.json` and verifies the sizes of the records' files.

        Raises:
          UserError: a file is missing or has another size.
        """
        try:
            values = parse_json((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
            require_shape(values, _SHAPE)
            examples = [
                (id, label, split, content) for id, label, split, content in values.pop("examples")
            ]
            for row in examples:
                require_shape(dict(zip(_ROW, row, strict=True)), _ROW)
            description = cls(**values, examples=examples)
            if record_files(folder / description.records) != description.files:
                raise ValueError("files of another size")
        except (OSError, TypeError, ValueError) as error:
            raise UserError(
                f"the prepared data in {folder} is damaged ({error}); "
                "delete that folder and run again"
            ) from error
        return description


def record_files(folder: Path) -> dict[str, int]:
    """The size in bytes of every file in `folder`, by name."""
    return {path.name: path.stat().st_size for path in sorted(folder.glob("*"))}


def fingerprint_of(contents: Iterable[tuple[str, str, str]]) -> str:
    """The SHA-256 that identifies a data set: equal exactly if ids, labels and bytes are.

    Preparation adds the rules of pixels to it where an image depends on them, and splits where ids
    do not give them.

    Args:
      contents: `(id, class name, sha256 of the file's bytes)` of every example, in any order.
    """
    return sha256(*(f"{json.dumps(row)}\n" for row in sorted(contents)))


def content_of(pixels: UInt8[np.ndarray, "H W 3"]) -> str:
    """Identifies an image by its decoded pixels, whatever its name, place or file format.

    Two limits. JPEG decoders may differ by a grey level, so that another version of Pillow's
    libjpeg may give a JPEG another identity; PNG is lossless everywhere. And a copy that was
    re-encoded with loss, resized or mirrored is another image here: finding those is the audit's
    work (:mod:`fakd_jax.audit`).

    Args:
      pixels: uint8 `[H, W, 3]`, RGB at the original size.

    Returns:
      The first 128 bits of the SHA-256 of shape and values, in hexadecimal.
    """
    return sha256_of_array(pixels)[:CONTENT_DIGITS]


class ImageDataset:
    """Images with labels and ids, read at random; picklable and thread-safe.

    Args:
      records: the folder of the prepared records, with `dataset.json`.
      name: a short name of the source (`phantom`, a folder's or an archive's name).
      version: the source's version; None takes the start of the fingerprint.
      source: as given to :func:`fakd_jax.data.sources.open_dataset`.
      folder: the folder of the images and their `masks/`, if any.
      report: the findings of preparation: `strays`, `skipped`, `reencoded`, `sizes`, `modes`…; and
        where there are some, the `groups` and `masks` of images by id and the `class_map`.
      class_names: the classes wanted, such as a checkpoint's, among which are the data's; None
        takes the data's.

    Attributes:
      class_names: the classes, sorted unless given; a label is an index into them.
      fingerprint: see :func:`fingerprint_of`.
      examples: every example of every split, sorted by id.
      pixels: the rules by which files that are not pictures of 8 bits became such; the default
        ones where there are none of these.
    """

    def __init__(
        self,
        records: Path,
        *,
        name: str,
        version: str | None,
        source: str,
        folder: Path,
        report: Mapping[str, Any],
        class_names: Sequence[str] | None = None,
    ) -> None:
        from fakd_jax.data.records import open_records

        description = Description.load(records)
        self.name = name
        self.version = version or description.fingerprint[:12]
        self.source = source
        self.folder = folder
        self.records = records
        self.report = dict(report)
        stored = self.report.get(PIXELS_KEY)
        self.pixels = DEFAULT_RULES if stored is None else PixelRules.from_dict(stored)
        self.class_names = tuple(class_names or description.class_names)
        self.fingerprint = description.fingerprint
        labels = [self.class_names.index(name) for name in description.class_names]
        self.examples = tuple(
            Example(id, labels[label], split, content)
            for id, label, split, content in description.examples
        )
        self._indices = {example.id: index for index, example in enumerate(self.examples)}
        self._positions = _positions(self.examples)
        splits = sorted({example.split for example in self.examples})
        self._sources = open_records(records / description.records, splits)

    def __len__(self) -> int:
        return len(self.examples)

    def index_of(self, id: str) -> int:
        """The index of the example with this id; KeyError if there is none."""
        return self._indices[id]

    @property
    def is_unsplit(self) -> bool:
        """Whether the source has no splits, hence no test images of its own."""
        return any(example.split == UNSPLIT for example in self.examples)

    @property
    def groups(self) -> Mapping[str, str]:
        """The group of every image, such as its patient, as the source gives it; {} without."""
        groups: Mapping[str, str] = self.report.get("groups", {})
        ids = (example.id for example in self.examples)
        return {id: groups[id if id in groups else file_id(id)] for id in ids} if groups else {}

    @property
    def class_map(self) -> Mapping[str, str]:
        """The classes that have another name in the source; "" for those left out."""
        names: Mapping[str, str] = self.report.get("class_map", {})
        return names

    def contents(self, ids: Iterable[str]) -> dict[str, str]:
        """The content of each image by id, see :func:`content_of`."""
        return {id: self.examples[self.index_of(id)].content for id in ids}

    def ids(self, split: str) -> tuple[str, ...]:
        """The ids of one split, sorted; empty if the source has no such split."""
        return tuple(example.id for example in self.examples if example.split == split)

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of images by split and class: `{split: {class: n}}`."""
        counts = {
            split: dict.fromkeys(self.class_names, 0)
            for split in SOURCE_SPLITS
            if any(example.split == split for example in self.examples)
        }
        for example in self.examples:
            counts[example.split][self.class_names[example.label]] += 1
        return counts

    def read(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """Decodes the image of `examples[index]` at its original size, RGB, 0 to 255.

        Raises:
          RuntimeError: the records are not in the order of the description.
        """
        return decode_rgb(self.read_encoded(index), self.examples[index].id)

    def read_encoded(self, index: int) -> bytes:
        """The stored file of `examples[index]`, JPEG or PNG.

        Raises:
          RuntimeError: the records are not in the order of the description.
        """
        example = self.examples[index]
        record = self._sources[example.split][self._positions[index]]
        if record["id"].decode() != example.id:
            raise RuntimeError(f"the record of {example.id} is that of {record['id'].decode()}")
        encoded: bytes = record["image"]
        return encoded

    @property
    def masks(self) -> MaskFiles:
        """The lesion masks that come with the images: those found with them, and `masks/`.

        A file in `masks/` that several images would have by their names is nobody's.
        """
        found = self.report.get("masks", {})
        named = without_own(example.id for example in self.examples)
        named |= {id: tuple(self.folder / name for name in names) for id, names in found.items()}
        return MaskFiles(self.folder / MASKS_FOLDER, named)


def _positions(examples: Sequence[Example]) -> list[int]:
    """Each example's position among those of its split, as in the records."""
    seen = dict.fromkeys(SOURCE_SPLITS, 0)
    positions = []
    for example in examples:
        positions.append(seen[example.split])
        seen[example.split] += 1
    return positions
