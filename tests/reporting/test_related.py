"""Pages of a workdir link to each other, in whatever order they are written."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from fakd_jax.reporting.pages import render
from fakd_jax.reporting.related import PAGES, link_pages


def write_page(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    page = render("explanation/report/index.html", **EMPTY)
    path.write_text(page, encoding="utf-8")
    link_pages(path)
    return path


class NoPages:
    count, number, links = 1, 1, ()


EMPTY = {
    "page": NoPages(),
    "total": 0,
    "first": 1,
    "settings": {"config": {"score": None, "method": "é"}, "checkpoint": {}, "data": None},
    "entries": [],
    "alarms": (),
    "not_shown": "",
    "side": 1,
}


def linked(path: Path) -> set[Path]:
    """Where the links of a page lead."""
    found = re.findall('href="([^"#]+)"', path.read_text(encoding="utf-8"))
    return {(path.parent / link).resolve() for link in found}


@pytest.mark.parametrize("order", list(itertools.permutations(PAGES.values(), 3))[::5])
def test_whatever_is_written_last_links_all(tmp_path: Path, order: tuple[str, ...]) -> None:
    pages = [write_page(tmp_path / name) for name in order]
    for page in pages:
        assert linked(page) == {other.resolve() for other in pages} - {page.resolve()}


def test_a_page_alone_has_no_links_and_writing_again_changes_nothing(tmp_path: Path) -> None:
    page = write_page(tmp_path / "evaluation/report.html")
    assert linked(page) == set()
    write_page(tmp_path / "explanation/index.html")
    before, time = page.read_bytes(), page.stat().st_mtime_ns
    link_pages(tmp_path / "explanation/index.html")
    assert page.read_bytes() == before
    assert page.stat().st_mtime_ns == time


def test_a_teachers_pages_link_to_the_teachers(tmp_path: Path) -> None:
    of_student = write_page(tmp_path / "evaluation/report.html")
    pages = [
        write_page(tmp_path / name / "teacher" / file)
        for name, file in (("evaluation", "report.html"), ("explanation", "index.html"))
    ]
    assert linked(pages[0]) == {pages[1].resolve()}
    assert linked(pages[1]) == {pages[0].resolve()}
    assert linked(of_student) == set()


def test_a_page_elsewhere_links_to_those_beside_it(tmp_path: Path) -> None:
    other = write_page(tmp_path / "explanation/index.html")
    assert linked(write_page(tmp_path / "external/report.html")) == {other.resolve()}
    assert linked(other) == set()
