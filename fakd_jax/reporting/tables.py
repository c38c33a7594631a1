"""Tables as plain text for a terminal, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any


def text_table(header: Sequence[str], *sections: Sequence[Sequence[str]]) -> str:
    """Lays out columns, the first to the left, the others to the right, with a rule per section.

    Args:
      header: names of the columns.
      sections: rows of as many cells; empty sections are left out.

    Returns:
      Lines without a newline at the end.
    """
    parts = [[header], *filter(None, sections)]
    columns = zip(*(row for part in parts for row in part), strict=True)
    widths = [max(map(len, column)) for column in columns]
    rule = "\n" + "  ".join("-" * width for width in widths) + "\n"

    def line(row: Sequence[str]) -> str:
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return "  ".join(cells).rstrip()

    return rule.join("\n".join(map(line, part)) for part in parts)


def text_pairs(pairs: Iterable[tuple[str, str]], width: int = 20) -> str:
    """Names and values, a line each, the values below one another."""
    return "\n".join(f"{name:<{width}} {value}" for name, value in pairs)


def csv_text(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """A CSV file's content; None is written as an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
