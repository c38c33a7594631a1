"""The files of a stress test: what is marked, what is unknown, one CSV row per condition."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import numpy as np
import pytest

from fakd_jax.reporting.images import png_bytes
from fakd_jax.stress.examples import Example, Shown, typical_image
from fakd_jax.stress.figure import plot_stress
from fakd_jax.stress.measure import Measured
from fakd_jax.stress.report import describe_conditions, describe_network
from fakd_jax.stress.summary import compare
from fakd_jax.stress.write import stress_csv, stress_page, summary_rows, summary_table
from tests.evaluation.example_metrics import example_metrics
from tests.evaluation.predictions import predictions_of
from tests.stress.examples import FAMILIES, measured
from tests.stress.test_measure import CLASSES, LABELS, RIGHT

VALIDATION = predictions_of(np.random.default_rng(1).normal(size=(40, 3)), np.arange(40) % 3)


def report_of(network: Measured, other: Measured | None) -> dict[str, Any]:
    known = {"notes": ["a <note>"], "provenance": example_metrics()["provenance"]}
    return {
        "seed": 0,
        **describe_conditions(network, FAMILIES),
        **describe_network(network),
        **known,
        "other": other and describe_network(other) | known,
        "comparison": other and compare(network, other),
    }


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return report_of(measured(CLASSES, LABELS), None)


@pytest.fixture(scope="module")
def compared() -> dict[str, Any]:
    network = measured(CLASSES, LABELS, validation=VALIDATION)
    return report_of(network, measured([RIGHT] * 5, LABELS, validation=VALIDATION))


def page_of(report: dict[str, Any]) -> str:
    network = measured(CLASSES, LABELS)
    picture = np.zeros((8, 8, 3), np.uint8)
    clean, *shifted = network.stressed.predictions
    strips = {
        name: [
            Shown(condition, picture, "notumor", 0.75, condition.severity == 1)
            for condition in shifted
            if condition.family == name
        ]
        for name in FAMILIES
    }
    example = Example(
        "Testing/<0>.png", "glioma", Shown(clean, picture, "glioma", 1.0, True), strips
    )
    return stress_page(report, png_bytes(picture), example)


def test_the_page_marks_the_worst_family_at_each_severity(alone: dict[str, Any]) -> None:
    page = page_of(alone)
    marked = re.findall(r"<strong>([\d.]+) ◂</strong>", page)
    assert marked == ["83.3", "33.3"]  # dark at severity 1, noise at 3
    assert page.count('<span class="wrong">notumor</span>') == 2
    assert "Comparison with another network" not in page
    assert "No temperature and no threshold are known" in page
    assert "a &lt;note&gt;" in page
    assert "Testing/&lt;0&gt;.png" in page


def test_the_page_compares_two_networks(compared: dict[str, Any]) -> None:
    page = page_of(compared)
    section = page[page.index('id="comparison-with-another-network"') :]
    assert "−33.33" in section[: section.index("</section>")]
    assert "abstained" in page
    assert "No temperature" not in page
    assert "mean of severities 1 to 3" not in page  # severities 1 and 3 alone: that of all shifts


@pytest.mark.parametrize("with_other", [False, True])
def test_the_csv_has_one_row_per_condition(
    with_other: bool, alone: dict[str, Any], compared: dict[str, Any]
) -> None:
    report = compared if with_other else alone
    rows = list(csv.DictReader(io.StringIO(stress_csv(report))))
    assert [(row["family"], row["severity"]) for row in rows] == [
        *(("clean", "0"), ("dark", "1"), ("dark", "3"), ("noise", "1"), ("noise", "3"))
    ]
    assert float(rows[1]["accuracy"]) == pytest.approx(5 / 6)
    assert (rows[1]["missed_tumour_count"], rows[1]["missed_tumour_n"]) == ("1", "4")
    assert (rows[1]["calibrated_ece"] == "") is not with_other
    assert ("difference" in rows[0]) is with_other
    if with_other:
        assert float(rows[4]["difference"]) == pytest.approx(2 / 6 - 1)
        assert float(rows[4]["other_accuracy"]) == 1


def test_the_terminal_names_the_worst(compared: dict[str, Any]) -> None:
    table = summary_table(compared)
    assert "worst at severity 3: noise" in table
    assert "−33.33" in table


def test_the_summary_repeats_no_row(alone: dict[str, Any]) -> None:
    names = [name for name, _ in summary_rows(alone)]
    assert names[:2] == ["images as they are", "mean of all shifts"]  # severities 1 and 3 alone
    assert names[-1] == "worst at severity 3: noise"  # and the worst of all
    wider = [name for name, _ in summary_rows(alone | {"severities": [1, 3, 5]})]
    assert wider[:3] == [*names[:2], "mean of severities 1 to 3"]
    # Another condition is no repetition, whatever its values are.
    other = alone["summary"]["worst"] | {"severity": 1}
    rows = summary_rows(alone | {"summary": alone["summary"] | {"worst": other}})
    assert rows[-1][0] == "worst of all: noise, severity 1"


def test_the_figure_has_a_panel_per_family_and_a_line_per_network(compared: dict[str, Any]) -> None:
    figure = plot_stress(compared)
    panels = [ax for ax in figure.axes if ax.lines]
    assert [ax.get_title() for ax in panels] == ["dark", "noise"]
    first, second = panels[1].lines
    np.testing.assert_allclose(first.get_xdata(), [0, 1, 3])
    np.testing.assert_allclose(first.get_ydata(), [100, 100, 100 * 2 / 6])
    np.testing.assert_allclose(second.get_ydata(), [100, 100, 100])


def test_the_example_fares_as_well_as_the_average_tumour() -> None:
    # Right in 3, 2, 5, 4, 4 and 4 of 5 conditions, on average in 3.67; 2 and 3 are no tumours.
    assert typical_image(measured(CLASSES, LABELS)) == 4
    no_tumour_is_found = [(1,) * 6] * 5
    assert typical_image(measured(no_tumour_is_found, LABELS)) == 0
