"""Opening any source as an :class:`ImageDataset`: prepared once, then found in the cache."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fakd_jax.data import kaggle
from fakd_jax.data.class_names import ClassMap, parse_class_map, rename_classes
from fakd_jax.data.dataset import PIXELS_KEY, ImageDataset
from fakd_jax.data.layouts.figshare import SUFFIX as MAT_SUFFIX
from fakd_jax.data.layouts.names import MASKS_FOLDER
from fakd_jax.data.layouts.packed import find_packed
from fakd_jax.data.layouts.tables import is_table, scan_table
from fakd_jax.data.mask_files import MaskFiles, mask_name, without_own
from fakd_jax.data.pixels.window import DEFAULT_RULES, PixelRules
from fakd_jax.data.preparation import (
    RECORDS_FORMAT,
    UNREADABLE,
    describe_pixels,
    listed_problems,
    prepare,
)
from fakd_jax.data.scanning import EXPECTED_LAYOUT, Scan, scan_folder
from fakd_jax.errors import UserError, listed
from fakd_jax.runtime import archives
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.runtime.cache import ADVICE, data_cache_folder, written_whole
from fakd_jax.runtime.hashing import sha256_of_file, sha256_of_json
from fakd_jax.runtime.json_text import parse_json, require_shape

PREPARED_FILE = "prepared.json"
_OPENING_FORMAT = "o3"
"""Part of every opening's key: raise it when another look at the files may find something else."""

_READERS = ("nibabel", "pillow_heif", "pydicom")
"""Libraries without which files are left out."""

OWN_MASKS = "own"
"""Stands for the lesion masks that come with the data, in its folder `masks/`."""

_PREPARED_SHAPE = {
    "format": str,
    "records": str,
    "name": str,
    "version": (str, None),
    "source": str,
    "folder": str,
    "report": {},
}
Log = Callable[[str], object]


@dataclass(frozen=True)
class _Located:
    """A source on this machine: the folder of its images or its table, its name and version."""

    path: Path
    name: str
    version: str | None = None


def open_dataset(
    source: str | Path,
    *,
    cache_dir: Path | str | None = None,
    unreadable: str = "error",
    phantom: Mapping[str, Any] | None = None,
    rules: PixelRules = DEFAULT_RULES,
    class_map: str | ClassMap = "",
    class_names: Sequence[str] | None = None,
    log: Log = print,
) -> ImageDataset:
    """Opens a source, after preparing it if it is new or has changed.

    Preparation decodes every file once and writes array_record files into the cache, under the
    data's fingerprint. Prepared data is found again by the paths, sizes and times of the source's
    files, without reading them.

    Args:
      source: `kaggle`, `phantom`, a folder, a zip or tar archive, a table, a Parquet or MATLAB
        file, or the output of `scripts/prepare_data.py` (:func:`save_prepared`).
        `docs/how-to/own-data.md` lists the layouts.
      cache_dir: folder for prepared data, see :func:`fakd_jax.runtime.cache.data_cache_folder`.
      unreadable: what to do with unusable image files: `error` refuses and lists them, `skip`
        leaves them out, with a log line and in the report.
      phantom: keywords of :func:`fakd_jax.data.phantom.dataset.write_phantoms` for the source
        `phantom`.
      rules: how files that are not pictures of 8 bits become such.
      class_map: other names for classes, see :func:`fakd_jax.data.class_names.rename_classes`: a
        mapping, of which names that the data lack are passed over, or text of the user's, whose
        names must all be classes.
      class_names: the classes wanted, such as a checkpoint's; those that the data lack are absent.
        None takes the data's.
      log: called with each line of progress.

    Raises:
      UserError: no such source, another layout, other classes than those wanted, unusable files, no
        network, no room; or prepared data of other rules.
    """
    if unreadable not in UNREADABLE:
        raise UserError(f"config.data.unreadable is {unreadable!r}; use 'error' or 'skip'")
    prepared = Path(source).expanduser().absolute()
    strict = isinstance(class_map, str)
    names = parse_class_map(class_map) if isinstance(class_map, str) else class_map
    with _reading(prepared):
        if (prepared / PREPARED_FILE).is_file():
            dataset = _open_prepared(prepared, names, class_names, strict=strict)
            return _by_rules(dataset, rules, log)
    cache = data_cache_folder(cache_dir)
    located = _locate(str(source), cache, phantom or {}, log)
    scan = _scan(located.path, cache, log)
    if str(source) == "kaggle":
        kaggle.check_counts(scan.counts(), located.path)
    scan = rename_classes(scan, names, class_names, strict=strict, log=log)
    _check_classes(scan, class_names)
    found = _find_opening(scan, cache, unreadable, rules)
    _log_scan(scan, located.name, class_names, log, is_new=found is None)
    if found is None:
        found = prepare(scan, cache, unreadable=unreadable, rules=rules, log=log)
        opening = _opening(scan, cache, unreadable, rules)
        write_whole(opening, json.dumps(found), advice=ADVICE)
    for line in describe_pixels(found["report"]):
        log(line)
    if skipped := found["report"]["skipped"]:
        log(f"data: left out {len(skipped):,} unusable files: {listed_problems(skipped)}")
    return ImageDataset(
        cache / "records" / found["records"],
        name=located.name,
        version=located.version,
        source=str(source),
        folder=scan.folder,
        report=found["report"] | _found_beside(scan, found["report"]["skipped"]),
        class_names=class_names,
    )


