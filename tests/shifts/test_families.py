from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.shifts.families import FAMILIES
from tests.shifts import tiny


@pytest.mark.parametrize("name", FAMILIES)
def test_severities_go_from_nothing_to_ever_more(name: str) -> None:
    shifted = tiny.shifted(name)
    assert shifted.dtype == np.float32
    assert shifted.min() >= 0
    assert shifted.max() <= 1
    np.testing.assert_array_equal(shifted[0], tiny.image())
    distances = np.sqrt(np.mean((shifted - tiny.image()) ** 2, axis=(1, 2, 3)))
    assert (np.diff(distances) >= -1e-6).all(), distances
    assert distances[5] > 0.01


def test_amounts_run_through_the_table() -> None:
    gamma = FAMILIES["gamma"]
    assert [gamma.amount(float(s)).item() for s in range(6)] == pytest.approx(
        [gamma.neutral, *gamma.severities]
    )
    assert gamma.amount(2.5).item() == pytest.approx(sum(gamma.severities[1:3]) / 2)
