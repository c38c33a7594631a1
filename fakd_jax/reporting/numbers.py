"""How numbers are written, in text as in pages: the one place that decides on digits and units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DASH = "–"
"""Stands for a value that is not known."""

Number = float | int | np.number
Interval = Sequence[Number] | None
"""Lower and upper end; None where there is none."""


def percent(
    share: Number | None, interval: Interval = None, *, sd: Number | None = None, digits: int = 2
) -> str:
    """A share as a percentage, with its standard deviation and interval where given.

    >>> percent(0.99466, (0.98902, 0.99741)), percent(0.5, digits=0), percent(None)
    ('99.47 % [98.90, 99.74]', '50 %', '–')
    >>> percent(0.59, (0.5021, 0.6779), sd=0.012)
    '59.00 ± 1.20 % [50.21, 67.79]'
    """
    if share is None:
        return DASH
    value = _with_spread(f"{100 * share:.{digits}f}", sd, digits)
    return f"{value} %{_brackets(interval, digits, scale=100)}"


def percent_interval(interval: Interval, *, digits: int = 2) -> str:
    """An interval of a share, without the share.

    >>> percent_interval((0.98902, 0.99741))
    '[98.90, 99.74]'
    """
    return _brackets(interval, digits, scale=100).strip() or DASH


def probability(value: Number) -> str:
    """A probability with one decimal, never rounded up to certainty.

    >>> probability(0.98765), probability(0.99999), probability(1.0)
    ('98.8 %', '> 99.9 %', '100.0 %')
    """
    return "> 99.9 %" if 0.9995 <= value < 1 else percent(value, digits=1)


def points(
    difference: Number | None, interval: Interval = None, *, sd: Number | None = None
) -> str:
    """A difference of shares in percentage points, always with its sign.

    >>> points(-0.0114, (-0.02, 0.001))
    '−1.14 [−2.00, +0.10]'
    """
    if difference is None:
        return DASH
    value = _with_spread(_number(100 * difference, 2, signed=True), sd, 2)
    return value + _brackets(interval, 2, scale=100, signed=True)


def decimal(
    value: Number | None, interval: Interval = None, *, digits: int = 4, signed: bool = False
) -> str:
    """A number with its interval where given.

    >>> decimal(0.98765, (0.97, 0.99)), decimal(-0.001, digits=2), decimal(-0.2, digits=1)
    ('0.9877 [0.9700, 0.9900]', '0.00', '−0.2')
    """
    if value is None:
        return DASH
    return _number(value, digits, signed) + _brackets(interval, digits, signed=signed)


def count(number: int | np.integer | None, total: int | np.integer | None = None) -> str:
    """A number of things, out of how many if given.

    >>> count(1024), count(3, 1024), count(None)
    ('1,024', '3 of 1,024', '–')
    """
    if number is None:
        return DASH
    return f"{number:,}" if total is None else f"{number:,} of {total:,}"


def p_value(p: Number | None, *, named: bool = False) -> str:
    """The p-value of a test to three decimals, for a table or, `named`, for a sentence.

    >>> p_value(0.0127), p_value(0.0001), p_value(0.0127, named=True), p_value(0.0001, named=True)
    ('0.013', '<0.001', 'p = 0.013', 'p < 0.001')
    """
    if p is None:
        return DASH
    small = p < 0.0005
    if named:
        return "p < 0.001" if small else f"p = {p:.3f}"
    return "<0.001" if small else f"{p:.3f}"


def duration(seconds: Number) -> str:
    """A time to two digits or so: seconds, minutes or hours.

    >>> duration(5.2), duration(754), duration(9000)
    ('5 s', '13 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def milliseconds(value: Number | None) -> str:
    """A latency.

    >>> milliseconds(12.345)
    '12.35 ms'
    """
    return DASH if value is None else f"{value:.2f} ms"


def file_size(size: int | np.integer) -> str:
    """The size of a file given in bytes, in decimal units.

    >>> file_size(512), file_size(1_500_000), file_size(2 * 10**9)
    ('512 B', '1.5 MB', '2.0 GB')
    """
    for power, unit in ((9, "GB"), (6, "MB"), (3, "kB")):
        if size >= 10**power:
            return f"{size / 10**power:.1f} {unit}"
    return f"{size} B"


def _number(value: Number, digits: int, signed: bool) -> str:
    """With a true minus sign, as long as a plus, and without a "-0.00"."""
    rounded = round(float(value), digits) + 0.0
    return format(rounded, f"{'+' if signed else ''}.{digits}f").replace("-", "−")


def _with_spread(value: str, sd: Number | None, digits: int) -> str:
    return value if sd is None else f"{value} ± {100 * sd:.{digits}f}"


def _brackets(interval: Interval, digits: int, *, scale: int = 1, signed: bool = False) -> str:
    if not interval:
        return ""
    low, high = (_number(scale * end, digits, signed) for end in interval)
    return f" [{low}, {high}]"
