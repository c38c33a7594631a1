"""Exports a checkpoint: `fakd export --checkpoint DIR --output FILE`."""

from __future__ import annotations

from fakd_jax.cli.runner import CommandParser, run_command, use_compilation_cache


def make_parser() -> CommandParser:
    """The flags of `fakd export`."""
    from fakd_jax.export.formats import FORMATS

    parser = CommandParser(
        prog="fakd export",
        description="Writes a checkpoint's network for other software. What is written is read "
        "back and compared before it is kept. "
        "torch: a .safetensors file in float32 with torchvision's names (or those of the library "
        "whose settings the network has), classes and preprocessing in its header. "
        "Research software: not for "
        "diagnosis.",
    )
    add = parser.add_argument
    add("--checkpoint", required=True, help="a workdir (its best student) or a checkpoint in it")
    add("--output", required=True, metavar="FILE", help="the file to write")
    add("--format", choices=tuple(FORMATS), default="torch", help="[torch]")
    return parser


def main(argv: list[str]) -> None:
    """Exports as the flags ask, and prints what was verified."""
    flags = make_parser().parse_args(argv)
    use_compilation_cache()
    from fakd_jax.export.run import export_checkpoint

    export_checkpoint(flags.checkpoint, flags.output, format=flags.format)


if __name__ == "__main__":
    run_command(main)
