"""The gallery of a benchmark, from `gallery.html` on: all explanations, the doubtful ones first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fakd_jax.explanation.benchmark.cases import (
    Case,
    cases_of,
    is_degenerate,
    mean_agreement,
    worst_first,
)
from fakd_jax.explanation.benchmark.cells import CELLS
from fakd_jax.explanation.benchmark.summary import ALL
from fakd_jax.explanation.benchmark.verdicts import sanity_outcome
from fakd_jax.explanation.quality.stability import STABLE
from fakd_jax.explanation.report.attribution import overlay
from fakd_jax.explanation.report.benchmark import ARROWS, verdict_words
from fakd_jax.explanation.report.benchmark_figure import draw_curves
from fakd_jax.explanation.report.paging import Page, page_count, write_pages
from fakd_jax.explanation.report.thumbnails import THUMBNAIL_SIDE, compact_png
from fakd_jax.explanation.result import Completeness, FeatureMap
from fakd_jax.reporting.pages import render
from fakd_jax.reporting.related import link_pages
from fakd_jax.runs.files import BENCHMARK_FIGURE_FILE, GALLERY_FILE
from fakd_jax.runtime.atomic_files import write_whole

SHOWN = (
    *("jaccard", "gap", "local_fidelity", "dependence"),
    *("pointing", "mass_in_mask", "background"),
)
"""The metrics of the page, one or two per question; `benchmark.txt` has all."""

PER_PAGE = 25
"""Cases on one page, each with a dozen pictures."""

CASES_OPEN = 12
"""The number of cases that are unfolded."""

KINDS: Mapping[bool | None, str] = {
    False: "Wrong predictions",
    None: "True class unknown",
    True: "Correct predictions",
}


def write_gallery(
    report: Mapping[str, Any],
    cells: Iterable[Mapping[str, Any]],
    output: Path,
    folders: Mapping[str, str],
) -> None:
    """Writes the pages, in the order of :func:`~fakd_jax.explanation.benchmark.cases.worst_first`.

    The first page has the metrics of all images, every page 25 images. Pictures are files beside
    the pages, of which only the curves are drawn here; equal arguments give equal files.

    Args:
      report: the content of `benchmark.json`.
      cells: one per image and method, as stored; those of other methods are ignored.
      output: the benchmark's folder.
      folders: of each image, by id, in `output/cells`; with its `image.png` and `<method>.png`, and
        their thumbnails in `thumbnails/`.

    Raises:
      UserError: a file cannot be written.
    """
    cases = worst_first(cases_of(cells, report["methods"], report["controls"]))
    for case in cases:
        if any(cell["curves"] is None for cell in case.cells.values()):
            continue  # not measured
        curves = compact_png(draw_curves(case.cells, case.controls))
        write_whole(output / CELLS / folders[case.facts["id"]] / "curves.png", curves)
    write_pages(output, _pages(report, cases, folders))
    link_pages(output / GALLERY_FILE)


def _pages(
    report: Mapping[str, Any], cases: Sequence[Case], folders: Mapping[str, str]
) -> Iterator[tuple[Page, str]]:
    rows = {row["method"]: row for row in report["rows"] if row["class"] == ALL}
    measured = {key for row in rows.values() for key, value in row["metrics"].items() if value["n"]}
    metrics = {metric["key"]: metric for metric in report["metrics"]}
    shown = [metrics[key] for key in SHOWN if key in measured]
    keys = {metric["key"] for metric in shown}
    settings = report["config"]
    totals = {kind: sum(case.correct is kind for case in cases) for kind in KINDS}
    numbered = list(enumerate(cases, start=1))
    count = page_count(len(cases), PER_PAGE)
    for number in range(1, count + 1):
        page = Page(GALLERY_FILE, number, count)
        yield (
            page,
            render(
                "explanation/report/gallery.html",
                page=page,
                report=report,
                rows=rows,
                shown=shown,
                verdicts=[
                    row
                    for row in report["verdicts"]
                    if row["metric"] in keys and row["verdict"] is not None
                ],
                sanity=[row for row in report["sanity"] if row["passes"] is not None],
                scores={
                    name: method["score"]
                    for name, method in {**settings["methods"], **settings["controls"]}.items()
                },
                kinds=KINDS,
                totals=totals,
                cases=numbered[(number - 1) * PER_PAGE : number * PER_PAGE],
                localised="pointing" in measured,
                benchmark_figure=BENCHMARK_FIGURE_FILE,
                colour_bar=_colour_bar(),
                arrows=ARROWS,
                cases_open=CASES_OPEN,
                stable=STABLE,
                side=THUMBNAIL_SIDE,
                folder=lambda id: f"{CELLS}/{folders[id]}",
                is_degenerate=is_degenerate,
                mean_agreement=mean_agreement,
                remarks=remarks,
                sanity_outcome=sanity_outcome,
                verdict_words=verdict_words,
            ),
        )


def remarks(cell: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """The size of the map and the completeness of a cell's explanation, and what is an alarm."""
    found = []
    if cell["feature_map"] is not None:
        feature_map = FeatureMap(**cell["feature_map"])
        text = f"map of {feature_map.height} × {feature_map.width} ({feature_map.layer})"
        found.append((f"COARSE: {text}" if feature_map.coarse else text, feature_map.coarse))
    if cell["completeness"] is not None:
        completeness = Completeness(**cell["completeness"])
        error = completeness.relative_error
        share = "undefined" if error is None else f"{100 * error:.1f}\u00a0%"
        found.append((f"completeness error {share}", not completeness.complete))
    return found


def _colour_bar() -> UInt8[np.ndarray, "20 360 3"]:
    """Attribution from -1 to 1 over grey."""
    grey = np.full((20, 360, 3), 128, np.uint8)
    return overlay(grey, np.tile(np.linspace(-1, 1, 360), (20, 1)), side=360)
