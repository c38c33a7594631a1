"""How the gallery writes figures."""

from __future__ import annotations

from collections.abc import Sequence

from fakd_jax.reporting.markup import Inline, lines

DASH = "–"


def decimal(value: float | None, *, signed: bool = False) -> str:
    """A figure with two decimals, the minus as long as a plus; a dash for None.

    >>> decimal(0.126), decimal(-0.2), decimal(0.126, signed=True), decimal(None)
    ('0.13', '−0.20', '+0.13', '–')
    """
    if value is None:
        return DASH
    # Adding 0 after rounding leaves no "-0.00".
    return format(round(value, 2) + 0.0, "+.2f" if signed else ".2f").replace("-", "−")


def estimate(
    value: float | None, interval: Sequence[float] | None, *, signed: bool = False
) -> Inline:
    """A figure, below it its interval where it has one."""
    figure = decimal(value, signed=signed)
    if interval is None:
        return figure
    low, high = (decimal(end, signed=signed) for end in interval)
    return lines(figure, f"[{low}, {high}]")


def whole_percent(share: float) -> str:
    r"""A share in whole per cent.

    >>> whole_percent(0.347)
    '35\xa0%'
    """
    return f"{100 * share:.0f}\u00a0%"
