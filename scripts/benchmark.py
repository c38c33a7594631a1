"""Compares the speed of this package with PyTorch and ONNX Runtime on one machine.

    pip install -e '.[bench]'
    python scripts/benchmark.py --output DIR                        # everything that runs here
    python scripts/benchmark.py --output DIR --measures ce_step student_forward_b1

Every measure of every side runs in its own process, so that the sides do not share threads and
memory; their repetitions alternate, so that other load on the machine affects all of them. Reports
medians, quartiles, the ratio of the medians (ours over theirs: below 1 we are faster), the first
call with an empty and with a filled compilation cache, and peak memory. Writes `benchmark.json` and
`benchmark.md`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
sys.path[:0] = [str(SCRIPTS), str(SCRIPTS.parent)]

from benchmarks import machine, report  # noqa: E402
from benchmarks.alternate import measure_all  # noqa: E402
from benchmarks.settings import MEASURES, SIDES, Settings, sides_of  # noqa: E402

from fakd_jax.cli.runner import CommandParser, integer, run_command  # noqa: E402
from fakd_jax.errors import UserError  # noqa: E402
from fakd_jax.runtime.atomic_files import require_writable, write_whole  # noqa: E402


def make_parser() -> CommandParser:
    parser = CommandParser(prog="scripts/benchmark.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument(
        "--sides", nargs="+", choices=SIDES, default=list(SIDES), help="implementations to compare"
    )
    parser.add_argument(
        "--batch", type=integer(1), default=32, help="batch size of the large measures [32]"
    )
    parser.add_argument("--image-size", type=integer(1), default=224, help="pixels per side [224]")
    parser.add_argument("--repeats", type=integer(1), default=7, help="rounds of each measure [7]")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="minimal time per side and round [1]"
    )
    parser.add_argument("--lime-samples", type=integer(1), default=1000, help="[1000]")
    parser.add_argument("--seed", type=int, default=0)
    return parser


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
            f"not installed: {', '.join(missing)}; "
            "pip install -e '.[bench]', or choose other --sides"
        )
    require_writable(flags.output)
    print("measuring the machine's peak rates", flush=True)
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
        # After every measure, so that an interruption leaves complete files.
        write_whole(flags.output / "benchmark.json", json.dumps(record, indent=1) + "\n")
        write_whole(flags.output / "benchmark.md", report.table(record))
    print(report.table(record))
    print(f"written: {flags.output / 'benchmark.json'}, {flags.output / 'benchmark.md'}")


if __name__ == "__main__":
    run_command(main)
