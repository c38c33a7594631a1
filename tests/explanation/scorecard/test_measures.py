"""The list of measures is whole: what readers are told of one is there for each."""

from __future__ import annotations

from fakd_jax.explanation.scorecard.measures import BY_KEY, GROUPS, MEASURES, measured


def test_the_measures_are_those_that_cells_hold() -> None:
    assert list(BY_KEY) == [
        "rank_correlation",
        "jaccard",
        "sign_agreement",
        "deletion",
        "insertion",
        "gap",
        "local_fidelity",
        "dependence",
        "randomised_correlation",
        "pointing",
        "dice",
        "mass_in_mask",
        "background",
    ]


def test_every_group_has_measures_that_stand_together_in_its_order() -> None:
    groups = [measure.group for measure in MEASURES]
    assert list(dict.fromkeys(groups)) == list(GROUPS)
    assert groups == sorted(groups, key=list(GROUPS).index)


def test_less_is_better_of_what_should_vanish() -> None:
    lower = {measure.key for measure in MEASURES if measure.better == "lower"}
    assert lower == {"deletion", "randomised_correlation", "background"}
    assert {BY_KEY[key].sign for key in lower} == {-1}
    assert {measure.sign for measure in MEASURES if measure.key not in lower} == {1}


def test_names_and_meanings_are_one_each_and_meanings_are_sentences() -> None:
    assert len({measure.name for measure in MEASURES}) == len(MEASURES)
    assert len({measure.meaning for measure in MEASURES}) == len(MEASURES)
    for measure in MEASURES:
        assert measure.meaning[0].isupper()
        assert measure.meaning.endswith(".")


def test_ranges_are_closed_but_for_dependence_which_may_fall_to_any_depth() -> None:
    assert [measure.key for measure in MEASURES if measure.low is None] == ["dependence"]
    assert all(measure.high == 1 for measure in MEASURES)
    signed = [measure.key for measure in MEASURES if measure.low == -1]
    assert signed == ["rank_correlation", "gap", "randomised_correlation"]


def test_a_measure_counts_as_measured_where_any_row_has_a_value() -> None:
    def row(**counts: int) -> dict:
        return {"measures": {key: {"n": counts.get(key, 0)} for key in BY_KEY}}

    found = measured([row(dice=0), row(dice=3, deletion=1), row(dice=2)])
    assert [measure.key for measure in found] == ["deletion", "dice"]
    assert measured([row()]) == []
