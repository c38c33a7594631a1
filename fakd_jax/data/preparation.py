"""From the files of a scan to records: checked, fingerprinted, written once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fakd_jax.data.cache import scratch_folder, written_whole
from fakd_jax.data.dataset import SPLITS, Description, fingerprint_of, record_files
from fakd_jax.data.inspection import Inspected, inspect_images
from fakd_jax.data.scanning import Scan, listed
from fakd_jax.errors import UserError

RECORDS_FORMAT = "v1"
"""Part of every key in the cache: raise it when what the records hold changes."""

UNREADABLE = ("error", "skip")
"""What can be done about unusable images: refuse the data, or leave them out and say so."""


def prepare(
    scan: Scan, cache: Path, *, unreadable: str, log: Callable[[str], object] = print
) -> dict[str, Any]:
    """Checks every image and writes the records, unless the cache has them already.

    Args:
      scan: the files.
      cache: the folder for prepared data; the records go to
        `records/<fingerprint>-<format>/`.
      unreadable: `error` or `skip`.
      log: told what is going on.

    Returns:
      `{'records': name of the folder in records/, 'report': what was found}`, JSON-able.

    Raises:
      UserError: unusable files with `error`; a class left without a usable one with `skip`.
    """
    start = time.monotonic()
    log(f"data: checking {len(scan.images):,} images in {scan.folder}")
    if scan.strays:
        log(f"data: {len(scan.strays):,} other files left alone: {listed(scan.strays)}")
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
    report = _report(scan, usable, skipped)
    log(f"data: prepared {len(usable):,} images in {time.monotonic() - start:.1f} s")
    return {"records": name, "report": report}


def told(problems: Mapping[str, str]) -> str:
    """Files and what is wrong with each, in one line."""
    return listed([f"{id} ({problem})" for id, problem in problems.items()])


def _check_usable(
    scan: Scan, usable: Sequence[Inspected], skipped: Mapping[str, str], unreadable: str
) -> None:
    if skipped and unreadable == "error":
        raise UserError(
            f"{len(skipped):,} of {len(scan.images):,} images in {scan.folder} are not usable: "
            f"{told(skipped)}; mend or remove them, or leave them out with "
            "--config.data.unreadable=skip (prepare_data.py: --unreadable skip)"
        )
    filled = {(item.image.split, item.image.class_name) for item in usable}
    for image in scan.images:
        if (image.split, image.class_name) not in filled:
            raise UserError(
                f"no image of {scan.split_folders[image.split]}/{image.class_name} in "
                f"{scan.folder} is usable: {told(skipped)}; add images or remove the class"
            )


def _write(
    folder: Path, class_names: Sequence[str], usable: Sequence[Inspected], fingerprint: str
) -> None:
    """Writes the records and `dataset.json` into an empty folder."""
    from fakd_jax.data.builder.image_folders import Record, write_records

    records = {
        split: [
            Record(item.image.id, item.stored, item.image.class_name)
            for item in usable
            if item.image.split == split
        ]
        for split in SPLITS
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
            (item.image.id, labels[item.image.class_name], item.image.split) for item in usable
        ],
    ).save(folder)


def _report(scan: Scan, usable: Sequence[Inspected], skipped: Mapping[str, str]) -> dict[str, Any]:
    """What a reader of the results may want to know of the files."""
    sizes = Counter(f"{item.size[0]}x{item.size[1]}" for item in usable)
    return {
        "split_folders": scan.split_folders,
        "strays": list(scan.strays),
        "skipped": dict(skipped),
        "reencoded": {item.image.id: item.reencoded for item in usable if item.reencoded},
        "sizes": dict(sizes.most_common()),
        "modes": dict(Counter(item.mode for item in usable).most_common()),
    }
