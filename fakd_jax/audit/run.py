"""The whole audit of a source: search, findings, shortcuts, contact sheets, files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from fakd_jax.audit.audit import Audit, find_audit, search_and_keep
from fakd_jax.audit.findings import Findings, duplicates_in_training, summarise
from fakd_jax.audit.inventory import read_file_facts, take_inventory
from fakd_jax.audit.matching.appearance import read_thumbnails
from fakd_jax.audit.report.page import audit_page
from fakd_jax.audit.report.sheets import make_sheets, render
from fakd_jax.audit.report.tables import groups_csv
from fakd_jax.audit.shortcuts import from_metadata, nearest_neighbour
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.runtime.atomic_files import require_writable, write_whole

AUDIT_FILE = "audit.json"
Log = Callable[[str], object]


def run_audit(
    dataset: ImageDataset,
    output: Path,
    *,
    cache_dir: Path | str | None = None,
    log: Log = print,
) -> Findings:
    """Audits a data set and writes `audit.json`, `groups.csv`, `report.html` and contact sheets.

    The groups are also kept beside the prepared data, where `config.data.split` and the
    evaluation find them.

    Args:
      dataset: the data.
      output: folder of the report.
      cache_dir: of prepared data.
      log: told what is going on.

    Returns:
      The findings.

    Raises:
      UserError: the output or the cache can't be written.
    """
    start = time.monotonic()
    require_writable(output)
    log(f"audit: {len(dataset):,} images of {dataset.name} ({dataset.fingerprint[:12]})")
    thumbnails = read_thumbnails(dataset, log)
    audit = find_audit(dataset, cache_dir)
    if audit is None:
        audit = search_and_keep(dataset, thumbnails, cache_dir, log)
    else:
        log("audit: the search for copies was made before; using its result")
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
    )
    _write(output, dataset, audit, findings)
    log(f"audit: done in {time.monotonic() - start:.0f} s")
    return findings


def _write(output: Path, dataset: ImageDataset, audit: Audit, findings: Findings) -> None:
    training = [*dataset.ids("train"), *dataset.ids("val")]
    duplicates = duplicates_in_training(audit, dataset.ids("test"), training)
    sheets = [(sheet, render(sheet)) for sheet in make_sheets(dataset, audit)]
    for sheet, picture in sheets:
        write_whole(output / f"{sheet.name}.png", picture)
    write_whole(output / AUDIT_FILE, json.dumps(asdict(findings), indent=2) + "\n")
    write_whole(output / "groups.csv", groups_csv(dataset, audit, duplicates))
    write_whole(output / "report.html", audit_page(findings, sheets))
