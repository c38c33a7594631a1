"""The exact test over all seeds, by hand and by enumeration; rows of pairs of methods."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakd_jax.configs.study import get_config
from fakd_jax.errors import UserError
from fakd_jax.study.cells import open_study
from fakd_jax.study.differences import pooled_sign_flip_p
from fakd_jax.study.summary import summarise
from tests.study.conftest import STRESS


def study(**keys):
    config = get_config("phantom")
    config.study.update({"seeds": (0, 1), "methods": ("teacher", "student", "kd")} | keys)
    return open_study(config, Path("/study"))


def row(report, method, reference):
    (found,) = [
        row
        for row in report["differences"]
        if (row["method"], row["reference"]) == (method, reference)
    ]
    return found


def test_an_image_that_two_seeds_share_counts_once():
    """Sums 2, 1 and 0: 2 of 4 signs reach 3. As three images of their own it were 2 of 8."""
    gains = [{"a": 1, "b": 1, "c": 0}, {"a": 1, "b": 0, "c": 0}]
    assert pooled_sign_flip_p(gains, [{}, {}]) == pytest.approx(2 / 4)
    # A seed that contradicts the other cancels it.
    assert pooled_sign_flip_p([{"a": 1, "b": 1}, {"a": -1, "b": -1}], [{}, {}]) == 1.0


def test_duplicates_change_sides_together_under_all_seeds():
    gains = [{"a": 1, "b": 1, "c": 1, "d": 1}, {"a": 1, "b": 0, "c": 1, "d": 0}]
    pairs = {"a": "7", "b": "7", "c": "8", "d": "8"}
    # Two units of 3: 2 of 4 signs reach 6.
    assert pooled_sign_flip_p(gains, [pairs, pairs]) == pytest.approx(2 / 4)
    # Four units of 2, 1, 2, 1: 2 of 16.
    assert pooled_sign_flip_p(gains, [{}, {}]) == pytest.approx(2 / 16)


def test_seeds_with_other_test_images_are_summed_where_an_image_is_tested():
    """a, b and c are one unit, of 3: b is a duplicate of a under one seed, of c under the other."""
    gains = [{"a": 1, "b": 1}, {"b": 0, "c": 1, "d": 1}]
    groups = [{"a": "1", "b": "1"}, {"b": "9", "c": "9"}]
    assert pooled_sign_flip_p(gains, groups) == pytest.approx(2 / 4)
    # Equal numbers of other groups do not make a and d duplicates: units of 1, 1, 1 and 1.
    apart = [{"a": "1", "x": "1"}, {"d": "1"}]
    assert pooled_sign_flip_p([{"a": 1, "b": 1}, {"c": 1, "d": 1}], apart) == pytest.approx(2 / 16)


def test_it_is_the_share_of_all_signs_of_groups():
    random = np.random.default_rng(0)
    for _ in range(20):
        ids = [f"{number}.png" for number in range(12)]
        groups = {id: str(random.integers(7)) for id in ids}
        gains = [dict(zip(ids, random.integers(-1, 2, 12).tolist(), strict=True)) for _ in range(3)]
        sums = [
            sum(gain[id] for gain in gains for id in ids if groups[id] == group)
            for group in sorted(set(groups.values()))
        ]
        flipped = [
            abs(np.dot(signs, sums)) >= abs(sum(sums))
            for signs in itertools.product((-1, 1), repeat=len(sums))
        ]
        assert pooled_sign_flip_p(gains, [groups] * 3) == pytest.approx(np.mean(flipped))


def test_without_a_seed_there_is_no_test():
    assert pooled_sign_flip_p([], []) is None


def test_a_pair_of_its_own_is_compared_beside_the_baseline(make_result):
    right = {"teacher": ("111", "111"), "student": ("000", "001"), "kd": ("110", "011")}
    results = [
        make_result(method, seed, rights[seed])
        for method, rights in right.items()
        for seed in (0, 1)
    ]
    plain = summarise(study(), results)
    report = summarise(study(comparisons=("kd:teacher", "kd:student")), results)
    pairs = [(row["method"], row["reference"]) for row in report["differences"]]
    assert pairs == [("teacher", "student"), ("kd", "student"), ("kd", "teacher")]
    assert report["differences"][:2] == plain["differences"]
    # Sums over the seeds: 1, 2 and 0; then -1, 0 and -1.
    assert row(report, "kd", "student")["sign_flip_p"] == pytest.approx(2 / 4)
    of_teacher = row(report, "kd", "teacher")
    assert of_teacher["sign_flip_p"] == pytest.approx(2 / 4)
    assert of_teacher["metrics"]["accuracy"]["mean"] == pytest.approx(-1 / 3)
    assert [test["only_baseline_right"] for test in of_teacher["mcnemar"]] == [1, 1]
    assert "stress_sign_flip_p" not in of_teacher


def test_a_pair_of_methods_that_do_not_run_is_left_out_with_a_note(make_result):
    results = [make_result(method, 0, "10") for method in ("teacher", "student")]
    made = study(methods=("teacher", "student"), comparisons=("kd:teacher",))
    report = summarise(made, results)
    assert [row["method"] for row in report["differences"]] == ["teacher"]
    assert any("kd" in note and "teacher" in note for note in report["notes"])


@pytest.fixture
def stressed(make_result):
    return [
        make_result(method, seed, "11", stress=digits[seed])
        for method, digits in {"student": ("20", "31"), "kd": ("43", "40")}.items()
        for seed in (0, 1)
    ]


def test_under_shifts_an_image_changes_sides_with_all_conditions_and_seeds(stressed):
    report = summarise(study(stress=STRESS), stressed)
    found = row(report, "kd", "student")
    # Gains 2 and 3, then 1 and -1: sums 3 and 2.
    assert found["stress_sign_flip_p"] == pytest.approx(2 / 4)
    assert found["sign_flip_p"] == 1.0
    accuracy = found["metrics"]["stress_accuracy"]
    assert accuracy["mean"] == pytest.approx(((7 - 2) / 8 + (4 - 4) / 8) / 2)
    (first, *_) = report["cells"]
    assert (first["stress_accuracy"], first["stress_worst_family"]) == (2 / 8, "blur")
    assert row(report, "teacher", "student")["stress_sign_flip_p"] is None


def test_other_shifts_are_not_compared(stressed):
    last = stressed[-1]
    images = {id: image._replace(conditions=2) for id, image in last.stress.images.items()}
    changed = replace(last, stress=replace(last.stress, images=images))
    with pytest.raises(UserError, match="different shifts"):
        summarise(study(stress=STRESS), [*stressed[:-1], changed])
