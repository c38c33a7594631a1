"""The flags of commands that measure a checkpoint on data."""

from __future__ import annotations

from fakd_jax.cli.runner import CommandParser, integer


def add_checkpoint_flags(parser: CommandParser, *, fast: str) -> None:
    """Adds the checkpoint, the data and how to compute.

    Args:
      parser: to add to.
      fast: the help of `--no-calibration`.
    """
    add = parser.add_argument
    add("--checkpoint", required=True, help="a workdir (its best student) or a checkpoint in it")
    data = "kaggle, phantom, a folder or an archive (default: the data trained on)"
    add("--data", dest="source", metavar="SOURCE", help=data)
    add("--split", choices=("test", "val", "train"), default="test")
    add("--cache-dir", metavar="DIR", help="folder of prepared data (default: as in training)")
    add("--batch-size", type=integer(1), metavar="N", help="(default: as in training)")
    dtype = "auto: bfloat16 on a GPU or TPU, float32 on a CPU (default: as in training)"
    add("--dtype", choices=("auto", "float32", "bfloat16"), help=dtype)
    add("--allow-untrained", action="store_true", help="accept a head that was never trained")
    add("--no-calibration", dest="calibration", action="store_false", help=fast)
