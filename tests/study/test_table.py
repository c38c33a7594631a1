"""The table as text and the cells as CSV."""

import csv
import io

from fakd_jax.study.summary import summarise
from fakd_jax.study.table import study_rows, study_table
from tests.study.conftest import STRESS, student_and_kd


def report_of(results):
    return summarise(student_and_kd(), results)


def line(text, start):
    return next(line for line in text.splitlines() if line.startswith(start))


def right(count):
    """The predictions for 100 images, so many of them correct."""
    return "1" * count + "0" * (100 - count)


def test_one_row_per_method_with_mean_spread_and_interval(make_result):
    results = [make_result("student", seed, right(50 + seed)) for seed in (0, 1)]
    text = study_table(report_of(results))
    # sd 1/√2 = 0.71 points; 12.706 * 0.5 = 6.35 points on either side.
    found = line(text, "student")
    assert found.split()[:2] == ["student", "CE"]
    assert "2 of 2" in found
    assert "50.50 ± 0.71 % [44.15, 56.85]" in found
    assert "25.25 ± 0.35 %" in found
    assert line(text, "kd").split()[-4:] == ["–", "–", "–", "–"]
    assert "note: 2 of 4 cells are missing" in text
    assert "minus student" not in text


def test_differences_in_points_with_their_tests(make_result):
    results = [
        make_result(method, seed, right(count))
        for method, counts in (("student", (50, 50)), ("kd", (52, 64)))
        for seed, count in enumerate(counts)
    ]
    text = study_table(report_of(results))
    found = text[text.index("minus student") :]
    # Differences 2 and 14: mean 8, sd 8.49, half width 12.706 * 6 = 76.2; p = 2/π atan(6/8).
    assert "+8.00 ± 8.49 [−68.24, +84.24]" in found
    assert "0.410" in found
    assert "0: 0.500, 1: <0.001" in found


def stressed_cells(make_result):
    """Of 100 images under four shifts: 50 and 75 % for the student, 75 and 100 % for kd."""
    return [
        make_result(method, seed, right(60), stress=digits[seed] * 100)
        for method, digits in {"student": "23", "kd": "34"}.items()
        for seed in (0, 1)
    ]


def test_accuracies_under_shifts_stand_beside_the_others(make_result):
    report = summarise(student_and_kd(stress=STRESS), stressed_cells(make_result))
    text = study_table(report)
    # sd 25/√2 = 17.7 points; 12.706 * 12.5 = 158.8 on either side, cut at 0 and 100.
    assert "62.50 ± 17.68 % [0.00, 100.00]" in line(text, "student")
    assert "31.25 ± 8.84 %" in line(text, "student")  # the worst family has half of that here
    found = line(text[text.index("minus student") :], "kd")
    # Each image gains 1 under either seed: no spread, and 100 sums of 2.
    assert "+25.00 ± 0.00" in found
    assert "<0.001" in found
    (row, *_) = csv.DictReader(io.StringIO(study_rows(report)))
    assert (row["stress_accuracy"], row["stress_worst_family"]) == ("0.5", "blur")


def test_each_reference_has_a_table_of_its_own(make_result):
    results = [make_result(method, 0, right(60)) for method in ("student", "kd")]
    made = student_and_kd(comparisons=("student:kd",))
    text = study_table(summarise(made, results))
    assert line(text[text.index("minus student") :], "kd").split()[1] == "+0.00"
    assert line(text[text.index("minus kd") :], "student").split()[1] == "+0.00"


def test_csv_has_one_row_per_finished_cell(make_result):
    results = [make_result("student", 0, "10"), make_result("kd", 1, "11", missed=None)]
    rows = list(csv.DictReader(io.StringIO(study_rows(report_of(results)))))
    columns = ("split", "seed", "method", "accuracy", "accuracy_low", "accuracy_high")
    assert [[row[column] for column in (*columns, "missed_tumours")] for row in rows] == [
        ["official", "0", "student", "0.5", "0.25", "0.75", "1"],
        ["official", "1", "kd", "1.0", "0.5", "1.0", ""],
    ]
    assert study_rows(report_of([])).strip() == ""
