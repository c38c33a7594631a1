"""The metrics of a study from those of its cells, by hand and against SciPy."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import scipy.stats

from fakd_jax.configs.study import get_config
from fakd_jax.errors import UserError
from fakd_jax.study.cells import Cell, open_study
from fakd_jax.study.summary import summarise

RIGHT = {  # of ten test images, by method and seed
    ("teacher", 0): "1111111110",
    ("teacher", 1): "1111111100",
    ("student", 0): "1111100000",
    ("student", 1): "1111110000",
    ("kd", 0): "1111110000",
    ("kd", 1): "0000001111",
}


def study(**keys):
    config = get_config("phantom")
    config.study.update({"seeds": (0, 1), "methods": ("teacher", "student", "kd")} | keys)
    return open_study(config, Path("/study"))


@pytest.fixture
def results(make_result):
    return [make_result(method, seed, right) for (method, seed), right in RIGHT.items()]


def row(report, group, method):
    (found,) = [row for row in report[group] if row["method"] == method]
    return found


def test_means_over_seeds_by_hand(results):
    accuracy = row(summarise(study(), results), "summary", "student")["metrics"]["accuracy"]
    assert accuracy["mean"] == pytest.approx(0.55)
    assert accuracy["sd"] == pytest.approx(0.1 / math.sqrt(2))
    # 12.7 * 0.0707 / √2 = 0.635 on either side, cut at 0 and 1 where no share can lie.
    assert accuracy["ci95"] == [0.0, 1.0]


def test_differences_are_paired_by_seed(results):
    found = row(summarise(study(), results), "differences", "kd")
    accuracy = found["metrics"]["accuracy"]
    # 0.6 - 0.5 and 0.4 - 0.6
    assert accuracy["mean"] == pytest.approx(-0.05)
    assert accuracy["sd"] == pytest.approx(0.3 / math.sqrt(2))
    assert accuracy["p"] == pytest.approx(scipy.stats.ttest_rel([0.6, 0.4], [0.5, 0.6]).pvalue)
    assert found["seeds"] == [0, 1]


def test_mcnemar_counts_the_images_that_one_of_two_gets_right(results):
    first, second = row(summarise(study(), results), "differences", "kd")["mcnemar"]
    assert (first["only_this_right"], first["only_baseline_right"]) == (1, 0)
    assert first["p"] == pytest.approx(1.0)
    assert (second["only_this_right"], second["only_baseline_right"]) == (4, 6)
    assert second["p"] == pytest.approx(scipy.stats.binomtest(4, 10).pvalue)
    assert second["sign_flip_p"] == second["p"]


def test_duplicates_change_sides_together(make_result):
    """All of five images right only with one method: p = 2 / 2**5, but they are two slices."""
    groups = {f"None/{place}.png": "7" if place < 3 else "8" for place in range(5)}
    cells = [
        replace(make_result(method, seed, right), groups=groups)
        for method, right in (("kd", "11111"), ("student", "00000"))
        for seed in (0, 1)
    ]
    tests = row(summarise(study(), cells), "differences", "kd")["mcnemar"]
    assert [(test["p"], test["sign_flip_p"]) for test in tests] == [(2 / 32, 2 / 4)] * 2


def test_an_unfinished_study_reports_what_it_has(results):
    kept = [result for result in results if (result.cell.method, result.cell.seed) != ("kd", 0)]
    report = summarise(study(), kept, {Cell("official", 0, "kd"): "its loss was infinite"})
    (missing,) = report["missing"]
    cell = {"split": "official", "seed": 0, "method": "kd", "fold": None}
    assert missing == cell | {"reason": "its loss was infinite"}
    assert "official, seed 0, kd failed: its loss was infinite" in report["notes"]
    assert row(report, "summary", "kd")["seeds"] == [1]
    found = row(report, "differences", "kd")
    assert found["seeds"] == [1]
    undefined = {"sd": None, "ci95": None, "p": None}
    assert found["metrics"]["accuracy"] == {"n": 1, "mean": pytest.approx(-0.2)} | undefined
    assert "1 of 6 cells are missing" in report["notes"]


def test_a_study_without_a_finished_cell():
    report = summarise(study(), [])
    assert report["cells"] == []
    assert len(report["missing"]) == 6
    assert row(report, "summary", "kd")["metrics"]["accuracy"] is None
    assert row(report, "differences", "kd")["metrics"]["accuracy"] is None
    assert "no method has finished a seed yet" in report["notes"]


def test_what_is_undefined_is_none(make_result):
    results = [make_result(method, 0, "10", missed=None) for method in ("student", "kd")]
    report = summarise(study(seeds=(0,)), results)
    for group in ("summary", "differences"):
        assert row(report, group, "kd")["metrics"]["missed_tumour_rate"] is None
    json.dumps(report, allow_nan=False)


def test_other_test_images_are_not_compared(make_result):
    results = [make_result("student", 0, "10"), make_result("kd", 0, "101")]
    with pytest.raises(UserError, match="different images"):
        summarise(study(), results)


def test_without_the_baseline_there_are_no_differences(results):
    report = summarise(study(methods=("teacher", "kd")), results[:2] + results[4:])
    assert report["differences"] == []
    assert "baseline student is not among" in "\n".join(report["notes"])


def test_notes_name_the_methods_that_the_seeds_do_not_distinguish(make_result):
    seeds = (0, 1, 2)
    right = {"student": (50, 52, 51), "teacher": (80, 83, 82), "kd": (55, 50, 51)}
    results = [
        make_result(method, seed, "1" * count + "0" * (100 - count))
        for method, counts in right.items()
        for seed, count in zip(seeds, counts, strict=True)
    ]
    notes = "\n".join(summarise(study(seeds=seeds), results)["notes"])
    low, high = scipy.stats.t.interval(0.95, 2, loc=1, scale=scipy.stats.sem([5, -2, 0]))
    assert f"do not distinguish kd (± {(high - low) / 2:.1f} points) from" in notes
    p = scipy.stats.ttest_1samp([30, 31, 31], 0).pvalue
    assert f"the seeds distinguish teacher (p = {p:.2g}) from student" in notes
    assert "2 degrees of freedom (mean ± 4.30 sd / √3)" in notes


@pytest.mark.parametrize(
    ("seeds", "rights", "same", "note"),
    [
        ((0,), ("10",), True, "one seed: no spread"),
        ((0, 1), ("10", "10"), True, "a group of images counts once"),
        ((0, 1), ("11", "111"), False, "draws its own test images"),
    ],
)
def test_a_note_on_the_number_of_seeds_and_their_test_images(
    make_result, seeds, rights, same, note
):
    results = [
        make_result(method, seed, rights[seed]) for method in ("student", "kd") for seed in seeds
    ]
    report = summarise(study(seeds=seeds), results)
    assert report["same_test_images"] == {"official": same}
    assert note in "\n".join(report["notes"])
