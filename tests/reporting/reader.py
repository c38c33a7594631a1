"""Parses an HTML page more strictly than a browser does."""

from __future__ import annotations

import re
from collections.abc import Collection
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "input"}


class Reader(HTMLParser):
    """Keeps text by tag and attributes; end tags must match.

    Raises:
      AssertionError: a tag is not closed, or closed twice.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[tuple[str, list[str]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, list[str]]] = []
        self.feed(page)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, []))
            self.texts.append(self.open[-1])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.open[-1][1].append(data)

    def of(self, tag: str) -> list[str]:
        """The text directly within each element of this name."""
        return ["".join(parts) for name, parts in self.texts if name == tag]

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def assert_self_contained(page: str, beside: Collection[str] = ()) -> None:
    """Well-formed, nothing fetched, an alternative text for every picture; scripts are inline.

    `beside`: names of the files beside the page that it may show.
    """
    reader = Reader(page)
    assert not {tag for tag, _ in reader.tags} & {"link", "iframe", "object", "base"}
    for script in reader.of("script"):
        assert not re.search("fetch|import|XMLHttpRequest|WebSocket|innerHTML|eval\\(|http", script)
    for _, attributes in reader.tags:
        assert not any(name.startswith("on") for name in attributes)
        source = str(attributes.get("src", "data:"))
        assert source.startswith("data:") or source in beside
        assert str(attributes.get("href", "#")).startswith("#")
    (style,) = reader.of("style")
    assert "url(" not in style
    assert "@import" not in style
    anchors = [attributes["id"] for attributes in reader.attributes("section")]
    assert [attributes["href"] for attributes in reader.attributes("a")] == [
        f"#{anchor}" for anchor in anchors
    ]
    assert len(set(anchors)) == len(anchors)
    assert all(str(attributes["alt"]).strip() for attributes in reader.attributes("img"))