def _opening(scan: Scan, cache: Path, unreadable: str, rules: PixelRules) -> Path:
    """The note of what was prepared from the files of a scan."""
    # Which files are left out depends on the libraries that read them.
    readers = [name for name in _READERS if find_spec(name)] if unreadable == "skip" else []
    key = _key(_OPENING_FORMAT, RECORDS_FORMAT, scan.stamp, unreadable, rules.to_dict(), *readers)
    return cache / "openings" / f"{key}.json"


def _find_opening(scan: Scan, cache: Path, unreadable: str, rules: PixelRules) -> Any:
    """What was prepared before; None if nothing was.

    Pictures of 8 bits are the same by any rules, and others are the same by the rules that the data
    were left to choose; but other rules may have left other files out.
    """
    for known in (DEFAULT_RULES, rules):
        found = _read_json(_opening(scan, cache, unreadable, known))
        if found is None or not (cache / "records" / found["records"]).is_dir():
            continue
        report = found["report"]
        same = not report["skipped"] and report.get(PIXELS_KEY) in (None, rules.to_dict())
        if known == rules or same:
            return found
    return None


def _by_rules(dataset: ImageDataset, rules: PixelRules, log: Log) -> ImageDataset:
    """Checks that prepared data was prepared by the rules asked for, where they matter."""
    of_data = dataset.pixels
    if PIXELS_KEY not in dataset.report:
        return dataset
    same_window = rules.window in (None, of_data.window)
    if not same_window or rules.slice_axis != of_data.slice_axis:
        asked = f"{rules.window}, {rules.slice_axis} slices"
        raise UserError(
            f"{dataset.records} was prepared by other rules of pixels ({of_data.window}, "
            f"{of_data.slice_axis} slices; asked for: {asked}); prepare it again with "
            "scripts/prepare_data.py --window and --slice-axis"
        )
    for line in describe_pixels(dataset.report):
        log(line)
    return dataset


def _scan(path: Path, cache: Path, log: Log) -> Scan:
    """Finds the images of a folder or file; those that lie in other files are unpacked first."""
    with _reading(path):
        packed = find_packed(path)
        if packed is None:
            return scan_table(path) if path.is_file() else scan_folder(path)
    folder = cache / "unpacked" / _key(packed.stamp)
    if not folder.is_dir():
        log(f"data: unpacking {packed.layout} from {path}")
        with written_whole(folder) as unfinished:
            packed.unpack(unfinished, log)
    return packed.scan(folder)


