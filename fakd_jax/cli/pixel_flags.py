"""The flags of commands that prepare data without a checkpoint or a config."""

from __future__ import annotations

from fakd_jax.cli.runner import CommandParser


def add_pixel_flags(parser: CommandParser) -> None:
    """Adds `--window` and `--slice-axis`, for :meth:`PixelRules.parse`."""
    add = parser.add_argument
    window = "grey levels of more than 8 bits: auto, percentiles, or LOW,HIGH [auto]"
    add("--window", default="auto", metavar="RULE", help=window)
    axis = "how volumes are cut: axial, coronal or sagittal [axial]"
    add("--slice-axis", default="axial", metavar="NAME", help=axis)
