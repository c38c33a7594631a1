"""HTML pages: what is text stays text, every tag is closed, nothing is fetched, bytes repeat."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fakd_jax.reporting.pages import (
    Html,
    Section,
    Thumbnail,
    beside,
    bullets,
    code,
    definitions,
    details,
    figure,
    lines,
    page,
    paragraph,
    shrink,
    strong,
    subheading,
    table,
    thumbnails,
    warning,
)
from fakd_jax.reporting.style import STYLE

VOID = {"meta", "img", "br"}
PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
NASTY = "<script>alert('&amp;')</script> \"a\" & </title> --> é 脳"
# What HTML can hold: no control characters but tab and newline, no surrogates, no noncharacters.
HOLDABLE = st.text(
    st.one_of(
        st.sampled_from("<>&\"'\t\n;#/"),
        st.characters(exclude_categories=("Cc", "Cs", "Cn")),
    )
)


class Reader(HTMLParser):
    """Reads a page strictly: end tags must match, attributes are kept, text is kept by tag."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, list[str]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, list[str]]] = []

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


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open, f"left open: {reader.open}"
    return reader


def everything(text: str = NASTY) -> str:
    """A page with each element in it, and `text` wherever text can stand."""
    content = (
        paragraph(text, strong(text), code(text)),
        subheading(text),
        bullets([text, code(text), lines(text, text)]),
        definitions([(text, text)]),
        table([text, text], [[text, strong(text)]], align="lr", caption=text),
        figure(PIXELS, alt=text, caption=text),
        thumbnails([Thumbnail(PIXELS, text, [text, text])]),
        beside(paragraph(text), figure(PIXELS, alt=text)),
        details(text, paragraph(text)),
        warning(paragraph(text)),
    )
    sections = [Section(text, content), Section(text, ())]
    return page(text, sections, lead=[paragraph(text)])


@given(HOLDABLE)
def test_any_text_comes_back(text: str) -> None:
    assert read(paragraph(text).markup).of("p") == [text]
    assert read(page(text, [])).of("title") == [text]
    if text.strip():
        assert read(figure(PIXELS, alt=text).markup).attributes("img")[0]["alt"] == text


@given(st.text(st.characters(exclude_categories=())))
def test_what_html_cannot_hold_is_replaced_and_nothing_else(text: str) -> None:
    (shown,) = read(paragraph(text).markup).of("p")
    shown.encode()
    assert len(shown) == len(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]", shown)
    assert all(a == b for a, b in zip(text, shown, strict=True) if b != "\ufffd")


def test_a_file_name_that_is_not_utf8_can_be_written() -> None:
    name = b"scan-\xe9.png".decode("utf-8", "surrogateescape")
    assert read(page(name, [])).of("h1") == ["scan-\ufffd.png"]


def test_every_tag_is_closed_and_all_text_is_escaped() -> None:
    reader = read(everything())
    assert "script" not in {tag for tag, _ in reader.tags}
    for tag in ("title", "h1", "h2", "h3", "a", "dt", "dd", "summary", "code"):
        assert set(reader.of(tag)) == {NASTY}, tag


@given(st.text())
def test_pages_are_well_formed_whatever_the_text(text: str) -> None:
    read(everything(f"a{text}"))


def test_nothing_is_fetched() -> None:
    reader = read(everything("plain"))
    assert not {tag for tag, _ in reader.tags} & {"script", "link", "iframe", "object", "base"}
    for _, attributes in reader.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert str(attributes.get("src", "data:")).startswith("data:")
        assert str(attributes.get("href", "#")).startswith("#")
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    assert not re.search("https?:", everything("plain"))


def test_the_same_page_has_the_same_bytes() -> None:
    assert everything() == everything()


def test_the_table_of_contents_leads_to_every_section() -> None:
    titles = ("What this is", "What this is", "脳", "b & c", "what-this-is-2")
    reader = read(page("t", [Section(title, ()) for title in titles]))
    anchors = [attributes["id"] for attributes in reader.attributes("section")]
    assert anchors == ["what-this-is", "what-this-is-2", "section", "b-c", "what-this-is-2-2"]
    assert [attributes["href"] for attributes in reader.attributes("a")] == [
        f"#{anchor}" for anchor in anchors
    ]
    assert tuple(reader.of("a")) == titles


def test_markup_is_kept_and_text_is_not_taken_for_it() -> None:
    assert paragraph("<b>", Html("<b></b>")).markup == "<p>&lt;b&gt;<b></b></p>\n"


def test_lines_stand_below_each_other() -> None:
    assert lines("a & b", strong("c")).markup == "a &amp; b<br><strong>c</strong>"


def test_elements_stand_beside_each_other_in_one_box() -> None:
    made = beside(paragraph("a < b"), paragraph("c")).markup
    assert made == '<div class="beside">\n<p>a &lt; b</p>\n<p>c</p>\n</div>\n'


def test_a_table_has_row_heads_and_alignment() -> None:
    made = table(["class", "n", "note"], [["a", "1", "x"], ["b", "2", "y"]], align="lrc")
    reader = read(made.markup)
    assert reader.of("th") == ["class", "n", "note", "a", "b"]
    assert [attributes["scope"] for attributes in reader.attributes("th")] == [
        *["col"] * 3,
        *["row"] * 2,
    ]
    assert not reader.of("figcaption")
    assert reader.of("td") == ["1", "x", "2", "y"]
    assert [attributes["class"] for attributes in reader.attributes("td")] == [
        *["right", "centre"] * 2
    ]


@pytest.mark.parametrize(
    ("row", "align"), [(["a"], "ll"), (["a", "b", "c"], ""), (["a", "b"], "lx"), (["a", "b"], "l")]
)
def test_a_table_that_does_not_fit_is_refused(row: list[str], align: str) -> None:
    with pytest.raises(ValueError, match=r"align|argument"):
        table(["one", "two"], [row], align=align)


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[..., 0]])
def test_pixels_come_back_from_the_page(pixels: np.ndarray) -> None:
    (image,) = read(figure(pixels, alt="stripes").markup).attributes("img")
    head, _, content = str(image["src"]).partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), pixels)
    assert (image["width"], image["height"]) == ("3", "2")


def test_a_png_is_embedded_as_it_is_and_shown_at_the_width_asked_for() -> None:
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, format="PNG")
    (image,) = read(figure(content.getvalue(), alt="a", width=300).markup).attributes("img")
    assert base64.b64decode(str(image["src"]).partition(",")[2]) == content.getvalue()
    assert (image["width"], image["height"]) == ("300", "200")


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_no_picture_without_an_alternative_text(alt: str) -> None:
    with pytest.raises(ValueError, match="alternative text"):
        figure(PIXELS, alt=alt)
    with pytest.raises(ValueError, match="alternative text"):
        thumbnails([Thumbnail(PIXELS, alt, [])])


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="no PNG"):
        figure(b"GIF89a", alt="a")
    with pytest.raises(ValueError, match="uint8, not float64"):
        figure(PIXELS / 255, alt="a")


def test_large_pictures_shrink_and_small_ones_stay() -> None:
    assert shrink(np.zeros((100, 400, 3), np.uint8), 64).shape == (16, 64, 3)
    assert shrink(np.zeros((1, 400, 3), np.uint8), 64).shape == (1, 64, 3)
    assert shrink(PIXELS, 3) is PIXELS
