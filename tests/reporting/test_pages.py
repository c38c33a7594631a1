"""HTML pages: text is escaped, every tag is closed, nothing is fetched, bytes repeat."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from PIL import Image

from fakd_jax.reporting import pages
from tests.reporting.reader import Reader, assert_self_contained

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
NASTY = "<script>alert('&amp;')</script> \"a\" & </title> --> é 脳"
IMPORT = '{% import "reporting/macros.html" as html with context %}'
EVERYTHING = """
{% extends "reporting/base.html" %}
IMPORT
{% block title %}{{ text }}{% endblock %}
{% block lead %}<p>{{ text }}</p>{% endblock %}
{% block main %}
{% call html.section(text) %}
<p>{{ html.strong(text) }} {{ html.code(text) }}</p>
{{ html.bullets([text, html.code(text)]) }}
{{ html.definitions([(text, text)]) }}
{{ html.table([text, text], [[text, html.strong(text)]], "lr", text) }}
{{ html.figure(pixels, text, text) }}
{% call html.thumbnails() %}{{ html.thumbnail(pixels, text, [text, text]) }}{% endcall %}
{% call html.beside() %}{{ html.figure(pixels, text) }}{% endcall %}
{% call html.details(text) %}<p>{{ text }}</p>{% endcall %}
{% call html.warning() %}<p>{{ text }}</p>{% endcall %}
{% endcall %}
{% call html.section("b & c") %}{% endcall %}
{% endblock %}
""".replace("IMPORT", IMPORT)


@pytest.fixture(autouse=True)
def _templates_from_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(name: str, original=pages._read_template) -> str | None:
        return EVERYTHING if name == "everything" else original(name)

    monkeypatch.setattr(pages, "_read_template", read)
    pages.environment.cache_clear()


def everything(text: str = NASTY) -> str:
    """A page with each element in it, and `text` wherever text can stand."""
    return pages.render("everything", text=text, pixels=PIXELS)


def fragment(source: str, **context: object) -> Reader:
    """What a piece of a template makes."""
    template = pages.environment().from_string(IMPORT + source)
    return Reader(template.render(context, contents=[]))


def test_every_tag_is_closed_and_all_text_is_escaped() -> None:
    reader = Reader(everything())
    for tag in ("title", "h1", "dt", "dd", "summary", "code", "strong"):
        assert set(reader.of(tag)) == {NASTY}, tag
    assert reader.of("h2") == reader.of("a") == [NASTY, "b & c"]


def test_a_page_is_self_contained_and_its_bytes_repeat() -> None:
    assert_self_contained(everything("plain"))
    assert everything("plain") == everything("plain")


@given(st.text(st.characters(exclude_categories=())))
def test_what_html_cannot_hold_is_replaced_and_nothing_else(text: str) -> None:
    page = everything(f"a{text}b")
    (shown,) = Reader(page).of("title")
    shown.encode()
    assert len(shown) == len(text) + 2
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]", shown)
    assert all(a == b for a, b in zip(f"a{text}b", shown, strict=True) if b != "\ufffd")


def test_a_name_that_the_context_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="text"):
        pages.render("everything")


def test_a_table_has_row_heads_and_alignment() -> None:
    reader = fragment(
        '{{ html.table(["class", "n", "note"], [["a", "1", "x"], ["b", "2", "y"]], "lrc") }}'
    )
    assert reader.of("th") == ["class", "n", "note", "a", "b"]
    scopes = [attributes["scope"] for attributes in reader.attributes("th")]
    assert scopes == ["col"] * 3 + ["row"] * 2
    assert not reader.of("figcaption")
    assert reader.of("td") == ["1", "x", "2", "y"]
    classes = [attributes["class"] for attributes in reader.attributes("td")]
    assert classes == ["right", "centre"] * 2


def test_numbers_in_a_page_are_kept_on_one_line_and_their_intervals_below() -> None:
    reader = fragment("<p>{{ 0.5|percent([0.25, 1])|stacked }}</p><p>{{ 0.5|probability }}</p>")
    assert reader.of("p") == ["50.00\u00a0%\n[25.00, 100.00]", "50.0\u00a0%"]


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[..., 0]])
def test_pixels_come_back_from_the_page(pixels: np.ndarray) -> None:
    (image,) = fragment("{{ html.figure(p, 'a') }}", p=pixels).attributes("img")
    head, _, content = str(image["src"]).partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), pixels)
    assert (image["width"], image["height"]) == ("3", "2")


def test_a_png_is_embedded_as_it_is_and_shown_at_the_width_asked_for() -> None:
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, format="PNG")
    reader = fragment("{{ html.figure(p, 'a', width=300) }}", p=content.getvalue())
    (image,) = reader.attributes("img")
    assert base64.b64decode(str(image["src"]).partition(",")[2]) == content.getvalue()
    assert (image["width"], image["height"]) == ("300", "200")


def test_a_figure_in_a_file_names_the_file_and_has_a_caption_if_given() -> None:
    reader = fragment("{{ html.figure_in_file(f, 'a', 30) }}", f="a #1?.png")
    (image,) = reader.attributes("img")
    assert (image["src"], image["width"]) == ("a%20%231%3F.png", "30")
    assert not reader.of("figcaption")
    assert fragment("{{ html.figure_in_file('f', 'a', 30, '<c>') }}").of("figcaption") == ["<c>"]
