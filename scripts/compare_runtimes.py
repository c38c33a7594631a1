"""Compares exported ONNX files with the checkpoint in JAX: speed, size, agreement, accuracy.

    python scripts/compare_runtimes.py --checkpoint DIR --onnx FILE... [--torchvision]
      [--data SOURCE] [--images N]

With `--torchvision` (extra `bench`) PyTorch runs the same weights too, and ONNX Runtime runs what
PyTorch exports. All take uint8 images at the network's input size, and normalise them.
Runtimes take turns, batch by batch and back again, so that what else the machine does falls on all
alike. Besides the median time it prints the processor time per image, which other processes change
less.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fakd_jax.cli.checkpoint_flags import DATA
from fakd_jax.cli.runner import CommandParser, integer, run_command, use_compilation_cache
from fakd_jax.errors import UserError
from fakd_jax.export.images import find_images
from fakd_jax.export.verification import compare
from fakd_jax.inference.onnx import OnnxNetwork
from fakd_jax.inference.predictor import Predictor
from fakd_jax.reporting.tables import text_table
from fakd_jax.runtime.environment import describe_environment

BATCH_SIZES = (1, 32)
WARM_UPS = 2
PAUSE = 0.1
"""Seconds before each batch: the last runtime's threads wait busily for more work for a while."""

Run = Callable[[np.ndarray], np.ndarray]


def make_parser() -> CommandParser:
    parser = CommandParser(prog="compare_runtimes", description=__doc__)
    add = parser.add_argument
    add("--checkpoint", required=True, help="a workdir, a checkpoint in it, or a bundle")
    add("--onnx", required=True, nargs="+", type=Path, metavar="FILE", help="its exports")
    add("--torchvision", action="store_true", help="the same weights in PyTorch, too")
    add("--data", metavar="SOURCE", help=f"{DATA} (default: the data trained on)")
    add("--cache-dir", metavar="DIR", help="folder of prepared data (default: as in training)")
    add("--images", type=integer(1), default=1000, help="test images, at most [1000]")
    add("--repeats", type=integer(1), default=30, help="of each timed batch [30]")
    return parser


def times(runs: dict[str, Run], images: np.ndarray, repeats: int) -> dict[str, tuple[float, float]]:
    """Median milliseconds per batch, and processor milliseconds per image, by runtime."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    processor = dict.fromkeys(runs, 0.0)
    for run in runs.values():
        for _ in range(WARM_UPS):
            run(images)
    for turn in range(repeats):
        for name, run in list(runs.items())[:: 1 if turn % 2 else -1]:
            time.sleep(PAUSE)
            run(images)  # wakes this runtime's own threads
            start, used = time.perf_counter(), time.process_time()
            run(images)
            seconds[name].append(time.perf_counter() - start)
            processor[name] += time.process_time() - used
    each = repeats * len(images)
    return {
        name: (1e3 * statistics.median(seconds[name]), 1e3 * processor[name] / each)
        for name in runs
    }


def main(argv: list[str]) -> None:
    flags = make_parser().parse_args(argv)
    use_compilation_cache()
    predictor = Predictor.from_checkpoint(flags.checkpoint, dtype="float32")
    test = find_images(predictor, flags.data, flags.cache_dir, print).test
    if test is None:
        raise UserError("there are no test images to compare on; give --data")
    pixels, labels = test.pixels[: flags.images], test.labels[: flags.images]
    networks = {file: OnnxNetwork.open(file) for file in flags.onnx}
    runs: dict[str, Run] = {"JAX float32": predictor.logits_of_batch}
    sizes = {"JAX float32": sum(leaf.nbytes for leaf in predictor.folded.variables)}
    if flags.torchvision:
        from benchmarks import in_torchvision

        with tempfile.TemporaryDirectory() as folder:
            for name, (run, size) in in_torchvision.runs(predictor, Path(folder)).items():
                runs[name], sizes[name] = run, size
    for file, network in networks.items():
        name = f"ONNX Runtime {network.metadata['precision']}"
        runs[name], sizes[name] = network.predict_logits, file.stat().st_size
    measured = [times(runs, pixels[:size], flags.repeats) for size in BATCH_SIZES]
    rows = []
    for name, run in runs.items():
        found = compare(predictor, run, pixels, test.name, labels)
        assert found.accuracies is not None
        cells = [f"{batch[name][0]:.1f} ({batch[name][1]:.1f})" for batch in measured]
        accuracy, difference = found.accuracies[1], found.probability_difference
        quality = [f"{found.agreement:.2%}", f"{difference:.1g}", f"{accuracy:.2%}"]
        rows.append([name, *cells, f"{sizes[name] / 1e6:.1f}", *quality])
    header = ["runtime", *(f"batch {size}" for size in BATCH_SIZES), "MB", "same class"]
    print(text_table([*header, "probabilities within", "accuracy"], rows))
    environment, load = describe_environment(), os.getloadavg()[0]
    print(
        f"ms per batch, median of {flags.repeats} (processor ms per image); {len(pixels):,} "
        f"{test.name}; {environment['device']}, {environment['cpu_count']} CPUs, load {load:.1f}"
    )


if __name__ == "__main__":
    run_command(main)
