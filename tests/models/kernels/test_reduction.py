"""Sums taken together against NumPy's, for every way of cutting a row into pieces."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fakd_jax.models.kernels.reduction import sum_together


@given(
    operands=st.integers(1, 26),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 30), st.integers(1, 5)),
    seed=st.integers(0, 2**32 - 1),
)
@example(operands=2, shape=(2, 3, 56, 4), seed=0)  # pieces of 14
@example(operands=9, shape=(2, 3, 56, 4), seed=0)  # pieces of 8
@example(operands=25, shape=(2, 3, 28, 4), seed=0)  # in three loops, pieces of 7
@example(operands=2, shape=(2, 3, 29, 4), seed=0)  # a prime: whole rows
@settings(max_examples=3, derandomize=True)
def test_sums_taken_together_are_the_sums(operands: int, shape: tuple[int, ...], seed: int) -> None:
    arrays = np.random.default_rng(seed).standard_normal((operands, *shape))
    with jax.enable_x64(True):
        sums = jax.jit(sum_together)([jnp.asarray(array) for array in arrays])
    for one, array in zip(sums, arrays, strict=True):
        np.testing.assert_allclose(one, array.sum((0, 1, 2)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("platform", "in_pieces"), [("cpu", True), ("cuda", False)])
def test_only_cpu_sums_in_pieces(platform: str, in_pieces: bool) -> None:
    traced = jax.jit(sum_together).trace([jnp.ones((2, 4, 28, 3))] * 2)
    program = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("2x4x2x14x3" in program) is in_pieces
