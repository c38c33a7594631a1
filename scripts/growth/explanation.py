"""Measures how explaining grows with the number of images.

    python scripts/growth/explanation.py --output DIR [--images 1000 10000 100000] [--figures]

Explains that many synthetic images of 32 pixels with a network of one linear layer by occlusion,
so that what is measured is what explaining itself does: superpixels, records, thumbnails, the list
and its pages. Prints the processor time and bytes written per image, the processor time to repeat
the finished command, and the peak memory, and writes them to `explanation.json`, which
`scripts/growth/plot.py` draws. Each number of images has a process of its own. Linux only: the
bytes are those of `/proc/self/io`.
"""

from __future__ import annotations

import json
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from growth.measuring import in_own_process, timed

from fakd_jax.cli.runner import CommandParser, integer, run_command
from fakd_jax.runtime.atomic_files import require_writable, write_whole

SIDE = 32
FILE = "explanation.json"


def main(argv: list[str]) -> None:
    parser = CommandParser(prog="growth/explanation.py", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help=f"folder for {FILE}")
    parser.add_argument(
        "--images", type=integer(1), nargs="+", default=[1_000, 10_000, 100_000], help="numbers"
    )
    parser.add_argument("--figures", action="store_true", help="draw figure.png of every image")
    flags = parser.parse_args(argv)
    require_writable(flags.output)
    rows = []
    for images in flags.images:
        folder = flags.output / f"of-{images}"
        rows.append(in_own_process(measure, folder, images, flags.figures))
        print(describe(rows[-1]), flush=True)
    write_whole(flags.output / FILE, json.dumps(rows, indent=2) + "\n")


def measure(folder: Path, images: int, figures: bool) -> dict[str, Any]:
    """Explains synthetic images into a folder, which is removed in the end."""
    from fakd_jax.explanation.methods.occlusion import OcclusionExplainer
    from fakd_jax.explanation.run import explain_images
    from fakd_jax.explanation.scene.builder import SceneBuilder
    from fakd_jax.explanation.scene.superpixels import Slic
    from fakd_jax.explanation.subjects import Subject

    shutil.rmtree(folder, ignore_errors=True)
    subjects = [
        Subject(f"{number:06}.png", None, partial(picture, number)) for number in range(images)
    ]
    explain = partial(
        explain_images,
        subjects,
        a_network(),
        OcclusionExplainer(window=1 / 4),
        SceneBuilder(segmenter=Slic(12)),
        folder,
        data={"name": "synthetic", "split": "test"},
        figures=figures,
    )
    before = bytes_written()
    _, explained = timed(explain)
    written = bytes_written() - before
    _, repeated = timed(explain)
    shutil.rmtree(folder)
    return {
        "what": "explanation",
        "n": images,
        **explained,
        "peak_rss_gib": repeated["peak_rss_gib"],
        "bytes_per_image": written / images,
        "repeat_seconds": repeated["seconds"],
        "figures": figures,
    }


def a_network() -> Any:
    """The probability of the second of two classes rises with the brightness of the left half."""
    from fakd_jax.inference.network import Network

    def predict(images: np.ndarray) -> np.ndarray:
        bright = images[:, :, : SIDE // 2].mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)

    facts = {"arch": "linear", "checkpoint": "none", "config": None}
    return Network.from_function(
        predict, class_names=("dark", "bright"), image_size=SIDE, batch_size=64, provenance=facts
    )


def picture(number: int) -> np.ndarray:
    """A grey disc with a bright spot, on black."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    image = np.where(np.hypot(y, x) < 0.42 * SIDE, random.integers(70, 110, (SIDE, SIDE)), 0)
    row, column = random.integers(SIDE // 4, SIDE // 2, 2)
    image[row : row + 5, column : column + 5] = 250
    return np.repeat(image[..., None], 3, axis=2).astype(np.uint8)


def bytes_written() -> int:
    """What this process has written so far, rewriting included."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


def describe(row: dict[str, Any]) -> str:
    """One line of the result."""
    return (
        f"{row['n']:>7,} images: {1000 * row['seconds'] / row['n']:6.1f} ms (by the clock "
        f"{1000 * row['wall_seconds'] / row['n']:.1f}) and "
        f"{row['bytes_per_image'] / 1000:6.1f} kB written per image, repeated in "
        f"{row['repeat_seconds']:5.1f} s, at most {row['peak_rss_gib']:.2f} GiB"
    )


if __name__ == "__main__":
    run_command(main)
