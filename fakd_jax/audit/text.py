"""The findings as text: tables for a terminal, and `groups.csv` with one row per image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.audit.findings import Duplicate, Findings
from fakd_jax.audit.record import Audit
from fakd_jax.audit.shortcuts import Shortcut
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.metrics.resampling import wilson_interval
from fakd_jax.reporting.numbers import DASH, count, percent
from fakd_jax.reporting.tables import csv_text, text_pairs, text_table

GROUPS_HEADER = (
    *("id", "split", "class", "group", "group_size"),
    *("duplicate", "orientation", "alteration", "correlation"),
)


def tested_and_found(duplicates: Mapping[str, Any]) -> tuple[int, int]:
    """The number of test images, and of those with a duplicate in training."""
    rows = duplicates.values()
    return sum(row["test_images"] for row in rows), sum(row["with_duplicate"] for row in rows)


def duplicate_rows(duplicates: Mapping[str, Any], by: str) -> tuple[list[str], list[list[str]]]:
    """Counts test images with a duplicate in training by class and by how the two differ.

    Args:
      duplicates: of :func:`fakd_jax.audit.findings.summarise`.
      by: `by_orientation` or `by_alteration`.

    Returns:
      A header and one row per class, with a last one for all; kinds that never occur are left out.
    """
    kinds = list(next(iter(duplicates.values()))[by])
    occurring = [kind for kind in kinds if any(row[by][kind] for row in duplicates.values())]
    rows = []
    for name, part in [
        *((name, {name: row}) for name, row in duplicates.items()),
        ("all", duplicates),
    ]:
        tested, found = tested_and_found(part)
        share = percent(found / tested, digits=1) if tested else DASH
        by_kind = (count(sum(row[by][kind] for row in part.values())) for kind in occurring)
        rows.append([name, count(tested), count(found), share, *by_kind])
    return ["class", "test images", "with a duplicate", "share", *occurring], rows


def shortcut_rows(shortcuts: Sequence[Shortcut]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: what shortcuts reach, with Wilson's 95 % intervals."""
    header = ["classifier's input", "tried on", "right", "of", "accuracy", "most frequent class"]
    return header, [
        [
            shortcut.name,
            shortcut.images,
            count(shortcut.right),
            count(shortcut.n),
            percent(
                shortcut.right / shortcut.n, wilson_interval(shortcut.right, shortcut.n), digits=1
            ),
            percent(shortcut.chance, digits=1),
        ]
        for shortcut in shortcuts
    ]


def groups_csv(dataset: ImageDataset, audit: Audit, duplicates: Mapping[str, Duplicate]) -> str:
    """Every image's group, the group's size and, for test images, the closest duplicate."""
    sizes = Counter(audit.groups.values())
    rows = []
    for example in dataset.examples:
        group = audit.groups[example.id]
        names = [example.id, example.split, dataset.class_names[example.label]]
        found = duplicates.get(example.id)
        about = (
            [found.training, found.orientation, found.alteration, found.whole]
            if found
            else [None] * 4
        )
        rows.append([*names, group, sizes[group], *about])
    return csv_text(GROUPS_HEADER, rows)


def summary_text(findings: Findings) -> str:
    """The findings for a terminal."""
    summary, inventory, data = findings.summary, findings.inventory, findings.data
    groups, similar, duplicates = summary["groups"], summary["similar"], summary["duplicates"]
    tested, found = tested_and_found(duplicates)
    blocks = [
        f"{data['name']} (version {data['version']}): {count(inventory['images'])} images, "
        f"{count(len(inventory['unreadable']))} unreadable files, "
        f"{count(len(inventory['strays']))} other files",
        f"{count(found, tested)} test images have a duplicate among the training images"
        if tested
        else "the source has no test images",
    ]
    if found:
        for title, by in (
            ("By the duplicate's orientation:", "by_orientation"),
            ("By what else differs:", "by_alteration"),
        ):
            blocks.append(f"{title}\n{text_table(*duplicate_rows(duplicates, by))}")
    pairs = [
        (
            "duplicate groups",
            f"{count(groups['number'])} with {count(groups['images'])} images, the largest with "
            f"{count(groups['largest'])}",
        ),
        ("conflicting labels", f"{count(len(summary['conflicts']))} groups"),
    ]
    if tested:
        similarity = (
            f"{count(similar['test_images'], similar['of'])} other test images have a different "
            f"picture in training\n{'':20} that correlates {similar['correlation']:.2f} or more, "
            "probably a slice of the same head"
        )
        pairs.append(("very similar", similarity))
    shortcuts = text_table(*shortcut_rows(findings.shortcuts))
    return "\n\n".join(
        [
            *blocks,
            text_pairs(pairs),
            f"What shortcuts reach:\n{shortcuts}",
            f"audit {findings.audit[:16]}… of data {data['fingerprint'][:16]}…",
        ]
    )
