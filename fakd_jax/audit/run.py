"""The whole audit of a source: search, findings, shortcuts, contact sheets, files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from fakd_jax.audit.findings import Findings, duplicates_in_training, summarise
from fakd_jax.audit.inventory import read_file_facts, take_inventory
from fakd_jax.audit.matching.appearance import read_thumbnails
from fakd_jax.audit.matching.confirmation import MIN_PARTS, MIN_WHOLE
from fakd_jax.audit.plan import APPROXIMATE, plan_search, scratch_folder
from fakd_jax.audit.record import Audit, find_audit, search_and_store
from fakd_jax.audit.sheets import draw_sheet, make_sheets
from fakd_jax.audit.shortcuts import from_metadata, nearest_neighbour
from fakd_jax.audit.text import duplicate_rows, groups_csv, shortcut_rows, tested_and_found
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.reporting.images import png_size
from fakd_jax.reporting.numbers import duration
from fakd_jax.reporting.pages import render
from fakd_jax.reporting.related import link_pages
from fakd_jax.runtime.atomic_files import require_writable, write_whole
from fakd_jax.runtime.mapping import HERE, Mapper

AUDIT_FILE = "audit.json"
GROUPS_FILE = "groups.csv"
REPORT_FILE = "report.html"
Log = Callable[[str], object]


def run_audit(
    dataset: ImageDataset,
    output: Path,
    *,
    cache_dir: Path | str | None = None,
    log: Log = print,
    mapper: Mapper = HERE,
) -> Findings:
    """Audits a data set and writes `audit.json`, `groups.csv`, `report.html` and contact sheets.

    The groups are also stored beside the prepared data, where training and evaluation find them.

    Args:
      dataset: the data.
      output: folder of the report.
      cache_dir: of prepared data.
      log: receives the progress.
      mapper: computes the chunks of the search.

    Raises:
      UserError: the output or the cache can't be written.
    """
    start = time.monotonic()
    require_writable(output)
    log(f"audit: {len(dataset):,} images of {dataset.name} ({dataset.fingerprint[:12]})")
    audit = find_audit(dataset, cache_dir)
    if audit is None:
        log(f"audit: {plan_search(dataset, cache_dir)}")
    else:
        log("audit: reusing the stored search for duplicates")
    scratch = scratch_folder(len(dataset), cache_dir)
    thumbnails = read_thumbnails(dataset, log, scratch, mapper)
    if audit is None:
        audit = search_and_store(dataset, thumbnails, cache_dir, log, mapper)
    facts = read_file_facts(dataset)
    labels = np.array([example.label for example in dataset.examples])
    splits = [example.split for example in dataset.examples]
    groups = np.array([audit.groups[example.id] for example in dataset.examples])
    log("audit: trying shortcuts")
    findings = Findings(
        data={
            "name": dataset.name,
            "version": dataset.version,
            "source": dataset.source,
            "fingerprint": dataset.fingerprint,
        },
        audit=audit.fingerprint,
        inventory=take_inventory(dataset, thumbnails, facts),
        summary=summarise(dataset, audit),
        shortcuts=(
            *nearest_neighbour(thumbnails, labels, splits, groups),
            *from_metadata(thumbnails, facts, labels, groups),
        ),
        method=audit.method,
    )
    _write(output, dataset, audit, findings)
    log(f"audit: done in {duration(time.monotonic() - start)}")
    return findings


def _write(output: Path, dataset: ImageDataset, audit: Audit, findings: Findings) -> None:
    training = [*dataset.ids("train"), *dataset.ids("val")]
    duplicates = duplicates_in_training(audit, dataset.ids("test"), training)
    sheets = [(sheet, draw_sheet(sheet)) for sheet in make_sheets(dataset, audit)]
    for sheet, picture in sheets:
        write_whole(output / sheet.file, picture)
    write_whole(output / AUDIT_FILE, json.dumps(asdict(findings), indent=2) + "\n")
    write_whole(output / GROUPS_FILE, groups_csv(dataset, audit, duplicates))
    page = render(
        "audit/report.html",
        findings=findings,
        sheets=[(sheet, png_size(picture)[0]) for sheet, picture in sheets],
        tested_and_found=tested_and_found(findings.summary["duplicates"]),
        duplicate_rows=duplicate_rows,
        shortcut_rows=shortcut_rows(findings.shortcuts),
        thresholds=(MIN_WHOLE, MIN_PARTS),
        approximate=audit.method == APPROXIMATE,
    )
    write_whole(output / REPORT_FILE, page)
    link_pages(output / REPORT_FILE)
