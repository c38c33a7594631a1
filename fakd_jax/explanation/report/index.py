"""The pages that show a folder's explanations, from `index.html` on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from fakd_jax.explanation.journal import read_entries, read_settings
from fakd_jax.explanation.report.figure import ALARMS
from fakd_jax.explanation.report.paging import Page, page_count, write_pages
from fakd_jax.explanation.report.reading import NOT_SHOWN
from fakd_jax.explanation.report.thumbnails import THUMBNAIL_SIDE
from fakd_jax.reporting.pages import render
from fakd_jax.reporting.related import link_pages
from fakd_jax.runs.files import EXPLANATIONS_PAGE

PER_PAGE = 100


def write_index(folder: Path) -> None:
    """Writes a page for every hundred explanations, in the order of the list.

    Pictures are files beside the pages. However long the list, one page is held in memory.

    Raises:
      UserError: a page cannot be written, or the settings cannot be read.
    """
    write_pages(folder, _pages(folder))
    link_pages(folder / EXPLANATIONS_PAGE)


def _pages(folder: Path) -> Iterator[tuple[Page, str]]:
    total = sum(1 for _ in read_entries(folder))
    settings, entries = read_settings(folder), read_entries(folder)
    count = page_count(total, PER_PAGE)
    for number in range(1, count + 1):
        page = Page(EXPLANATIONS_PAGE, number, count)
        yield (
            page,
            render(
                "explanation/report/index.html",
                page=page,
                total=total,
                first=(number - 1) * PER_PAGE + 1,
                settings=settings,
                entries=list(islice(entries, PER_PAGE)),
                alarms=ALARMS,
                not_shown=NOT_SHOWN,
                side=THUMBNAIL_SIDE,
            ),
        )
