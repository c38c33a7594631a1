"""Links between the pages of one workdir: evaluation, explanations, their benchmark, the audit.

Each command writes its page when it is run, in any order. So whichever page is written last brings
the links of all up to date; nothing else of a page changes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from fakd_jax.runtime.atomic_files import write_whole

PAGES: Mapping[str, str] = {
    "evaluation": "evaluation/report.html",
    "explanations": "explanation/index.html",
    "benchmark of explanations": "benchmark/gallery.html",
    "audit of the data": "audit/report.html",
}
"""Where the pages lie in a workdir, by their words in a link."""

TEACHER = "teacher"  # the subfolder of what is about a teacher that has a student

# As `reporting/base.html` has them.
_BEGIN, _END = "<!-- related pages -->\n", "<!-- end of related pages -->"
_LINKS = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)


def link_pages(page: Path) -> None:
    """Makes a page and those of the same network beside it link to each other.

    Pages beside it that this user may not write keep the links that they have.

    Args:
      page: just written; its folder is one of a workdir's, or lies beside them.

    Raises:
      UserError: the page cannot be written.
    """
    folder = page.resolve().parent
    about_teacher = folder.name == TEACHER
    root = folder.parent.parent if about_teacher else folder.parent
    places = {}
    for words, name in PAGES.items():
        place = root / name
        places[words] = place.parent / TEACHER / place.name if about_teacher else place
    found = {words: place for words, place in places.items() if place.is_file()}
    for place in {page.resolve(), *found.values()}:
        if place == page.resolve() or os.access(place, os.W_OK):
            _write_links(place, found)


def _write_links(page: Path, found: Mapping[str, Path]) -> None:
    """Replaces the links of one page."""
    items = "".join(
        f'<li><a href="{os.path.relpath(other, page.parent)}">{words}</a></li>\n'
        for words, other in found.items()
        if other != page
    )
    links = f'<nav aria-label="Related pages">\n<ul>\n<li>See also</li>\n{items}</ul>\n</nav>\n'
    before = page.read_text(encoding="utf-8")
    after = _LINKS.sub(lambda _: _BEGIN + (links if items else "") + _END, before, count=1)
    if after != before:
        write_whole(page, after)
