"""The findings as text: one table for the terminal, one line of `groups.csv` an image."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.audit.audit import Audit
from fakd_jax.audit.findings import Duplicate, Findings
from fakd_jax.audit.shortcuts import Shortcut
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.metrics.resampling import wilson_interval
from fakd_jax.reporting.tables import text_table


def duplicate_rows(duplicates: Mapping[str, Any], by: str) -> tuple[list[str], list[list[str]]]:
    """Test images with a duplicate in training by class, and by what makes them differ.

    Args:
      duplicates: of :func:`fakd_jax.audit.findings.summarise`.
      by: `by_orientation` or `by_alteration`.

    Returns:
      A header and a row a class, with a last one for all; kinds that never occur are left out.
    """
    kinds = list(next(iter(duplicates.values()))[by])
    occurring = [kind for kind in kinds if any(row[by][kind] for row in duplicates.values())]
    header = ["class", "test images", "with a duplicate", "share", *occurring]

    def cells(name: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        tested = sum(row["test_images"] for row in rows)
        found = sum(row["with_duplicate"] for row in rows)
        share = f"{100 * found / tested:.1f} %" if tested else "–"
        return [
            name,
            f"{tested:,}",
            f"{found:,}",
            share,
            *(f"{sum(row[by][kind] for row in rows):,}" for kind in occurring),
        ]

    rows = [cells(name, [row]) for name, row in duplicates.items()]
    return header, [*rows, cells("all", list(duplicates.values()))]


def shortcut_rows(shortcuts: Sequence[Shortcut]) -> tuple[list[str], list[list[str]]]:
    """What classifiers without medicine reach, with Wilson's 95 % intervals."""
    header = ["what it sees", "tried on", "right", "of", "accuracy", "most frequent class"]
    rows = []
    for shortcut in shortcuts:
        low, high = wilson_interval(shortcut.right, shortcut.n)
        accuracy = f"{100 * shortcut.right / shortcut.n:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
        rows.append(
            [
                shortcut.name,
                shortcut.images,
                f"{shortcut.right:,}",
                f"{shortcut.n:,}",
                accuracy,
                f"{100 * shortcut.chance:.1f} %",
            ]
        )
    return header, rows


def groups_csv(dataset: ImageDataset, audit: Audit, duplicates: Mapping[str, Duplicate]) -> str:
    """One line an image: its group, the group's size and, for test images, the closest duplicate."""
    sizes: dict[int, int] = {}
    for group in audit.groups.values():
        sizes[group] = sizes.get(group, 0) + 1
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "id",
            "split",
            "class",
            "group",
            "group_size",
            "duplicate",
            "orientation",
            "alteration",
            "correlation",
        ]
    )
    for example in dataset.examples:
        group = audit.groups[example.id]
        duplicate = duplicates.get(example.id)
        about_duplicate = (
            [duplicate.training, duplicate.orientation, duplicate.alteration, duplicate.whole]
            if duplicate
            else [""] * 4
        )
        writer.writerow(
            [
                example.id,
                example.split,
                dataset.class_names[example.label],
                group,
                sizes[group],
                *("" if value is None else value for value in about_duplicate),
            ]
        )
    return text.getvalue()


def summary_text(findings: Findings) -> str:
    """The findings for a terminal."""
    summary, inventory = findings.summary, findings.inventory
    groups, similar = summary["groups"], summary["similar"]
    tested = sum(row["test_images"] for row in summary["duplicates"].values())
    found = sum(row["with_duplicate"] for row in summary["duplicates"].values())
    blocks = [
        f"{findings.data['name']} (version {findings.data['version']}): "
        f"{inventory['images']:,} images, {len(inventory['unreadable']):,} unreadable files, "
        f"{len(inventory['strays']):,} strays",
        f"{found:,} of {tested:,} test images have a copy among the training images",
    ]
    if found:
        blocks += [
            "By how the copy lies:\n"
            + _table(*duplicate_rows(summary["duplicates"], "by_orientation")),
            "By what else differs:\n"
            + _table(*duplicate_rows(summary["duplicates"], "by_alteration")),
        ]
    blocks += [
        f"groups of copies     {groups['number']:,} with {groups['images']:,} images, "
        f"the largest with {groups['largest']:,}\n"
        f"conflicting labels   {len(summary['conflicts']):,} groups\n"
        f"very similar         {similar['test_images']:,} of the other {similar['of']:,} test "
        f"images have a different picture in training that correlates {similar['correlation']:.2f} "
        "or more:\n                     probably slices of the same head",
        "What one reaches without medicine:\n" + _table(*shortcut_rows(findings.shortcuts)),
        f"audit {findings.audit[:16]}… of data {findings.data['fingerprint'][:16]}…",
    ]
    return "\n\n".join(blocks)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return text_table(header, rows)