def _check_classes(scan: Scan, class_names: Sequence[str] | None) -> None:
    """Refuses data that no classifier could be trained on, unless it is for one that exists."""
    if not scan.images:
        raise UserError(f"{scan.folder} has no image of any class that is wanted")
    if class_names is None and len(scan.class_names) < 2:
        raise UserError(
            f"{scan.folder} has only the class {scan.class_names[0]}/; at least 2 are needed"
        )


def _log_scan(
    scan: Scan, name: str, class_names: Sequence[str] | None, log: Log, *, is_new: bool
) -> None:
    """Reports the layout, masks, groups and absent classes; of known data, what is unusual."""
    if scan.layout or is_new:
        folders = listed([f"{folder}/" for folder in scan.split_folders.values()])
        log(f"data: {name}: {scan.layout or f'class folders in {folders}'}")
    if len(scan.masks):
        log(f"data: {scan.masks}")
    if scan.groups:
        number = len(set(scan.groups.values()))
        log(f"data: {number:,} groups of images, such as patients")
    absent = [one for one in class_names or () if one not in scan.class_names]
    if absent:
        log(f"data: absent classes, of which there is no image: {listed(absent)}")
    for split, counts in scan.counts().items():
        if lacking := [one for one, number in counts.items() if not number]:
            log(f"data: no image of {listed(lacking)} in {scan.split_folders[split]}")


def _found_beside(scan: Scan, skipped: Mapping[str, str]) -> dict[str, Any]:
    """The groups, masks and changed class names of a data set's report, if there are any.

    A mask at its image's own path in `masks/` is found there whenever it is needed.
    """
    masks = {
        id: list(files)
        for id, files in scan.masks.of.items()
        if files != (f"{MASKS_FOLDER}/{mask_name(id)}",)
    }
    groups = {id: group for id, group in scan.groups.items() if id not in skipped}
    found = {"groups": groups, "masks": masks, "class_map": dict(scan.class_map)}
    return {key: values for key, values in found.items() if values}


def open_masks(
    masks: str, dataset: ImageDataset, *, cache_dir: Path | str | None = None, log: Log = print
) -> MaskFiles:
    """Finds lesion masks.

    Args:
      masks: :data:`OWN_MASKS` for those that come with the data, or a folder or an archive, which
        is unpacked into the cache.
      dataset: the images.
      cache_dir: see :func:`fakd_jax.runtime.cache.data_cache_folder`.
      log: called with each line of progress.

    Raises:
      UserError: there is no such folder or archive.
    """
    if masks == OWN_MASKS:
        return dataset.masks
    if located := _locate_path(masks, data_cache_folder(cache_dir), log):
        return MaskFiles(located.path, without_own(example.id for example in dataset.examples))
    raise UserError(
        f"no masks at {masks}: give a folder or an archive, or {OWN_MASKS!r} for those of the data"
    )


def save_prepared(dataset: ImageDataset, cache_dir: Path) -> None:
    """Turns a folder for prepared data into a source of its own, which can be moved or copied.

    Args:
      dataset: opened with this `cache_dir`.
      cache_dir: the folder, from now on a source for :func:`open_dataset`.

    Raises:
      UserError: the data was prepared elsewhere, or the folder cannot be written.
    """
    root = cache_dir.absolute()
    if not dataset.records.is_relative_to(root):
        raise UserError(f"this data is already prepared, in {dataset.records}; use it as it is")
    inside = dataset.folder.is_relative_to(root)
    values = {
        "format": RECORDS_FORMAT,
        "records": dataset.records.relative_to(root).as_posix(),
        "name": dataset.name,
        "version": dataset.version,
        "source": dataset.source,
        "folder": str(dataset.folder.relative_to(root) if inside else dataset.folder),
        "report": dataset.report,
    }
    write_whole(root / PREPARED_FILE, json.dumps(values), advice=ADVICE)


