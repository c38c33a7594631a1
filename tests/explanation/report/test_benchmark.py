"""Text tables, sentences and rows of a benchmark."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from fakd_jax.explanation.benchmark.summary import ALL, summarise
from fakd_jax.explanation.report.benchmark import (
    WIDTH,
    benchmark_csv,
    benchmark_table,
    class_tables,
    sanity_sentences,
    verdict_sentences,
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
    assert benchmark_table(report).split("\n\n")[2] == (
        "method  images         deletion ↓\n"
        "------  ------  -----------------\n"
        "lime        12  0.25\n"
        "rise        12  0.20 [0.16, 0.24]\n"
        "------  ------  -----------------\n"
        "edges        3  0.75"
    )


def test_the_text_has_all_groups_and_notes_and_fits_a_terminal(typical: dict[str, Any]) -> None:
    text = benchmark_table(typical)
    for heading in ("Stability", "Faithfulness", "Sanity", "Localisation", "Background"):
        assert f"\n{heading}: " in text
    assert text.count("note: ") == len(typical["notes"])
    assert "Not measured" not in text
    for text in (benchmark_table(typical), class_tables(typical)):
        assert max(map(len, text.splitlines())) <= WIDTH
        assert text.endswith("\n")


def test_unmeasured_metrics_are_named() -> None:
    text = benchmark_table(summarise(typical_cells(12, localised=False), METHODS, CONTROLS))
    assert "Localisation: " not in text
    assert "Not measured: pointing game, Dice, evidence in lesion\n" in text


def test_a_metric_that_a_method_lacks_is_a_dash(typical: dict[str, Any]) -> None:
    block = benchmark_table(typical).split("Sanity: ")[1]
    (random,) = (line for line in block.splitlines()[:20] if line.startswith("random"))
    assert random.split()[:3] == ["random", "0–40", "–"]


def test_every_class_has_its_tables(typical: dict[str, Any]) -> None:
    parts = class_tables(typical).split("Images explained for ")[1:]
    assert [part.split("\n")[0] for part in parts] == list(CLASSES)
    row = next(row for row in typical["rows"] if row["class"] == "notumor")
    assert f"{row['metrics']['deletion']['mean']:.2f}" in parts[2]


def test_metrics_with_equal_verdicts_share_a_sentence() -> None:
    def row(metric: str, control: str, verdict: str | None, n: int = 30) -> dict[str, Any]:
        names = {"method": "lime", "metric": metric, "control": control}
        return {**names, "verdict": verdict, "n": n}

    rows = [
        *(
            row(metric, control, "better")
            for metric in ("deletion", "insertion")
            for control in "ab"
        ),
        *(row(metric, "c", "indistinguishable") for metric in ("deletion", "insertion")),
        row("dependence", "a", None, n=0),
        row("dependence", "b", "worse"),
        row("dice", "a", None, n=0),
        row("pointing", "b", None, n=4),
        row("gap", "b", "worse") | {"method": "rise"},
    ]
    assert verdict_sentences({"verdicts": rows}, "lime") == [
        "deletion, insertion: better than a and b; indistinguishable from c",
        "dependence on weights: worse than b; not comparable with a",
        "pointing game: not comparable with b",
    ]


def test_sanity_sentences_list_methods_by_outcome() -> None:
    rows = [
        ("lime", True, 0.9),
        ("grad-cam", None, 0.7),
        ("rise", True, 0.8),
        ("edges", False, 0.0),
    ]
    report = {
        "controls": ["edges"],
        "sanity": [
            {"method": method, "passes": passes, "dependence": dependence, "ci95": None}
            for method, passes, dependence in rows
        ],
    }
    passed, failed, unmeasured = (sentence.split(": ") for sentence in sanity_sentences(report))
    assert (passed[1], failed[1], unmeasured[1]) == ("lime, rise", "edges (control)", "grad-cam")


def test_the_csv_has_one_row_per_method_class_and_metric(typical: dict[str, Any]) -> None:
    rows = list(csv.DictReader(io.StringIO(benchmark_csv(typical))))
    assert len(rows) == 10 * 5 * 13
    by_key = {(row["method"], row["class"], row["metric"]): row for row in rows}
    value = typical["rows"][0]["metrics"]["rank_correlation"]
    first = by_key["lime", ALL, "rank_correlation"]
    assert [float(first[key]) for key in ("mean", "low", "high", "n")] == [
        *(value["mean"], *value["ci95"], value["n"])
    ]
    assert (first["better"], first["control"]) == ("higher", "False")
    undefined = by_key["random", "glioma", "dependence"]
    assert [undefined[key] for key in ("control", "mean", "low", "high", "n")] == [
        *("True", "", "", "", "0")
    ]
