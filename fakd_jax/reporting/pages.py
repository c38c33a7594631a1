r"""Self-contained HTML pages from Jinja templates: one file, nothing fetched.

A page has all its content without JavaScript; a script, if any, is in the page and adds to it.

A page extends `reporting/base.html`, uses `reporting/macros.html` and lies in the `templates/` of
the package it belongs to: `fakd_jax/evaluation/templates/report.html` is rendered by::

    render("evaluation/report.html", metrics=metrics)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Undefined

from fakd_jax.reporting import images, numbers

# HTML allows no control characters but tab and newline, no halves of surrogate pairs (file names
# that are not UTF-8 have them) and none of Unicode's noncharacters.
_LAST_OF_PLANES = "".join(
    chr((plane << 16) + end) for plane in range(17) for end in (0xFFFE, 0xFFFF)
)
_NOT_HTML = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_LAST_OF_PLANES}]")


def render(template: str, **context: Any) -> str:
    """Renders a page; equal arguments give equal text.

    Args:
      template: `PACKAGE/NAME`, for `fakd_jax/PACKAGE/templates/NAME`.
      context: what the template names; strings are escaped, and what HTML cannot hold is replaced
        by U+FFFD.

    Raises:
      jinja2.UndefinedError: the template uses a name that the context lacks.
    """
    page = environment().get_template(template).render(context, contents=[])
    return _NOT_HTML.sub("\ufffd", page)


@cache
def environment() -> Environment:
    """Finds templates, escapes what they print, and has the filters for numbers and pictures."""
    made = Environment(
        loader=FunctionLoader(_read_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"],
    )
    made.filters |= {
        "anchor": _anchor,
        "embed": images.embed,
        "shrink": images.shrink,
        "stacked": _stacked,
    }
    for write in (
        *(numbers.count, numbers.decimal, numbers.milliseconds, numbers.p_value, numbers.percent),
        *(numbers.points, numbers.probability),
    ):
        made.filters[write.__name__] = partial(_filter, write)
    made.globals["DASH"] = numbers.DASH
    return made


def _read_template(name: str) -> str | None:
    package, _, file = name.rpartition("/")
    template = files("fakd_jax").joinpath(*package.split("/"), "templates", file)
    return template.read_text(encoding="utf-8") if template.is_file() else None


def _anchor(title: Any) -> str:
    """The name by which a link finds a section."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"


def _stacked(value: str) -> str:
    """Puts an interval below its value, so that a table of many stays narrow."""
    return value.replace(" [", "\n[", 1)


def _filter(write: Callable[..., str], value: Any, *args: Any, **options: Any) -> str:
    """Writes a number, and keeps it and its percent sign on one line."""
    for argument in (value, *args):
        if isinstance(argument, Undefined):
            str(argument)  # raises UndefinedError with the name that is missing
    return write(value, *args, **options).replace(" %", "\u00a0%")
