"""A long report as several pages of HTML, which name one another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fakd_jax.runtime.atomic_files import remove, write_whole


@dataclass(frozen=True)
class Page:
    """One page of several.

    Attributes:
      first: the file name of the first page, `<stem>.html`; others are `<stem>-<number>.html`.
      number: from 1.
      count: of all pages.
    """

    first: str
    number: int
    count: int

    @property
    def name(self) -> str:
        """The file name."""
        return self.name_of(self.number)

    def name_of(self, number: int) -> str:
        """The file name of another page."""
        stem, suffix = self.first.rsplit(".", 1)
        return self.first if number == 1 else f"{stem}-{number}.{suffix}"

    @property
    def links(self) -> list[tuple[str, str]]:
        """Words and file names of the links to other pages, those that exist."""
        places = {
            "first": 1,
            "previous": self.number - 1,
            "next": self.number + 1,
            "last": self.count,
        }
        return [
            (words, self.name_of(number))
            for words, number in places.items()
            if 1 <= number <= self.count and number != self.number
        ]


def page_count(items: int, per_page: int) -> int:
    """How many pages so many items take, at least one."""
    return max(1, -(-items // per_page))


def write_pages(folder: Path, pages: Iterable[tuple[Page, str]]) -> None:
    """Writes at least one page, and removes those that a longer report of the name has left.

    Raises:
      UserError: a page cannot be written or removed.
    """
    for page, text in pages:
        write_whole(folder / page.name, text)
    stem, suffix = page.first.rsplit(".", 1)
    for path in folder.glob(f"{stem}-*.{suffix}"):
        found = re.fullmatch(rf"{re.escape(stem)}-(\d+)\.{suffix}", path.name)
        if found and int(found[1]) > page.count:
            remove(path)
