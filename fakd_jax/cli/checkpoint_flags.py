"""The flags of commands that measure a checkpoint on data."""

from __future__ import annotations

from fakd_jax.cli.runner import CommandParser, integer

CLASS_MAP = "other names for the data's classes, e.g. no_tumor=notumor; NAME= leaves a class out"
CHECKPOINT = (
    "a workdir (its best student), a checkpoint in it, a bundle, or hf://OWNER/NAME[@REVISION], a "
    "bundle on the Hugging Face Hub"
)
DATA = "kaggle, phantom, a folder, an archive or a table"


def add_checkpoint_flags(parser: CommandParser, *, fast: str) -> None:
    """Adds the checkpoint, the data and how to compute.

    Args:
      parser: to add to.
      fast: the help of `--no-calibration`.
    """
    add = parser.add_argument
    add("--checkpoint", required=True, help=CHECKPOINT)
    add("--data", dest="source", metavar="SOURCE", help=f"{DATA} (default: the data trained on)")
    add("--class-map", default="", metavar="NAME=CLASS,...", help=CLASS_MAP)
    copies = "where the images learnt from are now: copies of them in other data are left out"
    add("--training-data", metavar="SOURCE", help=copies)
    window = "of grey levels beyond 8 bits: auto, percentiles or LOW,HIGH (default: as trained)"
    add("--window", default="", metavar="RULE", help=window)
    add("--split", choices=("test", "val", "train"), default="test")
    add("--cache-dir", metavar="DIR", help="folder of prepared data (default: as in training)")
    add("--batch-size", type=integer(1), metavar="N", help="(default: as in training)")
    dtype = "auto: bfloat16 on a GPU or TPU, float32 on a CPU (default: as in training)"
    add("--dtype", choices=("auto", "float32", "bfloat16"), help=dtype)
    add("--allow-untrained", action="store_true", help="accept a head that was never trained")
    add("--no-calibration", dest="calibration", action="store_false", help=fast)
