"""Evaluates a checkpoint and writes the report: `fakd evaluate --checkpoint DIR`."""

from __future__ import annotations

import sys

from fakd_jax.cli.runner import (
    CallableModule,
    CommandParser,
    integer,
    run_command,
    use_compilation_cache,
)
from fakd_jax.runtime.distributed import refuse_several_processes

FUNCTION = "fakd_jax.evaluation.run:evaluate_checkpoint"


def make_parser() -> CommandParser:
    """The flags of `fakd evaluate`."""
    parser = CommandParser(
        prog="fakd evaluate",
        description="Evaluates a checkpoint: metrics with intervals, predictions, calibration, "
        "the paper's Table 2 and Fig. 3, latency, and report.html with all of them. Research "
        "software: not for diagnosis.",
    )
    add = parser.add_argument
    add("--checkpoint", required=True, help="a workdir (its best student) or a checkpoint in it")
    data = "kaggle, phantom, a folder or an archive (default: the data trained on)"
    add("--data", dest="source", metavar="SOURCE", help=data)
    add("--split", choices=("test", "val", "train"), default="test")
    add("--output", metavar="DIR", help="(default: evaluation/ in the workdir)")
    add("--cache-dir", metavar="DIR", help="folder of prepared data (default: as in training)")
    add("--batch-size", type=integer(1), metavar="N", help="(default: as in training)")
    dtype = "auto: bfloat16 on a GPU or TPU, float32 on a CPU (default: as in training)"
    add("--dtype", choices=("auto", "float32", "bfloat16"), help=dtype)
    add("--allow-untrained", action="store_true", help="evaluate a head that was never trained")
    fast = "save time: no validation images, hence no temperature and no reject threshold"
    add("--no-calibration", dest="calibration", action="store_false", help=fast)
    other = "evaluation of another model on the same images: predictions.csv, workdir or checkpoint"
    add("--compare", metavar="OTHER", help=other)
    return parser


def main(argv: list[str]) -> None:
    """Evaluates as the flags ask and prints the report."""
    flags = make_parser().parse_args(argv)
    refuse_several_processes("fakd evaluate")
    use_compilation_cache()
    from fakd_jax.evaluation.run import evaluate_checkpoint

    evaluate_checkpoint(**vars(flags))


sys.modules[__name__].__class__ = CallableModule  # `fakd_jax.evaluate(...)` is the library's call

if __name__ == "__main__":
    run_command(main)
