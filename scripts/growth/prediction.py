"""Measures how predicting grows with the number of files.

    python scripts/growth/prediction.py --checkpoint DIR --output DIR [--images 1000 20000]

Draws that many phantoms of about 64 pixels, a hundredth of them as JPEG, and predicts them into a
CSV file. Prints files per second by the clock, processor time per file and the peak memory, and
writes them to `prediction.json`, which `scripts/growth/plot.py` draws. The network is opened and
compiled before the clock starts. Then the command is started in a process of its own, killed
without warning when half of the rows are written, and started again: its table must be the same,
byte for byte. Where few files take less time than lies between two writes, nothing can be killed.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from growth.measuring import in_own_process, timed
from growth.pictures import write_pictures

from fakd_jax.cli.runner import CommandParser, integer, run_command, use_compilation_cache
from fakd_jax.errors import UserError
from fakd_jax.runtime.atomic_files import require_writable, write_whole

FILE = "prediction.json"
IMAGES_PER_JPEG = 100


def main(argv: list[str]) -> None:
    parser = CommandParser(prog="growth/prediction.py", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, help="of the network that predicts")
    parser.add_argument("--output", type=Path, required=True, help="folder; pictures go there too")
    parser.add_argument(
        "--images", type=integer(1), nargs="+", default=[1_000, 20_000], help="numbers"
    )
    parser.add_argument("--batch-size", type=integer(1), default=32, help="[32]")
    flags = parser.parse_args(argv)
    require_writable(flags.output)
    rows = []
    for images in flags.images:
        pictures = flags.output / f"pictures-{images}"
        if not pictures.is_dir():
            write_pictures(pictures, images, images // IMAGES_PER_JPEG)
        whole = flags.output / f"{images}.csv"
        row = in_own_process(measure, flags.checkpoint, pictures, whole, flags.batch_size)
        print(describe(row), flush=True)
        killed = flags.output / f"{images}-killed.csv"
        row |= kill_and_repeat(flags.checkpoint, pictures, killed, flags.batch_size, whole)
        after = row["killed_after"]
        how = f"killed after {after:,} rows and repeated" if after else "done before it was killed"
        print(f"{row['n']:>7,} files: {how}: equal")
        rows.append(row)
    if not any(row["killed_after"] for row in rows):
        raise UserError("every command ended before it could be killed; give more --images")
    write_whole(flags.output / FILE, json.dumps(rows, indent=2) + "\n")


def measure(checkpoint: str, pictures: Path, output: Path, batch_size: int) -> dict[str, Any]:
    """Predicts the pictures; one row."""
    from fakd_jax.prediction.run import predict_with
    from fakd_jax.prediction.runtimes import open_network

    use_compilation_cache()
    network = open_network(checkpoint, batch_size=batch_size)
    side = network.image_size
    network.runtime.logits(np.zeros((batch_size, side, side, 3), np.uint8))
    output.unlink(missing_ok=True)
    summary, row = timed(predict_with, network, [str(pictures)], output, restart=True)
    if summary.tally.errors:
        raise AssertionError(f"{summary.tally.errors} pictures cannot be read")
    return {
        "what": "prediction",
        "n": summary.files,
        **row,
        "files_per_second": round(summary.files / row["wall_seconds"], 1),
    }


def kill_and_repeat(
    checkpoint: str, pictures: Path, output: Path, batch_size: int, whole: Path
) -> dict[str, Any]:
    """Kills the command when half of the rows are on disk, repeats it and compares the tables.

    Returns:
      As `killed_after` how many rows it had written; None if it ended before it could be killed.
    """
    from fakd_jax.prediction.unfinished import hidden_folder

    output.unlink(missing_ok=True)
    command = [sys.executable, "-m", "fakd_jax", "predict", "--checkpoint", checkpoint]
    command += [str(pictures), "--output", str(output), "--batch-size", str(batch_size)]
    position = hidden_folder(output) / "position.json"
    process = subprocess.Popen([*command, "--restart"])
    half = whole.read_bytes().count(b"\n") // 2
    rows: int | None = None
    while process.poll() is None and ((rows := _rows_at(position)) < half):
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    if process.wait() == 0:
        rows = None
    else:
        subprocess.run(command, check=True)
    if output.read_bytes() != whole.read_bytes():
        raise AssertionError(f"{output} differs from {whole}")
    return {"killed_after": rows}


def _rows_at(position: Path) -> int:
    """The number of rows at a position of an unfinished output."""
    if not position.is_file():
        return 0
    return int(json.loads(position.read_text())["tally"]["rows"])


def describe(row: dict[str, Any]) -> str:
    """One line of the result."""
    return (
        f"{row['n']:>7,} files: {row['files_per_second']:.0f} per second, "
        f"{1000 * row['seconds'] / row['n']:.1f} ms of processor time each, "
        f"at most {row['peak_rss_gib']:.2f} GiB"
    )


if __name__ == "__main__":
    run_command(main)
