"""From the files of a scan to records: every image checked, fingerprinted, written once."""

from __future__ import annotations

import io
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakd_jax.data.cache import scratch_folder, written_whole
from fakd_jax.data.dataset import (
    SOURCE_SPLITS,
    Description,
    content_of,
    fingerprint_of,
    record_files,
)
from fakd_jax.data.layouts.pointers import POINTER, is_pointer
from fakd_jax.data.preprocessing import decode_rgb
from fakd_jax.data.scanning import FoundImage, Scan
from fakd_jax.errors import UserError, listed
from fakd_jax.runtime.hashing import sha256

RECORDS_FORMAT = "v2"
"""Part of every key in the cache: raise it when what is stored in a folder of records changes."""

UNREADABLE = ("error", "skip")
"""What to do with unusable images: refuse the data, or skip and report them."""

MAX_FILE_BYTES = 256 * 2**20
PROGRESS_SECONDS = 10.0

_EXIF_ORIENTATION = 0x0112
Log = Callable[[str], object]


@dataclass(frozen=True)
class Inspected:
    """A file that was read and decoded.

    Attributes:
      image: the file.
      sha256: of its bytes; empty if it could not be read.
      content: of its pixels, see :func:`fakd_jax.data.dataset.content_of`.
      problem: why it is unusable; empty if it is usable.
      size: (width, height) as decoded.
      mode: Pillow's mode of the file, such as `L`, `RGB`, `RGBA` or `I;16`.
      reencoded: why its bytes do not go into the records as they are; empty if they do.
      stored: the file whose bytes go into the records.
    """

    image: FoundImage
    sha256: str = ""
    content: str = ""
    problem: str = ""
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    reencoded: str = ""
    stored: Path = Path()


def prepare(scan: Scan, cache: Path, *, unreadable: str, log: Log = print) -> dict[str, Any]:
    """Checks every image and writes the records, unless the cache has them already.

    Args:
      scan: the files.
      cache: the folder for prepared data; the records go to `records/<fingerprint>-<format>/`.
      unreadable: one of :data:`UNREADABLE`.
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
        inspected = inspect_images(scan.images, scratch, log=log)
        usable = [item for item in inspected if not item.problem]
        skipped = {item.image.id: item.problem for item in inspected if item.problem}
        _check_usable(scan, usable, skipped, unreadable)
        fingerprint = fingerprint_of(
            (item.image.id, item.image.class_name, item.sha256) for item in usable
        )
        name = f"{fingerprint[:32]}-{RECORDS_FORMAT}"
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
    }
    log(f"data: prepared {len(usable):,} images in {time.monotonic() - start:.1f} s")
    return {"records": name, "report": report}


def listed_problems(problems: Mapping[str, str]) -> str:
    """Files and what is wrong with each, in one line."""
    return listed([f"{id} ({problem})" for id, problem in problems.items()])


def inspect_images(
    images: Sequence[FoundImage], scratch: Path, *, log: Log = print
) -> list[Inspected]:
    """Reads, hashes and fully decodes every file, in threads.

    Args:
      images: the files.
      scratch: an existing folder for images that are re-encoded (lossless PNG).
      log: called with the progress every ten seconds.

    Returns:
      One entry per file, in the order given.
    """
    logged = time.monotonic()
    results = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        jobs = [
            pool.submit(_inspect, image, scratch / f"{number:07d}.png")
            for number, image in enumerate(images)
        ]
        try:
            for job in jobs:
                results.append(job.result())
                if time.monotonic() - logged > PROGRESS_SECONDS:
                    logged = time.monotonic()
                    log(f"data: checked {len(results):,} of {len(images):,} images")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # an interruption must not wait for thousands
            raise
    return results


def _inspect(image: FoundImage, scratch: Path) -> Inspected:
    if image.problem:
        return Inspected(image, problem=image.problem)
    try:
        if image.path.stat().st_size > MAX_FILE_BYTES:
            return Inspected(image, problem=f"larger than {MAX_FILE_BYTES // 2**20} MiB")
        content = image.path.read_bytes()
    except OSError as error:
        return Inspected(image, problem=f"cannot be read: {error.strerror}")
    digest = sha256(content)
    if is_pointer(content):
        return Inspected(image, sha256=digest, problem=POINTER)
    try:
        pixels = decode_rgb(content, image.id)
    except UserError as error:
        return Inspected(image, sha256=digest, problem=str(error).removeprefix(f"{image.id}: "))
    mode, reason = _mode_and_reason(content)
    if reason:
        from PIL import Image

        Image.fromarray(pixels).save(scratch, format="PNG")
    height, width, _ = pixels.shape
    return Inspected(
        image,
        sha256=digest,
        content=content_of(pixels),
        size=(width, height),
        mode=mode,
        reencoded=reason,
        stored=scratch if reason else image.path,
    )


def _mode_and_reason(content: bytes) -> tuple[str, str]:
    """A decodable image's mode, and why it must be re-encoded, if it must.

    The records contain what every reader decodes to the same pixels: 8-bit grey or RGB, JPEG or
    PNG, upright and opaque.
    """
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        if image.format not in ("JPEG", "PNG"):
            return image.mode, f"format {image.format}"
        if image.mode not in ("RGB", "L"):
            return image.mode, f"mode {image.mode}"
        if "transparency" in image.info:
            return image.mode, "transparent colour"
        if image.getexif().get(_EXIF_ORIENTATION, 1) != 1:
            return image.mode, "EXIF orientation"
        return image.mode, ""


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
