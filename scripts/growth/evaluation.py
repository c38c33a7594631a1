"""Measures how computing the metrics grows with the number of predictions.

    python scripts/growth/evaluation.py --output DIR [--predictions 1000 10000 100000 1000000]

Makes up that many predictions of 4 and of 20 classes, a third of them in pairs of duplicates, a
tenth as many for validation images, and another network's; computes everything that metrics.json
holds of them, with intervals, subsets and the comparison, and the text of predictions.csv. Prints
the processor seconds of both, which do not depend on what else runs, and the peak memory, and
writes them to `evaluation.json`, which `scripts/growth/plot.py` draws. Each measurement has a
process of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from growth.measuring import in_own_process, peak_gib, timed

from fakd_jax.cli.runner import CommandParser, integer, run_command
from fakd_jax.evaluation.baseline import Baseline
from fakd_jax.evaluation.collect import Collected, Duplicates
from fakd_jax.evaluation.measure import measure
from fakd_jax.evaluation.predictions_file import NamedPrediction, predictions_csv
from fakd_jax.metrics.calibration import scale_logits
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.runtime.atomic_files import require_writable, write_whole

FILE = "evaluation.json"
SIZES = (1_000, 10_000, 100_000, 1_000_000)


def main(argv: list[str]) -> None:
    parser = CommandParser(prog="growth/evaluation.py", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help=f"folder for {FILE}")
    parser.add_argument(
        "--predictions", type=integer(100), nargs="+", default=list(SIZES), help="numbers"
    )
    parser.add_argument("--classes", type=integer(2), nargs="+", default=[4, 20], help="[4 20]")
    flags = parser.parse_args(argv)
    require_writable(flags.output)
    rows = []
    for classes in flags.classes:
        for number in flags.predictions:
            rows.append(in_own_process(measure_growth, number, classes))
            print(describe(rows[-1]), flush=True)
    write_whole(flags.output / FILE, json.dumps(rows, indent=2) + "\n")


def measure_growth(number: int, classes: int) -> dict[str, Any]:
    """Evaluates made-up predictions; one row."""
    names = tuple(f"class {c}" for c in range(classes))
    collected = made_up(number, names)
    given = peak_gib()
    _, measured = timed(measure, collected)
    _, written = timed(predictions_csv, collected.predictions, names)
    return {
        "what": f"evaluation, {classes} classes",
        "n": number,
        **measured,
        "csv_seconds": written["seconds"],
        "peak_rss_gib": written["peak_rss_gib"],
        "given_gib": given,
    }


def made_up(number: int, names: tuple[str, ...]) -> Collected:
    """Predictions of an overconfident network, right in about nine of ten images."""
    random = np.random.default_rng(0)

    def draw(count: int, prefix: str) -> Predictions:
        labels = random.integers(len(names), size=count)
        logits = 2 * random.standard_normal((count, len(names)), np.float32)
        logits[np.arange(count), labels] += 6 + len(names) / 10
        ids = tuple(f"{prefix}/{index}.png" for index in range(count))
        return Predictions(ids, logits, scale_logits(logits, 1.0).astype(np.float32), labels)

    predictions = draw(number, "Testing")
    other = (predictions.labels + (random.random(number) < 0.1)) % len(names)
    named = {
        id: NamedPrediction(names[label], names[predicted])
        for id, label, predicted in zip(predictions.ids, predictions.labels, other, strict=True)
    }
    groups = {id: index // 2 for index, id in enumerate(predictions.ids[: number // 3])}
    return Collected(
        predictions,
        names,
        names[0],
        validation=draw(number // 10, "Validation"),
        groups=groups,
        duplicates=Duplicates("made up", ()),
        baseline=Baseline(Path("predictions.csv"), named, {}),
    )


def describe(row: dict[str, Any]) -> str:
    """One row for the terminal."""
    return (
        f"{row['what']}: {row['n']:,} predictions, metrics {row['seconds']:.1f} s, "
        f"predictions.csv {row['csv_seconds']:.1f} s, peak {row['peak_rss_gib']:.2f} GiB "
        f"({row['given_gib']:.2f} of them the predictions)"
    )


if __name__ == "__main__":
    run_command(main)
