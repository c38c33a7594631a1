"""Evaluates a checkpoint and writes the report: `fakd evaluate --checkpoint DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

from fakd_jax.cli.checkpoint_flags import add_checkpoint_flags
from fakd_jax.cli.runner import (
    CallableModule,
    CommandParser,
    integer,
    run_command,
    shares,
    use_compilation_cache,
)
from fakd_jax.runs.files import STRESS_FOLDER
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
    fast = (
        "save time: no validation images, hence no temperature and no reject threshold, and no "
        "foreign or poor images named"
    )
    add_checkpoint_flags(parser, fast=fast)
    add = parser.add_argument
    default = (
        "(default: evaluation/ in the workdir, or evaluation-NAME/ for images other than the run's "
        "own test images)"
    )
    add("--output", metavar="DIR", help=default)
    other = "evaluation of another model on the same images: predictions.csv, workdir or checkpoint"
    add("--compare", metavar="OTHER", help=other)
    at = "report the sensitivity for any tumour at these (default: %(default)s)"
    add(
        "--specificity", dest="specificities", type=shares, default="0.95", metavar="S,...", help=at
    )
    common = "report PPV and NPV at these (default: %(default)s, and that of the images)"
    add(
        "--prevalence",
        dest="prevalences",
        type=shares,
        default="0.01",
        metavar="P,...",
        help=common,
    )
    mistakes = "explain so many of the most confident mistakes in the report (default: %(default)s)"
    add("--explain-mistakes", type=integer(0), default=6, metavar="N", help=mistakes)
    stress = "run `fakd stress` too, into stress/ in the output; the report has its summary"
    add("--stress", action="store_true", help=stress)
    return parser


def main(argv: list[str]) -> None:
    """Evaluates as the flags ask and prints the report."""
    flags = make_parser().parse_args(argv)
    refuse_several_processes("fakd evaluate")
    use_compilation_cache()
    from fakd_jax.evaluation.run import evaluate_checkpoint

    options = vars(flags)
    if options.pop("stress"):
        from fakd_jax.stress.run import stress_checkpoint

        output = flags.output and Path(flags.output) / STRESS_FOLDER
        own = ("output", "compare", "specificities", "prevalences", "explain_mistakes")
        shared = {key: value for key, value in options.items() if key not in own}
        stress_checkpoint(output=output, **shared)
    evaluate_checkpoint(**options)


sys.modules[__name__].__class__ = CallableModule  # `fakd_jax.evaluate(...)` is the library's call

if __name__ == "__main__":
    run_command(main)
