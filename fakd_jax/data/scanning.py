"""Splits, classes and images in a folder, found by their names.

No file is opened but those without a suffix, which may be DICOM.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fakd_jax.data.pixels.frames import is_image_file
from fakd_jax.errors import UserError, listed
from fakd_jax.runtime.hashing import sha256_of_json

SPLIT_FOLDERS = {
    "training": "train",
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "testing": "test",
    "test": "test",
}
EXPECTED_LAYOUT = (
    "one folder per class inside Training/ and Testing/ (or train/, val/, test/), "
    "such as Training/glioma/001.jpg"
)
MASKS_FOLDER = "masks"
MAX_WRAPPING_FOLDERS = 3


@dataclass(frozen=True)
class FoundImage:
    """A file that holds one image or more.

    Attributes:
      id: its path below the folder of the splits, with forward slashes; bytes that are not
        UTF-8 are escaped.
      path: the file.
      split: `train`, `val` or `test`.
      class_name: the name of its class folder.
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
class Scan:
    """The result of :func:`scan_folder`.

    Attributes:
      folder: the folder that contains those of the splits.
      split_folders: the folder name of each split.
      class_names: the classes, sorted.
      images: all images, sorted by id.
      strays: other files, as paths below the folder, sorted.
      stamp: changes whenever a file is added, removed or written.
    """

    folder: Path
    split_folders: dict[str, str]
    class_names: tuple[str, ...]
    images: tuple[FoundImage, ...]
    strays: tuple[str, ...]
    stamp: str

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of images by split and class: `{split: {class: n}}`."""
        counts = {split: dict.fromkeys(self.class_names, 0) for split in self.split_folders}
        for image in self.images:
            counts[image.split][image.class_name] += 1
        return counts


@dataclass
class _Findings:
    """What the walk has found so far."""

    images: list[FoundImage] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    stamps: list[tuple[str, int, int, int]] = field(default_factory=list)


def scan_folder(folder: Path) -> Scan:
    """Finds the images of a class-per-folder data set.

    The case of split folders does not matter; a folder that wraps everything is entered; class
    folders may have subfolders. Hidden files, `__MACOSX` and files that are no images by their
    suffix are strays. `masks/` is left to :meth:`fakd_jax.data.dataset.ImageDataset.mask_path`.

    Raises:
      UserError: another layout, a duplicate split, a class without images, or classes that differ
        between the splits.
    """
    try:
        root, split_folders = _find_splits(folder)
        found, classes = _walk(root, split_folders)
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}; check it") from error
    _check_classes(root, split_folders, classes, found)
    stamp = sha256_of_json([str(root), sorted(found.stamps)])
    return Scan(
        folder=root,
        split_folders=split_folders,
        class_names=tuple(sorted(set().union(*classes.values()))),
        images=tuple(sorted(found.images, key=lambda image: image.id)),
        strays=tuple(sorted(found.strays)),
        stamp=stamp,
    )


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _find_splits(folder: Path) -> tuple[Path, dict[str, str]]:
    """The folder that contains those of the splits, and the folder name of each split."""
    root = folder.absolute()
    for _ in range(MAX_WRAPPING_FOLDERS + 1):
        entries = [entry.name for entry in os.scandir(root) if entry.is_dir()]
        subfolders = sorted(name for name in entries if not _is_junk(name))
        splits: dict[str, str] = {}
        for name in subfolders:
            split = SPLIT_FOLDERS.get(name.lower())
            if split in splits:
                raise UserError(
                    f"{root} has both {splits[split]}/ and {name}/ for the {split} split; "
                    "keep one of them"
                )
            if split is not None:
                splits[split] = name
        if splits:
            return root, splits
        if len(subfolders) != 1:
            break
        root = root / subfolders[0]
    found = f"; it holds {listed([f'{name}/' for name in subfolders])}" if subfolders else ""
    raise UserError(
        f"{folder} has no split folders{found}; the layout expected is {EXPECTED_LAYOUT}"
    )


def _walk(
    root: Path, split_folders: Mapping[str, str]
) -> tuple[_Findings, dict[str, tuple[str, ...]]]:
    """Visits every file below `root`; also returns the class folders of every split."""
    found = _Findings()
    split_of = {name: split for split, name in split_folders.items()}
    classes: dict[str, tuple[str, ...]] = {}
    for entry in _sorted_entries(root):
        if entry.is_dir() and entry.name in split_of:
            split = split_of[entry.name]
            classes[split] = _walk_split(Path(entry.path), root, split, found)
        elif not (entry.is_dir() and entry.name.lower() == MASKS_FOLDER):
            _add_strays(entry, root, found)
    return found, classes


def _walk_split(folder: Path, root: Path, split: str, found: _Findings) -> tuple[str, ...]:
    classes = []
    for entry in _sorted_entries(folder):
        if not entry.is_dir() or _is_junk(entry.name):
            _add_strays(entry, root, found)
            continue
        classes.append(entry.name)
        for path in _files_below(Path(entry.path)):
            id, problem = _id_and_problem(path, root)
            hidden = any(_is_junk(part) for part in path.relative_to(entry.path).parts)
            if hidden or not is_image_file(path):
                found.strays.append(id)
            else:
                found.images.append(FoundImage(id, path, split, entry.name, problem))
            found.stamps.append(_stamp(path, id))
    return tuple(classes)


def _add_strays(entry: os.DirEntry[str], root: Path, found: _Findings) -> None:
    paths = _files_below(Path(entry.path)) if entry.is_dir() else [Path(entry.path)]
    for path in paths:
        id, _ = _id_and_problem(path, root)
        found.strays.append(id)
        found.stamps.append(_stamp(path, id))


def _id_and_problem(path: Path, root: Path) -> tuple[str, str]:
    """A file's id, printable whatever its name, and what is wrong with the name."""
    name = path.relative_to(root).as_posix()
    id = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return id, "" if id == name else "its name is not UTF-8"


