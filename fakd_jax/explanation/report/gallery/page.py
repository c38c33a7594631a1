"""Pictures of explanations as one HTML page, those that need a human's eye first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fakd_jax.explanation.benchmark.cases import Case, cases_of, worst_first
from fakd_jax.explanation.report.gallery.case import (
    case_content,
    case_title,
    has_localisation,
)
from fakd_jax.explanation.report.gallery.legend import legend_section
from fakd_jax.explanation.report.gallery.pictures import PictureSource
from fakd_jax.explanation.report.gallery.summary import summary_section
from fakd_jax.reporting.markup import (
    Html,
    Inline,
    Section,
    code,
    definitions,
    details,
    page,
    paragraph,
    strong,
    subheading,
    warning,
)
from fakd_jax.runs.files import BENCHMARK_FILE

CASES_OPEN = 12
"""How many cases are laid open; those after them are folded away."""

_KINDS = {False: "Wrongly predicted", None: "Truth not known", True: "Rightly predicted"}


def gallery(
    summary: Mapping[str, Any],
    cells: Iterable[Mapping[str, Any]],
    read_picture: PictureSource,
    *,
    benchmark_picture: bytes | None = None,
) -> str:
    """Lays out every image with every method's picture of it.

    Wrong predictions come first, and among each kind the images on which the methods agree least
    (:func:`~fakd_jax.explanation.benchmark.cases.worst_first`).

    Args:
      summary: what `benchmark.json` holds.
      cells: one an image and method, as stored; those of methods that the summary lacks stay out.
      read_picture: gives their pictures, e.g.
        :func:`~fakd_jax.explanation.report.gallery.pictures.stored_pictures`.
      benchmark_picture: the benchmark drawn, a PNG.

    Returns:
      A complete HTML document that needs no other file; equal arguments give equal bytes.

    Raises:
      KeyError: `summary` or a cell lacks a key.
      ValueError: two cells of one image and method.
      UserError: a picture cannot be read.
    """
    cases = worst_first(cases_of(cells, summary["methods"], summary["controls"]))
    localised = any(has_localisation(cell) for case in cases for cell in case.cells.values())
    return page(
        "Explanations, the most doubtful first",
        [
            legend_section(localised),
            summary_section(summary, benchmark_picture),
            *_case_sections(cases, read_picture),
            _explained(summary),
        ],
        lead=_lead(summary, cases),
    )


def _lead(summary: Mapping[str, Any], cases: Sequence[Case]) -> list[Html]:
    """What this is, in one sentence, and what nobody may overlook."""
    checkpoint, data = summary["checkpoint"], summary["data"]
    kinds = ", ".join(
        f"{number:,} {kind[0].lower()}{kind[1:]}"
        for right, kind in _KINDS.items()
        if (number := sum(case.right is right for case in cases))
    )
    lead = [
        paragraph(
            f"Why {checkpoint['arch']} (config {checkpoint['config'] or 'not known'}, "
            f"{checkpoint['checkpoint']}) decided as it did on {len(cases):,} images"
            f"{_origin(data)}, told by {len(summary['methods']):,} methods, "
            f"{len(summary['controls']):,} of them controls"
            f"{f': {kinds}' if kinds else ''}. ",
            strong("Research software, not for diagnosis."),
        )
    ]
    if checkpoint["head"] != "trained":
        lead.append(
            warning(
                paragraph(
                    strong("This network's head is not known to be trained."),
                    " Without training it guesses, and there is nothing to explain.",
                )
            )
        )
    return lead


def _origin(data: Mapping[str, Any] | None) -> str:
    return "" if data is None else f" of {data['name']}, {data['split']} split"


def _case_sections(cases: Sequence[Case], read_picture: PictureSource) -> list[Section]:
    """A section a kind, numbered through, without the kinds that have no case."""
    numbered = list(enumerate(cases, start=1))
    return [
        Section(
            f"{kind} ({len(of_kind):,})",
            [part for number, case in of_kind for part in _laid_out(number, case, read_picture)],
        )
        for right, kind in _KINDS.items()
        if (of_kind := [(number, case) for number, case in numbered if case.right is right])
    ]


def _laid_out(number: int, case: Case, read_picture: PictureSource) -> tuple[Html, ...]:
    title, content = f"{number}. {case_title(case)}", case_content(case, read_picture)
    if number <= CASES_OPEN:
        return (subheading(title), *content)
    return (details(title, *content),)


def _explained(summary: Mapping[str, Any]) -> Section:
    """Which network and data this is about."""
    checkpoint, data = summary["checkpoint"], summary["data"]
    facts: list[tuple[str, Inline]] = [
        ("architecture", checkpoint["arch"]),
        ("checkpoint", code(checkpoint["checkpoint"])),
        ("sha256 of the weights", code(checkpoint["weights_sha256"])),
    ]
    if data is not None:
        facts += [
            ("data", f"{data['name']}, version {data['version']}"),
            ("source", code(data["source"])),
            ("fingerprint", code(data["fingerprint"])),
            ("split", f"{data['split']}, from {data['split_origin']}"),
        ]
    return Section(
        "What was explained",
        (
            definitions(facts),
            paragraph("All settings and figures are in ", code(BENCHMARK_FILE), "."),
        ),
    )
