"""Which conditions are tested, in which order."""

from __future__ import annotations

import pytest

from fakd_jax.errors import UserError
from fakd_jax.stress.conditions import Condition, choose_families, make_conditions
from tests.stress.examples import FAMILIES


def test_conditions_start_with_the_images_as_they_are_and_go_family_by_family() -> None:
    made = make_conditions(FAMILIES, (5, 2, 5))
    assert [condition.name for condition in made] == [
        *("clean", "dark-2", "dark-5", "noise-2", "noise-5")
    ]
    assert made[3] == Condition("noise", 2, "artefacts", 0.04)


def test_families_keep_their_order_and_unknown_ones_are_refused() -> None:
    assert list(choose_families(FAMILIES, ())) == ["dark", "noise"]
    assert list(choose_families(FAMILIES, ("noise", "dark"))) == ["dark", "noise"]
    assert list(choose_families(FAMILIES, ("noise",))) == ["noise"]
    with pytest.raises(UserError, match=r"fog; known: dark, noise"):
        choose_families(FAMILIES, ("dark", "fog"))


@pytest.mark.parametrize("severities", [(), (0, 1), (6,)])
def test_severities_out_of_range_are_refused(severities: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="1, 2, 3, 4, 5"):
        make_conditions(FAMILIES, severities)
