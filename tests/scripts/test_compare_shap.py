"""The comparison with the shap package: its games, its refusals and its table, without shap."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from types import ModuleType

import numpy as np
import pytest

from fakd_jax.errors import UserError


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("compare_shap")


def test_ours_are_the_shapley_values_of_a_small_game(script: ModuleType) -> None:
    count, game = 4, script.a_game(4, seed=0)
    orders = list(permutations(range(count)))
    exact = np.zeros(count)
    for order in orders:
        visible = np.tril(np.ones((count + 1, count), bool), -1)[:, np.argsort(order)]
        exact[list(order)] += np.diff(game(visible)) / len(orders)
    np.testing.assert_allclose(script.ours(game, count, 100, seed=0), exact, atol=1e-6)


@pytest.mark.parametrize("number", ["101", "2", "0"])
def test_numbers_of_samples_that_kernel_shap_refuses_are_refused(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    monkeypatch.setattr(script, "find_spec", lambda _: object())
    with pytest.raises(UserError):
        script.main(["--games=1", f"--num-samples={number}"])


def test_both_are_in_the_table(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "find_spec", lambda _: object())
    monkeypatch.setattr(script, "theirs", lambda game, count, *_: np.linspace(0, 1, count))
    script.main(["--games=2", "--num-samples=100"])
    ours, theirs = capsys.readouterr().out.splitlines()[-2:]
    assert ours.startswith("ours")
    assert theirs.startswith("shap")
    assert theirs.count("1.000 ± 0.000") == 2  # the same values with every seed
