"""Metrics are aligned by image; contradictory cells are refused."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.explanation.benchmark.observations import observe
from tests.explanation.benchmark.benchmark_cells import cell


def test_values_are_aligned_by_image_whatever_the_order_of_the_cells() -> None:
    cells = [
        cell("b", "lime", "notumor", deletion=0.2, dice=None),
        cell("a", "edges", deletion=0.9),
        cell("a", "lime", deletion=0.1, dice=0.5),
        cell("c", "rise", deletion=0.3),
    ]
    for order in (cells, cells[::-1]):
        observed = observe(order, ["lime", "edges"])
        assert observed.ids == ["a", "b"]
        assert observed.classes.tolist() == ["glioma", "notumor"]
        np.testing.assert_array_equal(observed.values["lime", "deletion"], [0.1, 0.2])
        np.testing.assert_array_equal(observed.values["lime", "dice"], [0.5, np.nan])
        np.testing.assert_array_equal(observed.values["edges", "deletion"], [0.9, np.nan])
        np.testing.assert_array_equal(observed.explained["edges"], [True, False])


def test_a_metric_that_a_cell_lacks_is_undefined() -> None:
    observed = observe([cell("b", "lime") | {"metrics": {"gap": 0.4}}], ["lime"])
    np.testing.assert_array_equal(observed.values["lime", "gap"], [0.4])
    np.testing.assert_array_equal(observed.values["lime", "deletion"], [np.nan])


def test_contradictory_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="a has two cells of lime"):
        observe([cell("a", "lime"), cell("a", "lime")], ["lime"])
    cells = [cell("a", "lime", "glioma"), cell("a", "edges", "notumor")]
    with pytest.raises(ValueError, match="a is explained for glioma and for notumor"):
        observe(cells, ["lime", "edges"])
