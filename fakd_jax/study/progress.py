"""How long a study will still take, from what its finished cells took."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from fakd_jax.study.cells import Cell
from fakd_jax.study.results import CellResult


def seconds_left(remaining: Sequence[Cell], finished: Sequence[CellResult]) -> float | None:
    """What the remaining cells will take: as finished ones of their method, else as any.

    Args:
      remaining: cells still to run, the current one included.
      finished: cells that have ended.

    Returns:
      Seconds; None while no cell has ended.
    """
    if not finished:
        return None
    any_method = fmean(result.seconds for result in finished)
    by_method: dict[str, list[float]] = {}
    for result in finished:
        by_method.setdefault(result.cell.method, []).append(result.seconds)
    return sum(fmean(by_method.get(cell.method, [any_method])) for cell in remaining)


def time_left(seconds: float | None) -> str:
    """In words: 'about 12 min left'."""
    if seconds is None:
        return "time left unknown until a cell has ended"
    if seconds < 90:
        return f"about {seconds:.0f} s left"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min left"
    return f"about {seconds / 3600:.1f} h left"
