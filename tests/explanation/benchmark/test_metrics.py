"""The list of measures: groups, directions and which of them were measured."""

from __future__ import annotations

from fakd_jax.explanation.benchmark.metrics import BY_KEY, GROUPS, MEASURES, measured


def test_every_group_has_measures_that_stand_together_in_its_order() -> None:
    groups = [measure.group for measure in MEASURES]
    assert list(dict.fromkeys(groups)) == list(GROUPS)
    assert groups == sorted(groups, key=list(GROUPS).index)


def test_less_is_better_of_what_should_vanish() -> None:
    lower = {measure.key for measure in MEASURES if measure.better == "lower"}
    assert lower == {"deletion", "randomised_correlation", "background"}
    assert {BY_KEY[key].sign for key in lower} == {-1}
    assert {measure.sign for measure in MEASURES if measure.key not in lower} == {1}


def test_every_measure_has_a_name_of_its_own() -> None:
    assert len({measure.name for measure in MEASURES}) == len(MEASURES)


def test_a_measure_counts_as_measured_where_any_row_has_a_value() -> None:
    def row(**counts: int) -> dict:
        return {"measures": {key: {"n": counts.get(key, 0)} for key in BY_KEY}}

    found = measured([row(dice=0), row(dice=3, deletion=1), row(dice=2)])
    assert [measure.key for measure in found] == ["deletion", "dice"]
    assert measured([row()]) == []
