"""Measures a checkpoint under shifts of its images: `fakd stress --checkpoint DIR`."""

from __future__ import annotations

import argparse

from fakd_jax.cli.checkpoint_flags import add_checkpoint_flags
from fakd_jax.cli.runner import CommandParser, integer, run_command, use_compilation_cache
from fakd_jax.runtime.distributed import refuse_several_processes


def make_parser() -> CommandParser:
    """The flags of the command."""
    parser = CommandParser(
        prog="fakd stress",
        description="Measures a checkpoint under shifts of its images in intensity, resolution, "
        "geometry and by artefacts, at five severities each. Writes stress.json, stress.csv, "
        "stress.png and stress.html. A stopped command goes on where it stopped when it is "
        "repeated. Research software: not for diagnosis.",
    )
    add_checkpoint_flags(
        parser, fast="no validation images, hence no temperature and no abstention"
    )
    add = parser.add_argument
    add("--output", metavar="DIR", help="(default: stress/ in the evaluation's folder)")
    other = "another workdir or checkpoint, measured on the same images"
    add("--compare", dest="compare_with", metavar="OTHER", help=other)
    add("--families", type=_names, default=(), metavar="A,B", help="shifts by name (default: all)")
    add("--severities", type=_severities, default=(1, 2, 3, 4, 5), metavar="1,3,5")
    add("--seed", type=integer(0, 2**31 - 1), default=0, help="of all random choices (default: 0)")
    return parser


def main(argv: list[str]) -> None:
    """Runs the stress test and prints its summary."""
    flags = make_parser().parse_args(argv)
    refuse_several_processes("fakd stress")
    use_compilation_cache()
    from fakd_jax.stress.run import stress_checkpoint

    stress_checkpoint(**vars(flags))


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def _severities(text: str) -> tuple[int, ...]:
    try:
        return tuple(integer(1, 5)(part) for part in _names(text))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"severities {text!r}: {error}") from None


if __name__ == "__main__":
    run_command(main)
