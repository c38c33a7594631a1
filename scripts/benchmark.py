"""Times this package beside PyTorch and ONNX Runtime, in one run on one machine.

    pip install -e '.[bench]'
    python scripts/benchmark.py --output DIR                        # everything that runs here
    python scripts/benchmark.py --output DIR --measures ce_step student_forward_b1

Every pair of a measure and a side runs in a process of its own, so that one side's threads and
memory never weigh on another's; the sides' repetitions alternate, so that whatever else the
machine does meets all of them. Reported are medians, the spread (quartiles), the ratio of the
medians (ours over theirs: below 1 we are faster), the first call with an empty and with a filled
compilation cache, and peak memory. Writes `benchmark.json` and `benchmark.md`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
sys.path[:0] = [str(SCRIPTS), str(SCRIPTS.parent)]

from benchmarks import machine, report  # noqa: E402
from benchmarks.alternate import measure_all  # noqa: E402
from benchmarks.settings import MEASURES, SIDES, Settings, sides_of  # noqa: E402

from fakd_jax.cli.runner import CommandParser, run_command  # noqa: E402
from fakd_jax.errors import UserError  # noqa: E402
from fakd_jax.runtime.atomic_files import require_writable, write_whole  # noqa: E402


def make_parser() -> CommandParser:
    parser = CommandParser(prog="scripts/benchmark.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument(
        "--sides", nargs="+", choices=SIDES, default=list(SIDES), help="what to compare"
    )
    parser.add_argument("--batch", type=_positive, default=32, help="of the large measures [32]")
    parser.add_argument("--image_size", type=_positive, default=224, help="pixels a side [224]")
    parser.add_argument("--repeats", type=_positive, default=7, help="rounds of a measure [7]")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="least time of one side in one round [1]"
    )
    parser.add_argument("--lime_samples", type=_positive, default=1000, help="[1000]")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text}")
    return int(text)


def main(argv: list[str]) -> None:
    flags = make_parser().parse_args(argv)
    settings = Settings(
        batch=flags.batch,
        image_size=flags.image_size,
        lime_samples=flags.lime_samples,
        seed=flags.seed,
    )
    missing = machine.missing_libraries(flags.sides)
    if missing:
        raise UserError(
            f"to compare with {', '.join(missing)} they must be installed: "
            "pip install -e '.[bench]', or leave them out with --sides"
        )
    require_writable(flags.output)
    print("measuring what the machine allows", flush=True)
    record = {
        "settings": vars(settings) | {"repeats": flags.repeats, "seconds": flags.seconds},
        "machine": machine.describe(),
        "rates": machine.measure_rates(),
        "measures": {},
    }
    for name in flags.measures:
        sides = [side for side in sides_of(name) if side in flags.sides]
        if sides:
            print(f"{name}: {', '.join(sides)}", flush=True)
            record["measures"][name] = measure_all(
                name, sides, settings, repeats=flags.repeats, seconds=flags.seconds
            )
        # After every measure: what an interruption leaves is whole.
        write_whole(flags.output / "benchmark.json", json.dumps(record, indent=1) + "\n")
        write_whole(flags.output / "benchmark.md", report.table(record))
    print(report.table(record))
    print(f"written: {flags.output / 'benchmark.json'}, {flags.output / 'benchmark.md'}")


if __name__ == "__main__":
    run_command(main)
