"""The time that a study will still take."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from fakd_jax.reporting.numbers import duration
from fakd_jax.study.cells import Cell
from fakd_jax.study.results import CellResult


def time_left(remaining: Sequence[Cell], finished: Sequence[CellResult]) -> str:
    """An estimate in words: each remaining cell takes what those of its method took, else the mean.

    Args:
      remaining: cells still to run, the current one included.
      finished: results of the others.
    """
    if not finished:
        return "time left unknown until a cell has finished"
    any_method = fmean(result.seconds for result in finished)
    by_method: dict[str, list[float]] = {}
    for result in finished:
        by_method.setdefault(result.cell.method, []).append(result.seconds)
    seconds = sum(fmean(by_method.get(cell.method, [any_method])) for cell in remaining)
    return f"about {duration(seconds)} left"