def _open_prepared(
    root: Path, class_map: ClassMap, class_names: Sequence[str] | None, *, strict: bool
) -> ImageDataset:
    values = _read_json(root / PREPARED_FILE)
    try:
        require_shape(values, _PREPARED_SHAPE)
        if values.keys() != _PREPARED_SHAPE.keys() or values.pop("format") != RECORDS_FORMAT:
            raise ValueError("it has another format")
    except ValueError as error:
        raise UserError(
            f"{root / PREPARED_FILE} is damaged or not of this version ({error}); "
            "prepare it again with scripts/prepare_data.py"
        ) from error
    records, folder = root / values.pop("records"), root / values.pop("folder")
    dataset = ImageDataset(records, folder=folder, **values)
    renamed = class_map.keys() if strict else class_map.keys() & {*dataset.class_names}
    if renamed or not {*dataset.class_names} <= {*(class_names or dataset.class_names)}:
        raise UserError(
            f"{root} is prepared with the classes {', '.join(dataset.class_names)}; to give them "
            "other names, prepare it with scripts/prepare_data.py --class-map"
        )
    if class_names is None:
        return dataset
    return ImageDataset(records, folder=folder, **values, class_names=class_names)


def _key(*parts: Any) -> str:
    return sha256_of_json(parts)[:32]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Reports in one line that a user's file cannot be read."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror or error}; check the path and its permissions"
        ) from error


def _read_json(path: Path) -> Any:
    """The content of a file in the cache; None if it is missing or damaged."""
    try:
        with _reading(path):
            return parse_json(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError:
        return None


def _locate(source: str, cache: Path, phantom: Mapping[str, Any], log: Log) -> _Located:
    if source == "kaggle":
        return _Located(kaggle.download(log=log), kaggle.NAME, kaggle.VERSION)
    if source == "phantom":
        return _phantoms(cache, phantom, log)
    if located := _locate_path(source, cache, log):
        return located
    raise UserError(
        f"no data at {source}: give 'kaggle', 'phantom', an archive, a table of path and label, or "
        f"a folder with {EXPECTED_LAYOUT}"
    )


def _locate_path(source: str, cache: Path, log: Log) -> _Located | None:
    """A folder, a table, a MATLAB file or an unpacked archive; None if there is none."""
    path = Path(source).expanduser().absolute()
    with _reading(path):
        if path.is_dir():
            return _Located(path, path.name)
        if path.is_file() and (is_table(path) or path.suffix.lower() == MAT_SUFFIX):
            return _Located(path, path.stem)
        if path.is_file():
            return _unpacked(path, cache, log)
    return None


def _phantoms(cache: Path, settings: Mapping[str, Any], log: Log) -> _Located:
    """Writes phantoms into the cache, under a key of their settings and their source code."""
    from fakd_jax.data.phantom import dataset as phantom

    try:
        call = inspect.signature(phantom.write_phantoms).bind(Path(), **settings)
    except TypeError as error:
        raise UserError(f"config.data.phantom: {error}; see write_phantoms") from error
    call.apply_defaults()
    chosen = {name: value for name, value in call.arguments.items() if name != "directory"}
    modules = sorted(Path(phantom.__file__).parent.glob("*.py"))
    program = [sha256_of_file(module) for module in modules]
    folder = cache / "phantoms" / _key(chosen, program)
    if not folder.is_dir():
        log(f"data: drawing phantoms into {folder}")
        with written_whole(folder) as unfinished:
            phantom.write_phantoms(unfinished, **chosen)
    return _Located(folder, "phantom")


def _unpacked(archive: Path, cache: Path, log: Log) -> _Located:
    """Unpacks an archive into the cache, under the hash of its bytes."""
    status = archive.stat()
    times = (status.st_mtime_ns, status.st_ctime_ns)
    known = cache / "archives" / f"{_key(str(archive), status.st_size, times)}.json"
    digest = _read_json(known)
    if digest is None:
        if not archives.is_archive(archive):
            raise archives.not_an_archive(archive)
        digest = sha256_of_file(archive)
        write_whole(known, json.dumps(digest), advice=ADVICE)
    folder = cache / "archives" / digest[:32]
    if not folder.is_dir():
        log(f"data: unpacking {archive}")
        with written_whole(folder) as unfinished:
            archives.extract_archive(archive, unfinished)
    return _Located(folder, archive.name.partition(".")[0])
