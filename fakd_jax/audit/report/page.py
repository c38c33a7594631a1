"""The audit as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.audit.findings import Findings
from fakd_jax.audit.matching.confirmation import LEAST_PARTS, LEAST_WHOLE
from fakd_jax.audit.report.sheets import Sheet
from fakd_jax.audit.report.tables import duplicate_rows, shortcut_rows
from fakd_jax.reporting.markup import (
    Html,
    Section,
    bullets,
    code,
    definitions,
    details,
    figure,
    page,
    paragraph,
    strong,
    subheading,
    table,
    warning,
)

LISTED = 50


def audit_page(findings: Findings, sheets: Sequence[tuple[Sheet, bytes]]) -> str:
    """Lays out an audit.

    Args:
      findings: what it says.
      sheets: contact sheets and their PNGs.

    Returns:
      A self-contained HTML document.
    """
    sections = [
        _duplicates(findings.summary),
        _conflicts(findings.summary),
        _shortcuts(findings),
        _inventory(findings.inventory),
        _sheets(sheets),
        _method(findings),
    ]
    return page(
        f"Audit of {findings.data['name']}",
        sections,
        lead=[_headline(findings)],
    )


def _headline(findings: Findings) -> Html:
    rows = findings.summary["duplicates"].values()
    tested, found = (
        sum(row["test_images"] for row in rows),
        sum(row["with_duplicate"] for row in rows),
    )
    if not tested:
        return paragraph("The source has no test folder.")
    if not found:
        return paragraph(
            f"None of the {tested:,} test images has a copy among the training images."
        )
    return warning(
        paragraph(
            strong(f"{found:,} of {tested:,} test images ({100 * found / tested:.1f} %)"),
            " are copies of training images. An accuracy on them measures memory as much as "
            "skill: read it beside that on the others, or split the data by groups of copies (",
            code("--config.data.split=grouped"),
            ").",
        )
    )


def _duplicates(summary: Mapping[str, Any]) -> Section:
    groups, similar = summary["groups"], summary["similar"]
    tables = []
    for by, caption in (
        ("by_orientation", "How the closest copy in training lies"),
        ("by_alteration", "What else differs from the closest copy in training"),
    ):
        header, rows = duplicate_rows(summary["duplicates"], by)
        tables.append(table(header, rows, align="l" + "r" * (len(header) - 1), caption=caption))
    sizes = [[size, f"{number:,}"] for size, number in groups["sizes"].items()]
    return Section(
        "Copies",
        (
            *tables,
            paragraph(
                f"{groups['images']:,} images lie in {groups['number']:,} groups of copies; the "
                f"largest has {groups['largest']:,}."
            ),
            details(
                "Groups by size",
                table(["images in the group", "groups"], sizes, align="rr"),
            ),
            paragraph(
                f"{similar['test_images']:,} of the {similar['of']:,} test images without a copy "
                "have a different picture in training that correlates "
                f"{similar['correlation']:.2f} or more with them: probably slices of the same "
                "head. Splits by groups of copies do not keep those together, since the data "
                "does not say who is who."
            ),
        ),
    )


def _conflicts(summary: Mapping[str, Any]) -> Section:
    conflicts = summary["conflicts"]
    if not conflicts:
        return Section("Conflicting labels", (paragraph("No copies bear different labels."),))
    listed = bullets(", ".join(ids) for ids in conflicts[:LISTED])
    return Section(
        "Conflicting labels",
        (
            paragraph(f"{len(conflicts):,} groups hold copies with different labels."),
            listed,
        ),
    )


def _shortcuts(findings: Findings) -> Section:
    header, rows = shortcut_rows(findings.shortcuts)
    return Section(
        "Shortcuts",
        (
            paragraph(
                "What classifiers without any medicine reach. Where they do well, so may a "
                "network that has learnt nothing of tumours."
            ),
            table(header, rows, align="llrrrr"),
        ),
    )


def _inventory(inventory: Mapping[str, Any]) -> Section:
    names = list(next(iter(inventory["counts"].values())))
    rows = []
    for split, counts in inventory["counts"].items():
        coloured = inventory["pictures_in_colour"][split]
        as_rgb = inventory["files_in_colour"][split]
        rows += [
            [
                f"{split}: {name}",
                f"{counts[name]:,}",
                f"{as_rgb[name]:,}",
                f"{coloured[name]:,}",
            ]
            for name in names
        ]
    content = [
        table(
            ["images", "number", "with three channels", "with visible colour"], rows, align="lrrr"
        ),
        definitions(
            [
                ("sizes", _counted(inventory["sizes"], inventory["different_sizes"])),
                ("formats", _counted(inventory["formats"], len(inventory["formats"]))),
            ]
        ),
    ]
    for key, title in (
        ("unreadable", "Unreadable files"),
        ("reencoded", "Files taken over changed"),
    ):
        if found := inventory[key]:
            listed = [f"{id}: {why}" for id, why in list(found.items())[:LISTED]]
            content += [subheading(f"{title} ({len(found):,})"), bullets(listed)]
    if strays := inventory["strays"]:
        content += [subheading(f"Other files ({len(strays):,})"), bullets(strays[:LISTED])]
    return Section("What there is", tuple(content))


def _counted(counts: Mapping[str, int], different: int) -> str:
    listed = ", ".join(f"{name} ({number:,})" for name, number in counts.items())
    return listed if len(counts) == different else f"{listed} and {different - len(counts):,} more"


def _sheets(sheets: Sequence[tuple[Sheet, bytes]]) -> Section:
    content = [
        paragraph(
            "Judge for yourself. In a pair the second picture is turned to lie like the first; "
            "below are both names and how well they agree."
        )
    ]
    for sheet, picture in sheets:
        content += [subheading(sheet.title), figure(picture, alt=sheet.title)]
    return Section("Contact sheets", tuple(content))


def _method(findings: Findings) -> Section:
    return Section(
        "How copies are found",
        (
            paragraph(
                "Every image is compared with every other in eight orientations by its local "
                "contrast, which brightness, contrast and compression hardly change. Pairs that "
                "are alike are laid over each other, allowing for a change of size and position, "
                "and count as copies only if they correlate "
                f"{LEAST_WHOLE:.2f} or more as a whole and {LEAST_PARTS:.2f} or more in all but a "
                "tenth of their parts. Neighbouring slices of one head fail the second test."
            ),
            paragraph(
                "What it cannot see: copies turned by small angles, strongly deformed or "
                "equalised ones, and different slices of one patient."
            ),
            definitions(
                [
                    ("data", code(findings.data["fingerprint"])),
                    ("audit", code(findings.audit)),
                    ("method", findings.method),
                    ("software", f"fakd_jax {findings.package_version}"),
                ]
            ),
        ),
    )