def _sorted_entries(folder: Path) -> list[os.DirEntry[str]]:
    return sorted(os.scandir(folder), key=lambda entry: entry.name)


def _files_below(folder: Path, ancestors: frozenset[str] = frozenset()) -> Iterator[Path]:
    """All files below a folder; links are followed, cycles are not."""
    here = os.path.realpath(folder)
    if here in ancestors:
        return
    for entry in _sorted_entries(folder):
        if entry.is_dir():
            yield from _files_below(Path(entry.path), ancestors | {here})
        else:
            yield Path(entry.path)


def _stamp(path: Path, id: str) -> tuple[str, int, int, int]:
    """Changes whenever a file is written: ctime does even if mtime is set back."""
    try:
        status = path.stat()
    except FileNotFoundError:  # a dangling link, which preparation will report
        return id, -1, -1, -1
    return id, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _check_classes(
    root: Path,
    split_folders: Mapping[str, str],
    classes: Mapping[str, tuple[str, ...]],
    found: _Findings,
) -> None:
    """Every split must have the same classes, and every class images."""
    for split, names in classes.items():
        if not names:
            raise UserError(
                f"{root / split_folders[split]} has no class folders; "
                f"the layout expected is {EXPECTED_LAYOUT}"
            )
    every = sorted(set().union(*classes.values()))
    for name in every:
        having = [split_folders[split] for split in classes if name in classes[split]]
        lacking = [split_folders[split] for split in classes if name not in classes[split]]
        if lacking:
            raise UserError(
                f"the classes differ between the splits of {root}: {name}/ is in "
                f"{' and '.join(having)} but not in {' and '.join(lacking)}; "
                "every split needs the same class folders, spelled alike"
            )
    filled = {(image.split, image.class_name) for image in found.images}
    for split, names in classes.items():
        for name in names:
            if (split, name) not in filled:
                raise UserError(
                    f"the class folder {root / split_folders[split] / name} has no image; "
                    "add images or remove the class from every split"
                )
