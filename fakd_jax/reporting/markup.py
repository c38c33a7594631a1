"""Superseded by :mod:`fakd_jax.reporting.pages`; goes when its last caller has.

Self-contained HTML pages: one file, no script, nothing fetched, the same bytes every time.

Whatever is a `str` is text and is escaped; what is markup already is an :class:`Html`, and only
this module makes one. A page is built from the inside out::

    rows = [["glioma", "300"], ["meningioma", "306"]]
    counts = Section("Images", (table(["class", "n"], rows, align="lr"),))
    text = page("What the data holds", [counts])
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from fakd_jax.reporting.images import PNG_SIGNATURE, Picture, png_bytes

STYLE = files("fakd_jax.reporting").joinpath("templates", "style.css").read_text(encoding="utf-8")
_ALIGNMENTS = {"l": "", "r": ' class="right"', "c": ' class="centre"'}
# HTML allows no control characters but tab and newline, no halves of surrogate pairs (file names
# that are not UTF-8 have them) and no code points that Unicode keeps from being characters.
_LAST_OF_PLANES = "".join(
    chr((plane << 16) + end) for plane in range(17) for end in (0xFFFE, 0xFFFF)
)
_NOT_HTML = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_LAST_OF_PLANES}]")


@dataclass(frozen=True)
class Html:
    """Markup that is whole and escaped.

    Attributes:
      markup: what stands in the page.
    """

    markup: str


Inline = str | Html
"""Text, which is escaped, or markup, which is kept."""


@dataclass(frozen=True)
class Section:
    """A part of a page, with a heading that the table of contents leads to.

    Attributes:
      title: the heading.
      content: what stands below it.
    """

    title: str
    content: Sequence[Html]


@dataclass(frozen=True)
class Thumbnail:
    """A small picture in a grid.

    Attributes:
      picture: PNG or pixels; see :func:`shrink` for large ones.
      alt: what the picture shows, for those who do not see it.
      lines: of the caption.
    """

    picture: Picture
    alt: str
    lines: Sequence[Inline]


def page(title: str, sections: Sequence[Section], *, lead: Sequence[Html] = ()) -> str:
    """Lays out a page: title, lead, table of contents, sections.

    Args:
      title: of the page.
      sections: in order; equal titles get different anchors.
      lead: what stands between the title and the table of contents.

    Returns:
      A complete HTML document, to be written as UTF-8.
    """
    anchors = _anchors([section.title for section in sections])
    contents = "".join(
        f'<li><a href="#{anchor}">{_text(section.title)}</a></li>\n'
        for anchor, section in zip(anchors, sections, strict=True)
    )
    body = "".join(
        f'<section id="{anchor}">\n<h2>{_text(section.title)}</h2>\n{_join(section.content)}'
        "</section>\n"
        for anchor, section in zip(anchors, sections, strict=True)
    )
    navigation = f'<nav aria-label="Contents">\n<ul>\n{contents}</ul>\n</nav>\n' if contents else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{_text(title)}</h1>\n{_join(lead)}</header>\n{navigation}"
        f"<main>\n{body}</main>\n</body>\n</html>\n"
    )


def paragraph(*parts: Inline) -> Html:
    """A paragraph of parts that follow each other without a space."""
    return Html(f"<p>{_text(*parts)}</p>\n")


def strong(text: str) -> Html:
    """Text that stands out."""
    return Html(f"<strong>{_text(text)}</strong>")


def code(text: str) -> Html:
    """A command, a file name, a digest: in a fixed-width font."""
    return Html(f"<code>{_text(text)}</code>")


def lines(*parts: Inline) -> Html:
    """Parts below each other, as in a cell of a table."""
    return Html("<br>".join(map(_text, parts)))


def subheading(text: str) -> Html:
    """A heading within a section."""
    return Html(f"<h3>{_text(text)}</h3>\n")


def bullets(items: Iterable[Inline]) -> Html:
    """A list without numbers."""
    lines = (f"<li>{_text(item)}</li>\n" for item in items)
    return Html(f"<ul>\n{''.join(lines)}</ul>\n")


def definitions(pairs: Iterable[tuple[str, Inline]]) -> Html:
    """Names, each with what it stands for, in two columns."""
    rows = (f"<dt>{_text(name)}</dt>\n<dd>{_text(value)}</dd>\n" for name, value in pairs)
    return Html(f"<dl>\n{''.join(rows)}</dl>\n")


def table(
    header: Sequence[Inline],
    rows: Iterable[Sequence[Inline]],
    *,
    align: str = "",
    caption: Inline = "",
) -> Html:
    """A table whose first column names its rows; one that is too wide scrolls by itself.

    Args:
      header: of the columns.
      rows: cells, as many a row as the header has.
      align: one letter a column: `l`eft, `r`ight (kept on one line: figures) or `c`entre; all to
        the left if it is not given.
      caption: above the table.

    Raises:
      ValueError: a row of another length than the header's, or letters that do not fit.
    """
    align = align or "l" * len(header)
    if len(align) != len(header) or not set(align) <= set(_ALIGNMENTS):
        raise ValueError(f"align {align!r} does not fit {len(header)} columns of l, r, c")
    classes = [_ALIGNMENTS[letter] for letter in align]

    def line(cells: Sequence[Inline], tags: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{attribute}>{_text(cell)}</{tag.split()[0]}>"
            for cell, tag, attribute in zip(cells, tags, classes, strict=True)
        )

    of_rows = ['th scope="row"', *["td"] * (len(header) - 1)]
    body = "".join(f"<tr>{line(row, of_rows)}</tr>\n" for row in rows)
    head = line(header, ['th scope="col"'] * len(header))
    # Not <caption>: that would be as wide as the table, and scroll out of sight with it.
    above = f"<figcaption>{_text(caption)}</figcaption>\n" if caption else ""
    return Html(
        f'<figure>\n{above}<div class="scroll">\n<table>\n<thead>\n<tr>{head}</tr>\n</thead>\n'
        f"<tbody>\n{body}</tbody>\n</table>\n</div>\n</figure>\n"
    )


def figure(picture: Picture, *, alt: str, caption: Inline = "", width: int | None = None) -> Html:
    """A picture, embedded in the page.

    Args:
      picture: a PNG file's content, or pixels.
      alt: what it shows, for those who do not see it.
      caption: below it.
      width: at which it is shown, in CSS pixels, never wider than the page; None takes its own.

    Raises:
      ValueError: no `alt`, neither PNG nor pixels.
    """
    below = f"<figcaption>{_text(caption)}</figcaption>\n" if caption else ""
    return Html(f"<figure>\n{_image(picture, alt, width)}{below}</figure>\n")


def thumbnails(items: Iterable[Thumbnail]) -> Html:
    """A grid of small pictures with their captions, as many side by side as there is room for.

    Raises:
      ValueError: see :func:`figure`.
    """
    cells = (
        f"<figure>\n{_image(item.picture, item.alt, None)}<figcaption>\n"
        f"{_join(map(paragraph, item.lines))}</figcaption>\n</figure>\n"
        for item in items
    )
    return Html(f'<div class="thumbnails">\n{"".join(cells)}</div>\n')


def beside(*content: Html) -> Html:
    """Elements side by side, as far as there is room; what does not fit stands below."""
    return Html(f'<div class="beside">\n{_join(content)}</div>\n')


def details(summary: Inline, *content: Html) -> Html:
    """Content that is folded away below its summary until the reader opens it."""
    return Html(f"<details>\n<summary>{_text(summary)}</summary>\n{_join(content)}</details>\n")


def warning(*content: Html) -> Html:
    """A box that is not to be overlooked."""
    return Html(f'<div class="warning" role="note">\n{_join(content)}</div>\n')


def _image(picture: Picture, alt: str, width: int | None) -> str:
    """An `<img>` with the picture in it, and its size, so that the page does not jump."""
    if not alt.strip():
        raise ValueError("a picture needs an alternative text")
    content = picture if isinstance(picture, bytes) else png_bytes(picture)
    if not content.startswith(PNG_SIGNATURE):
        raise ValueError("the picture is no PNG")
    # The first chunk holds width and height (PNG specification, section 11.2.2).
    own_width, own_height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    shown = width or own_width
    return (
        f'<img src="data:image/png;base64,{base64.b64encode(content).decode()}" '
        f'width="{shown}" height="{round(own_height * shown / own_width)}" alt="{_text(alt)}">\n'
    )


def _anchors(titles: Sequence[str]) -> list[str]:
    """One anchor a title, all different: the title's letters and digits, numbered if need be."""
    taken: set[str] = set()
    anchors = []
    for title in titles:
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        anchor, number = slug, 1
        while anchor in taken:
            number += 1
            anchor = f"{slug}-{number}"
        taken.add(anchor)
        anchors.append(anchor)
    return anchors


def _text(*parts: Inline) -> str:
    """Escapes text, keeps markup; what HTML cannot hold is shown as U+FFFD."""
    return "".join(
        part.markup if isinstance(part, Html) else escape(_NOT_HTML.sub("\ufffd", part))
        for part in parts
    )


def _join(content: Iterable[Html]) -> str:
    return "".join(part.markup for part in content)
