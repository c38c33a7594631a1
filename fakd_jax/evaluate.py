"""The door to evaluation: `python -m fakd_jax.evaluate --checkpoint DIR`."""

from __future__ import annotations

from fakd_jax.cli.runner import CommandParser, run_command, use_compilation_cache
from fakd_jax.runtime.precision import DTYPES


def make_parser() -> CommandParser:
    """The flags of `python -m fakd_jax.evaluate`."""
    parser = CommandParser(
        prog="fakd evaluate",
        description="Evaluates a checkpoint: figures with their intervals, predictions, "
        "calibration, the paper's Table 2 and Fig. 3, latency, and a page of it all "
        "(report.html). Research software: not for diagnosis.",
    )
    parser.add_argument(
        "--checkpoint", required=True, help="a workdir (its best student) or any checkpoint in it"
    )
    parser.add_argument(
        "--data", help="kaggle, phantom, a folder or an archive (default: the data trained on)"
    )
    parser.add_argument("--split", choices=("test", "val", "train"), default="test")
    parser.add_argument(
        "--output", help="folder of the report (default: evaluation/ in the workdir)"
    )
    parser.add_argument("--cache-dir", help="where prepared data is kept (default: as in training)")
    parser.add_argument("--batch-size", type=int, help="images at once (default: as in training)")
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        help="auto: bfloat16 on a GPU or TPU, float32 on a CPU (default: as in training)",
    )
    parser.add_argument(
        "--allow-untrained",
        action="store_true",
        help="evaluate a network whose head was never trained, and which guesses",
    )
    parser.add_argument(
        "--no-calibration",
        action="store_true",
        help="save time: leave the validation images, and with them the temperature and the "
        "reject threshold",
    )
    parser.add_argument(
        "--compare",
        help="another model's evaluation of the same images: its predictions.csv, or its workdir "
        "or checkpoint",
    )
    return parser


def main(argv: list[str]) -> None:
    """Evaluates as the flags say and prints the report."""
    flags = make_parser().parse_args(argv)
    use_compilation_cache()
    from fakd_jax.evaluation.run import evaluate_checkpoint

    evaluate_checkpoint(
        flags.checkpoint,
        source=flags.data,
        split=flags.split,
        output=flags.output,
        cache_dir=flags.cache_dir,
        batch_size=flags.batch_size,
        dtype=flags.dtype,
        allow_untrained=flags.allow_untrained,
        calibration=not flags.no_calibration,
        compare=flags.compare,
    )


if __name__ == "__main__":
    run_command(main)
