"""Exports a checkpoint: `fakd export --checkpoint DIR --format FORMAT --output FILE`."""

from __future__ import annotations

from fakd_jax.cli.checkpoint_flags import CHECKPOINT, DATA
from fakd_jax.cli.runner import CommandParser, run_command, use_compilation_cache


def make_parser() -> CommandParser:
    """The flags of `fakd export`."""
    from fakd_jax.export.formats import FORMATS

    parser = CommandParser(
        prog="fakd export",
        description="Writes a checkpoint's network for use elsewhere. What is written is read "
        "back and compared with the checkpoint before it is kept. "
        "torch: a .safetensors file in float32 with torchvision's names (or those of the library "
        "whose settings the network has), classes and preprocessing in its header. "
        "onnx: an .onnx file that takes uint8 images of any size, with resizing and normalisation "
        "inside; needs the extra `onnx`. "
        "stablehlo: a .zip with the serialized function of jax.export. "
        "litert: a .tflite file for phones and small boards, one image at a time; needs the extra "
        "`litert`. "
        "bundle: a folder or .zip that every command opens, with metrics, limits and a model card. "
        "Research software: not for diagnosis.",
    )
    add = parser.add_argument
    add("--checkpoint", required=True, help=CHECKPOINT)
    add("--output", required=True, metavar="PATH", help="the file, or folder, to write")
    add("--format", choices=tuple(FORMATS), default="torch", help="[torch]")
    every = dict.fromkeys(each for kind in FORMATS.values() for each in kind.precisions)
    add("--precision", choices=tuple(every), default="float32", help="of onnx [float32]")
    data = f"to calibrate and verify on: {DATA} (default: the data trained on, if at hand)"
    add("--data", dest="source", metavar="SOURCE", help=data)
    add("--cache-dir", metavar="DIR", help="folder of prepared data (default: as in training)")
    add("--with-onnx", action="store_true", help="put an ONNX file into a bundle too")
    push = "push a bundle to the Hugging Face Hub once it is kept (extra `hub`)"
    add("--push-to", metavar="OWNER/NAME", help=push)
    add("--public", action="store_true", help="let anybody read what is pushed [private]")
    return parser


def main(argv: list[str]) -> None:
    """Exports as the flags ask, and prints what was verified."""
    flags = make_parser().parse_args(argv)
    use_compilation_cache()
    from fakd_jax.export.run import export_checkpoint

    export_checkpoint(**vars(flags))


if __name__ == "__main__":
    run_command(main)
