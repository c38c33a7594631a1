"""The rule by which grey levels of more than 8 bits become 8 bits.

A scanner's 12 bits in a 16-bit file are nearly black if the full range of the file is mapped onto
that of a picture, and if each file's own maximum is mapped onto white, the same tissue has another
brightness in every file. So one map holds for a whole data set, and it is kept with the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8

from fakd_jax.errors import UserError

AUTO = "auto"
PERCENTILES = "percentiles"
LEVELS = "levels"
WINDOW_SYNTAX = "auto, percentiles, or LOW,HIGH such as 0,4095"
"""Values of `config.data.window`."""

SLICE_AXES = ("axial", "coronal", "sagittal")
"""Values of `config.data.slice_axis`: the plane of the slices of a volume."""

DEPTHS = (8, 10, 12, 14, 16)
"""The bits per pixel of scanners and files: significant bits are rounded up to one of them."""

LOW_PERCENT, HIGH_PERCENT = 0.5, 99.5

_SAMPLE = 2**22  # grey levels of a file from which percentiles are taken, evenly spaced


class LevelRange(NamedTuple):
    """The grey levels of an image.

    Attributes:
      low: the smallest.
      high: the largest.
      counts_bits: whether they are whole numbers of some number of bits, from 0; those of a NIfTI
        volume, floats and negative ones are in units of their own.
    """

    low: float
    high: float
    counts_bits: bool


@dataclass(frozen=True)
class Window:
    """Grey levels that become 0 and 255, linearly in between and clipped beyond.

    Attributes:
      rule: `levels`, or `percentiles` of the grey levels of each file (all its images together).
      low: the grey level, or the percentage, that becomes 0.
      high: the one that becomes 255.
      own_first: whether a window that a file itself states (DICOM) goes first.
    """

    rule: str
    low: float
    high: float
    own_first: bool = True

    def __post_init__(self) -> None:
        in_range = self.rule == LEVELS or 0 <= self.low <= self.high <= 100
        if self.rule not in (LEVELS, PERCENTILES) or not in_range:
            raise UserError(f"unknown window {self.rule} {self.low} {self.high}")
        if not (math.isfinite(self.high - self.low) and self.low < self.high):
            raise UserError(
                f"the window {self.low:g} to {self.high:g} must be two finite numbers, the lower "
                "one first"
            )

    def __str__(self) -> str:
        """What becomes 0 and 255, for the log."""
        if self.rule == LEVELS:
            return f"grey levels {self.low:g} to {self.high:g} become 0 to 255"
        return (
            f"the {self.low:g}th to {self.high:g}th percentile of each file's grey levels become "
            "0 to 255"
        )

    def of_levels(self, levels: Sequence[np.ndarray]) -> Window:
        """Percentiles as grey levels, with the same precedence beside a window of the file's own.

        Args:
          levels: those of all images of a file.
        """
        every = np.concatenate([np.ravel(each) for each in levels])
        sample = every[:: max(1, len(every) // _SAMPLE)]
        low, high = np.percentile(sample, [self.low, self.high])
        # A constant file has no contrast to show: it becomes black.
        high = max(high, low + 1e-6 * max(1, abs(low)))
        return Window(LEVELS, float(low), float(high), self.own_first)

    def eight_bits(self, levels: Shaped[np.ndarray, "H W *C"]) -> UInt8[np.ndarray, "H W *C"]:
        """Maps grey levels onto 0 to 255, rounded to the nearest; the rule must be `levels`."""
        shifted = np.clip(levels.astype(np.float64), self.low, self.high) - self.low
        return np.rint(shifted * 255 / (self.high - self.low)).astype(np.uint8)


FULL_RANGE = Window(LEVELS, 0, 65_535)
"""Of 16 bits: the only rule of earlier versions."""


def parse_window(text: str) -> Window | None:
    """The window that a user asks for; None for `auto`: :func:`choose_window`.

    Raises:
      UserError: it is none of `WINDOW_SYNTAX`.
    """
    if text == AUTO:
        return None
    if text == PERCENTILES:
        return Window(PERCENTILES, LOW_PERCENT, HIGH_PERCENT, own_first=False)
    try:
        low, high = map(float, text.split(","))
    except ValueError as error:
        raise UserError(f"the window {text!r} must be {WINDOW_SYNTAX}") from error
    return Window(LEVELS, low, high, own_first=False)


def is_window(text: str) -> bool:
    """Whether :func:`parse_window` accepts it."""
    try:
        parse_window(text)
    except UserError:
        return False
    return True


def choose_window(ranges: Iterable[LevelRange]) -> Window:
    """The window of a data set, by the grey levels of all its images that have more than 8 bits.

    Where they count bits: from 0 to the largest value of as many bits as the largest grey level of
    all has, rounded up to one of `DEPTHS`. Thus a file whose maximum is low stays as dark as it is
    beside the others, and one file alone mostly has the window of its data set. Otherwise each
    file's percentiles: such units mean nothing across files.

    Args:
      ranges: of at least one image.
    """
    ranges = list(ranges)
    if all(each.counts_bits for each in ranges):
        largest = max(each.high for each in ranges)
        for bits in DEPTHS:
            if largest < 2**bits:
                return Window(LEVELS, 0, 2**bits - 1)
    return Window(PERCENTILES, LOW_PERCENT, HIGH_PERCENT)


@dataclass(frozen=True)
class PixelRules:
    """How files that are not pictures of 8 bits become such.

    Attributes:
      window: of grey levels of more than 8 bits; None leaves it to the data.
      slice_axis: of volumes, one of `SLICE_AXES`.
    """

    window: Window | None = None
    slice_axis: str = "axial"

    def __post_init__(self) -> None:
        if self.slice_axis not in SLICE_AXES:
            raise UserError(
                f"unknown slice axis {self.slice_axis!r}; use one of {', '.join(SLICE_AXES)}"
            )

    @classmethod
    def parse(cls, window: str, slice_axis: str) -> PixelRules:
        """The rules that a user asks for, see :func:`parse_window`.

        Raises:
          UserError: an unknown window or axis.
        """
        return cls(parse_window(window), slice_axis)

    def to_dict(self) -> dict[str, Any]:
        """The rules as JSON-able values, for :meth:`from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PixelRules:
        """Reads the output of :meth:`to_dict`.

        Raises:
          UserError: unknown or missing settings.
        """
        try:
            window = values["window"]
            return cls(Window(**window) if window else None, values["slice_axis"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"pixel settings {values} are not of this version: {error}") from error


DEFAULT_RULES = PixelRules()
"""Leave the window to the data, and cut volumes into axial slices."""
