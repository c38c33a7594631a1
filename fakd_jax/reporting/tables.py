"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def ruled(*sections: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, rules between the sections; the first column to the left.

    Args:
      sections: rows of cells, all rows of one length; a header is a section of its own.

    Returns:
      Lines without a newline at the end.
    """
    columns = zip(*(row for section in sections for row in section), strict=True)
    widths = [max(map(len, column)) for column in columns]
    rule = "\n" + "  ".join("-" * width for width in widths) + "\n"

    def line(row: Sequence[str]) -> str:
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return "  ".join(cells).rstrip()

    return rule.join("\n".join(map(line, section)) for section in sections)
