"""From the files of a scan to records: every image checked, fingerprinted, written once."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fakd_jax.data.dataset import (
    PIXELS_KEY,
    SOURCE_SPLITS,
    Description,
    content_of,
    fingerprint_of,
    record_files,
)
from fakd_jax.data.layouts.names import SPLIT_FOLDERS, UNSPLIT
from fakd_jax.data.layouts.pointers import POINTER, is_pointer
from fakd_jax.data.pixels.frame import PixelFile
from fakd_jax.data.pixels.frames import frame_id, open_pixels, read_checked, window_of_file
from fakd_jax.data.pixels.limits import MAX_FILE_BYTES
from fakd_jax.data.pixels.window import (
    DEFAULT_RULES,
    FULL_RANGE,
    LEVELS,
    LevelRange,
    PixelRules,
    Window,
    choose_window,
)
from fakd_jax.data.scanning import FoundImage, Scan
from fakd_jax.errors import UserError, listed
from fakd_jax.runtime.cache import scratch_folder, written_whole
from fakd_jax.runtime.hashing import sha256, sha256_of_file, sha256_of_json

RECORDS_FORMAT = "v2"
"""Part of every key in the cache: raise it when what is stored in a folder of records changes."""

UNREADABLE = ("error", "skip")
"""What to do with unusable images: refuse the data, or skip and report them."""

PROGRESS_SECONDS = 10.0

Log = Callable[[str], object]


@dataclass(frozen=True)
class Inspected:
    """An image that was read and decoded.

    Attributes:
      image: where it is; of several in one file, each has its own id and number.
      sha256: of its bytes; empty if it could not be read.
      content: of its pixels, see :func:`fakd_jax.data.dataset.content_of`.
      problem: why it is unusable; empty if it is usable.
      size: (width, height) as decoded.
      mode: of its pixels: Pillow's, such as `L`, `RGB`, `RGBA` or `I;16`, or that of its format.
      reencoded: why its bytes do not go into the records as they are; empty if they do.
      stored: the file whose bytes go into the records.
      depends: whether its picture depends on the rules of pixels.
      own_window: whether it shows the window that its file states.
      levels: its grey levels, if a window brings them to 8 bits; with no window yet, the image
        has neither content nor stored file.
    """

    image: FoundImage
    sha256: str = ""
    content: str = ""
    problem: str = ""
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    reencoded: str = ""
    stored: Path = Path()
    depends: bool = False
    own_window: bool = False
    levels: LevelRange | None = None

    @property
    def waits(self) -> bool:
        """Whether its picture can be made once the window is known."""
        return self.levels is not None and not self.content


def prepare(
    scan: Scan,
    cache: Path,
    *,
    unreadable: str,
    rules: PixelRules = DEFAULT_RULES,
    log: Log = print,
) -> dict[str, Any]:
    """Checks every image and writes the records, unless the cache has them already.

    Args:
      scan: the files.
      cache: the folder for prepared data; the records go to `records/<fingerprint>-<format>/`, to
        whose name a digest of the rules is added where an image depends on them.
      unreadable: one of :data:`UNREADABLE`.
      rules: how files that are not pictures of 8 bits become such.
      log: called with each line of progress.

    Returns:
      `{'records': name of the folder in records/, 'report': what was found}`, JSON-able.

    Raises:
      UserError: unusable files with `error`; a class without a usable one with `skip`.
    """
    start = time.monotonic()
    log(f"data: checking {len(scan.images):,} images in {scan.folder}")
    if scan.strays:
        log(f"data: {len(scan.strays):,} other files ignored: {listed(scan.strays)}")
    with scratch_folder(cache / "records") as scratch:
        inspected = inspect_images(scan.images, scratch, rules=rules, log=log)
        if waiting := [item for item in inspected if item.waits]:
            window = choose_window(item.levels for item in waiting if item.levels)
            rules = replace(rules, window=window)
            inspected = _inspect_again(scan.images, inspected, scratch, rules, log)
        usable = sorted(
            (item for item in inspected if not item.problem), key=lambda item: item.image.id
        )
        skipped = {item.image.id: item.problem for item in inspected if item.problem}
        _check_usable(scan, usable, skipped, unreadable)
        fingerprint = fingerprint_of(
            (item.image.id, item.image.class_name, item.sha256) for item in usable
        )
        if placed := _splits_beyond_ids(usable):
            fingerprint = sha256(fingerprint, sha256_of_json(placed))
        suffix = ""
        if any(item.depends for item in usable):
            digest = sha256_of_json(rules.to_dict())
            suffix = f"-{digest[:8]}"
            if rules.window != FULL_RANGE:
                fingerprint = sha256(fingerprint, digest)
        name = f"{fingerprint[:32]}-{RECORDS_FORMAT}{suffix}"
        if not (cache / "records" / name).is_dir():
            with written_whole(cache / "records" / name) as unfinished:
                _write(unfinished, scan.class_names, usable, fingerprint)
    report = {
        "split_folders": scan.split_folders,
        "strays": list(scan.strays),
        "skipped": skipped,
        "reencoded": {item.image.id: item.reencoded for item in usable if item.reencoded},
        "sizes": _by_frequency(f"{item.size[0]}x{item.size[1]}" for item in usable),
        "modes": _by_frequency(item.mode for item in usable),
        **_report_of_pixels(usable, rules),
    }
    if len(inspected) > len(scan.images):
        log(f"data: the {len(scan.images):,} files hold {len(inspected):,} images, used one by one")
    log(f"data: prepared {len(usable):,} images in {time.monotonic() - start:.1f} s")
    return {"records": name, "report": report}


def _splits_beyond_ids(usable: Sequence[Inspected]) -> list[list[str]]:
    """The split of each image, if a table gives them and ids do not; else nothing."""
    images = [item.image for item in usable]
    folders = (image.id.partition("/")[0].lower() for image in images)
    by_folder = [SPLIT_FOLDERS.get(folder, UNSPLIT) for folder in folders]
    splits = [image.split for image in images]
    return [] if splits == by_folder else [[image.id, image.split] for image in images]


def listed_problems(problems: Mapping[str, str]) -> str:
    """Files and what is wrong with each, in one line."""
    return listed([f"{id} ({problem})" for id, problem in problems.items()])


def describe_pixels(report: Mapping[str, Any]) -> list[str]:
    """How grey levels of more than 8 bits became 8 bits, in lines for the log; none if all had 8.

    Args:
      report: of :func:`prepare`.
    """
    if not (deep := report.get("deep")):
        return []
    count, own = deep["images"], deep["own"]
    lines = []
    if own:
        lines.append(f"data: {own:,} of {count:,} DICOM images show the window that they state")
    if own < count:
        window = PixelRules.from_dict(report[PIXELS_KEY]).window
        lines.append(
            f"data: {count - own:,} images have grey levels of more than 8 bits, "
            f"{deep['low']:g} to {deep['high']:g}: {window} (config.data.window)"
        )
    if beyond := deep["beyond"]:
        lines.append(
            f"data: {len(beyond):,} images have grey levels beyond that window, which become 0 or "
            f"255: {listed(beyond)}"
        )
    return lines


def _report_of_pixels(usable: Sequence[Inspected], rules: PixelRules) -> dict[str, Any]:
    """What a report says of images that depend on the rules; nothing if none does."""
    if not any(item.depends for item in usable):
        return {}
    report: dict[str, Any] = {PIXELS_KEY: rules.to_dict()}
    by_window = [(item.image.id, item.levels) for item in usable if item.levels]
    own = sum(item.own_window for item in usable)
    if own or by_window:
        window = rules.window
        kept = window if window and window.own_first and window.rule == LEVELS else None
        report["deep"] = {
            "images": own + len(by_window),
            "own": own,
            "low": min((levels.low for _, levels in by_window), default=None),
            "high": max((levels.high for _, levels in by_window), default=None),
            "beyond": [
                id
                for id, levels in by_window
                if kept and not (kept.low <= levels.low and levels.high <= kept.high)
            ],
        }
    return report


def inspect_images(
    images: Sequence[FoundImage],
    scratch: Path,
    *,
    rules: PixelRules = DEFAULT_RULES,
    log: Log = print,
) -> list[Inspected]:
    """Reads, hashes and fully decodes every file, in threads.

    Args:
      images: the files.
      scratch: an existing folder for images that are re-encoded (lossless PNG).
      rules: how files that are not pictures of 8 bits become such.
      log: called with the progress every ten seconds.

    Returns:
      One entry per image, in the order of the files given.
    """
    logged = time.monotonic()
    results: list[list[Inspected]] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        jobs = [
            pool.submit(_inspect, image, scratch / f"{number:07d}", rules)
            for number, image in enumerate(images)
        ]
        try:
            for job in jobs:
                results.append(job.result())
                if time.monotonic() - logged > PROGRESS_SECONDS:
                    logged = time.monotonic()
                    log(f"data: checked {len(results):,} of {len(images):,} files")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # an interruption must not wait for thousands
            raise
    return [item for of_file in results for item in of_file]


def _inspect_again(
    images: Sequence[FoundImage],
    inspected: Sequence[Inspected],
    scratch: Path,
    rules: PixelRules,
    log: Log,
) -> list[Inspected]:
    """Inspects the files of images that waited for the window; returns the entries of all files."""
    waiting = {item.image.path for item in inspected if item.waits}
    folder = scratch / "window"
    folder.mkdir()
    again = [image for image in images if image.path in waiting]
    done = inspect_images(again, folder, rules=rules, log=log)
    return [item for item in inspected if item.image.path not in waiting] + done


def _inspect(image: FoundImage, scratch: Path, rules: PixelRules) -> list[Inspected]:
    """Every image of a file; one entry with the problem if any of them has one."""
    if image.problem:
        return [Inspected(image, problem=image.problem)]
    try:
        if image.path.stat().st_size > MAX_FILE_BYTES:
            return [Inspected(image, problem=f"larger than {MAX_FILE_BYTES // 2**20} MiB")]
        if is_pointer(image.path):
            return [Inspected(image, problem=POINTER)]
        digest = sha256_of_file(image.path)
    except OSError as error:
        return [Inspected(image, problem=f"cannot be read: {error.strerror}")]
    try:
        with open_pixels(image.path, image.id, rules.slice_axis) as file:
            window = rules.window and window_of_file(file, rules.window)
            if image.frame is not None and image.frame >= len(file):
                raise UserError(f"the file holds {len(file)} images, numbered from 0")
            single = image.frame is not None or len(file) == 1
            return [
                _inspect_frame(
                    file,
                    index,
                    image if single else replace(image, id=frame_id(image.id, index), frame=index),
                    digest,
                    scratch.with_name(f"{scratch.name}-{index}.png"),
                    window,
                )
                for index in (range(len(file)) if image.frame is None else [image.frame])
            ]
    except UserError as error:
        problem = str(error).removeprefix(f"{image.id}: ")
        return [Inspected(image, sha256=digest, problem=problem)]


def _inspect_frame(
    file: PixelFile,
    index: int,
    image: FoundImage,
    digest: str,
    scratch: Path,
    window: Window | None,
) -> Inspected:
    """One image of a file.

    Args:
      file: open.
      index: of the image.
      image: its id and place.
      digest: of the file's bytes.
      scratch: the file to write it to if it has to be re-encoded.
      window: as grey levels; None if it is not known yet.
    """
    frame = read_checked(file, index, image.id)
    height, width = frame.levels.shape[:2]
    facts = Inspected(
        image,
        sha256=digest,
        size=(width, height),
        mode=frame.mode,
        reencoded=frame.reencoded,
        depends=frame.depends,
        own_window=frame.shows_own(window),
        levels=frame.range if frame.needs(window) else None,
    )
    if window is None and facts.levels is not None:
        return facts
    pixels = frame.picture(window)
    if frame.reencoded:
        from PIL import Image

        Image.fromarray(pixels).save(scratch, format="PNG")
    stored = scratch if frame.reencoded else image.path
    return replace(facts, content=content_of(pixels), stored=stored)


def _check_usable(
    scan: Scan, usable: Sequence[Inspected], skipped: Mapping[str, str], unreadable: str
) -> None:
    if skipped and unreadable == "error":
        raise UserError(
            f"{len(skipped):,} of {len(scan.images):,} images in {scan.folder} are unusable: "
            f"{listed_problems(skipped)}; repair or remove them, or leave them out with "
            "--config.data.unreadable=skip (prepare_data.py: --unreadable skip)"
        )
    filled = {(item.image.split, item.image.class_name) for item in usable}
    for image in scan.images:
        if (image.split, image.class_name) not in filled:
            raise UserError(
                f"no image of {Path(scan.split_folders[image.split], image.class_name)} in "
                f"{scan.folder} is usable: {listed_problems(skipped)}; "
                "add images or remove the class"
            )


def _write(
    folder: Path, class_names: Sequence[str], usable: Sequence[Inspected], fingerprint: str
) -> None:
    """Writes the records and `dataset.json` into an empty folder."""
    from fakd_jax.data.records import Record, write_records

    records = {
        split: [
            Record(item.image.id, item.stored, item.image.class_name)
            for item in usable
            if item.image.split == split
        ]
        for split in SOURCE_SPLITS
    }
    written = write_records(
        folder, class_names, {split: rows for split, rows in records.items() if rows}
    )
    labels = {name: label for label, name in enumerate(class_names)}
    Description(
        class_names=list(class_names),
        fingerprint=fingerprint,
        records=written.relative_to(folder).as_posix(),
        files=record_files(written),
        examples=[
            (item.image.id, labels[item.image.class_name], item.image.split, item.content)
            for item in usable
        ],
    ).save(folder)


def _by_frequency(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
