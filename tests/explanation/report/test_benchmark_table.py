"""The text says what was measured, within the width of a terminal; the CSV holds every mean."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from fakd_jax.explanation.benchmark.summary import ALL, summarise
from fakd_jax.explanation.report.benchmark_table import (
    WIDTH,
    benchmark_rows,
    benchmark_table,
    class_tables,
)
from tests.explanation.benchmark.benchmark_cells import (
    CLASSES,
    CONTROLS,
    METHODS,
    cells_of,
    typical_cells,
)


@pytest.fixture(scope="module")
def typical() -> dict[str, Any]:
    return summarise(typical_cells(), METHODS, CONTROLS)


def test_the_means_of_a_small_benchmark_to_the_letter() -> None:
    cells = [
        *cells_of("lime", "deletion", [0.25] * 12),
        *cells_of("rise", "deletion", [0.1, 0.2, 0.3] * 4),
        *cells_of("edges", "deletion", [0.75] * 3),
    ]
    report = summarise(cells, ["lime", "rise"], ["edges"])
    assert benchmark_table(report).split("\n\n")[1:3] == [
        "Faithfulness: does the network use what is shown?",
        "method  images         deletion ↓\n"
        "------  ------  -----------------\n"
        "lime        12  0.25\n"
        "rise        12  0.20 [0.16, 0.24]\n"
        "------  ------  -----------------\n"
        "edges        3  0.75",
    ]


def test_no_line_is_wider_than_a_terminal(typical: dict[str, Any]) -> None:
    for text in (benchmark_table(typical), class_tables(typical)):
        assert max(map(len, text.splitlines())) <= WIDTH
        assert text.endswith("\n")


def test_groups_verdicts_sanity_and_notes_are_all_there(typical: dict[str, Any]) -> None:
    text = benchmark_table(typical)
    for heading in ("Stability", "Faithfulness", "Sanity", "Localisation", "Background"):
        assert f"\n{heading}: " in text
    unwrapped = " ".join(text.split())
    assert "pointing game: better than random and edges; not told apart from centre" in unwrapped
    assert "learnt nothing: integrated-gradients, centre (a control), edges" in unwrapped
    assert text.count("note: ") == len(typical["notes"])
    assert "Not measured" not in text


def test_what_was_not_measured_has_no_block_and_is_named() -> None:
    text = benchmark_table(summarise(typical_cells(12, localised=False), METHODS, CONTROLS))
    assert "Localisation: " not in text
    assert "Not measured: pointing game, Dice, evidence in lesion\n" in text


def test_a_measure_that_only_some_methods_have_shows_a_dash(typical: dict[str, Any]) -> None:
    block = benchmark_table(typical).split("Sanity: ")[1]
    (random,) = (line for line in block.splitlines()[:20] if line.startswith("random"))
    assert random.split()[:3] == ["random", "0–40", "–"]


def test_every_class_has_its_tables(typical: dict[str, Any]) -> None:
    text = class_tables(typical)
    parts = text.split("Images explained for ")[1:]
    assert [part.split("\n")[0] for part in parts] == list(CLASSES)
    row = next(row for row in typical["rows"] if row["class"] == "notumor")
    assert f"{row['measures']['deletion']['mean']:.2f}" in parts[2]


def test_the_csv_holds_a_row_a_method_class_and_measure(typical: dict[str, Any]) -> None:
    rows = list(csv.DictReader(io.StringIO(benchmark_rows(typical))))
    assert len(rows) == 10 * 5 * 13
    by_key = {(row["method"], row["class"], row["measure"]): row for row in rows}
    figure = typical["rows"][0]["measures"]["rank_correlation"]
    first = by_key["lime", ALL, "rank_correlation"]
    assert [float(first[key]) for key in ("mean", "low", "high", "n")] == [
        figure["mean"],
        *figure["ci95"],
        figure["n"],
    ]
    assert first["better"] == "higher"
    assert first["control"] == "False"
    undefined = by_key["random", "glioma", "dependence"]
    assert [undefined[key] for key in ("control", "mean", "low", "high", "n")] == [
        "True",
        "",
        "",
        "",
        "0",
    ]
