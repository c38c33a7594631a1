"""Text tables and CSV."""

from __future__ import annotations

import csv
import io

from fakd_jax.reporting.tables import csv_text, text_table


def test_columns_align_and_sections_are_ruled_off() -> None:
    text = text_table(["class", "n"], [["a", "1"], ["bcdefgh", "10"]], [], [["all", "11"]])
    assert text.splitlines() == [
        "class     n",
        "-------  --",
        "a         1",
        "bcdefgh  10",
        "-------  --",
        "all      11",
    ]


def test_csv_reads_back() -> None:
    rows = [["glioma, left", 'say "so"', 1], [None, "é", 2.5]]
    read = list(csv.reader(io.StringIO(csv_text(["a", "b", "c"], rows))))
    assert read == [["a", "b", "c"], ["glioma, left", 'say "so"', "1"], ["", "é", "2.5"]]
