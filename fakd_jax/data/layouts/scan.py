"""What every layout is read into: images with their labels, splits, groups and masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakd_jax.data.layouts.walking import File, stamp
from fakd_jax.data.pixels.frames import file_id
from fakd_jax.errors import listed
from fakd_jax.runtime.hashing import sha256_of_json


@dataclass(frozen=True)
class FoundImage:
    """A file that is taken for an image, or for several.

    Attributes:
      id: its path below the folder of the data, with forward slashes; bytes that are not UTF-8 are
        escaped.
      path: the file.
      split: `train`, `val`, `test` or `unsplit`.
      class_name: its class.
      problem: what is wrong with its name, if anything.
      frame: the number of the image in the file; None for every image that it holds.
    """

    id: str
    path: Path
    split: str
    class_name: str
    problem: str = ""
    frame: int | None = None


@dataclass(frozen=True)
class FoundMasks:
    """Files that are masks by their name, their folder or a table.

    Attributes:
      of: the masks of each image that has some, by its id, with its number if it is one of several
        in a file; paths below the folder of the data, or absolute ones.
      others: those that belong to no image or to more than one, or are no pictures.
    """

    of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    def __len__(self) -> int:
        return sum(map(len, self.of.values())) + len(self.others)

    def __str__(self) -> str:
        """How many there are and whose they are, for the log."""
        mine = [mask for masks in self.of.values() for mask in masks]
        whose = []
        if mine:
            whose.append(f"{len(self.of):,} images have one ({listed(mine, most=2)})")
        if self.others:
            unknown = listed(self.others, most=4)
            whose.append(
                f"{len(self.others):,} belong to no image or to several, or are no pictures "
                f"({unknown})"
            )
        return f"{len(self):,} files are kept as masks, not as images: {', '.join(whose)}"


@dataclass(frozen=True)
class Scan:
    """The images of a source, before any is opened.

    Attributes:
      folder: the folder of the data; ids and masks are paths below it.
      split_folders: the folder name of each split.
      class_names: the classes, sorted.
      images: all images, sorted by id.
      strays: other files, as paths below the folder, sorted.
      stamp: changes whenever a file is added, removed or written, or is taken for something else.
      layout: what was recognised, in a few words; "" for class folders in split folders.
      masks: what is kept as masks, in whatever layout.
      groups: the group by id of the images that must stay together, such as a patient's; {} if the
        source has none.
      class_map: the names that were changed, see :meth:`with_classes`; "" for a class left out.
    """

    folder: Path
    split_folders: dict[str, str]
    class_names: tuple[str, ...]
    images: tuple[FoundImage, ...]
    strays: tuple[str, ...]
    stamp: str
    layout: str = ""
    masks: FoundMasks = FoundMasks()
    groups: Mapping[str, str] = field(default_factory=dict)
    class_map: Mapping[str, str] = field(default_factory=dict)

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of images by split and class: `{split: {class: n}}`."""
        counts = {split: dict.fromkeys(self.class_names, 0) for split in self.split_folders}
        for image in self.images:
            counts[image.split][image.class_name] += 1
        return counts

    def with_classes(self, names: Mapping[str, str | None]) -> Scan:
        """The scan with other names of its classes; None leaves out the images of a class.

        The stamp stays the same where no name changes.
        """
        if all(name == new for name, new in names.items()):
            return self
        images = tuple(
            dataclasses.replace(image, class_name=new)
            for image in self.images
            if (new := names[image.class_name]) is not None
        )
        kept = {image.id for image in images}
        return dataclasses.replace(
            self,
            images=images,
            class_names=tuple(sorted({image.class_name for image in images})),
            split_folders={
                split: folder
                for split, folder in self.split_folders.items()
                if any(image.split == split for image in images)
            },
            masks=dataclasses.replace(
                self.masks,
                of={
                    id: files
                    for id, files in self.masks.of.items()
                    if id in kept or file_id(id) in kept
                },
            ),
            groups={id: group for id, group in self.groups.items() if id in kept},
            stamp=sha256_of_json([self.stamp, sorted(names.items(), key=str)]),
            class_map={name: new or "" for name, new in names.items() if new != name},
        )


def stamp_of(folder: Path, files: Iterable[File], *more: Any) -> str:
    """A scan's stamp, from its files and whatever else decides on what they are."""
    return sha256_of_json([str(folder), sorted(map(stamp, files)), *more])
