"""How the sections of the HTML report write figures and name splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.evaluation.report.text import DASH
from fakd_jax.reporting.markup import Inline, lines

SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}


def decimal(value: float | None, interval: Sequence[float] | None = None) -> str:
    """A figure with four decimals, its interval behind it; a dash for None.

    >>> decimal(0.98765, (0.97, 0.99))
    '0.9877 [0.9700, 0.9900]'
    """
    if value is None:
        return DASH
    text = f"{value:.4f}"
    return f"{text} [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else text


def stacked(text: str) -> Inline:
    """Breaks a figure before its interval, so that a table of many stays narrow."""
    value, _, interval = text.partition(" [")
    return lines(value, f"[{interval}") if interval else text


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign, the minus as long as the plus.

    >>> points(-0.0114)
    '−1.14'
    """
    return f"{100 * difference:+.2f}".replace("-", "−")


def images_of(chosen: Mapping[str, Any]) -> str:
    """How many images something was fitted or chosen on.

    >>> images_of({"split": "val", "n": 1024})
    '1,024 validation images'
    """
    return f"{chosen['n']:,} {SPLIT_WORDS[chosen['split']]} images"
