"""Prints how well a random forest names the phantoms by size and brightness alone.

    python scripts/phantom_shortcuts.py [--train-per-class N] [--test-per-class N] [--seed N]

It learns from the training pictures and is scored on the test pictures. Chance is 25 %.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from fakd_jax.cli.runner import CommandParser, run_command
from fakd_jax.data.phantom.dataset import CLASS_NAMES, write_phantoms

TREES = 300


def main(argv: list[str]) -> None:
    parser = CommandParser(prog="phantom_shortcuts.py", description=__doc__.splitlines()[0])
    parser.add_argument("--train-per-class", type=int, default=500, help="training pictures [500]")
    parser.add_argument("--test-per-class", type=int, default=150, help="test pictures [150]")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures [0]")
    flags = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        write_phantoms(Path(folder), **vars(flags))
        accuracy = forest_accuracy(Path(folder))
    print(f"random forest on size and brightness: {accuracy:.1%} accuracy (chance 25.0%)")


def forest_accuracy(folder: Path) -> float:
    """Fits a random forest to `folder/Training` and returns its accuracy on `folder/Testing`."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(TREES, random_state=0, n_jobs=-1)
    return float(forest.fit(*_table(folder / "Training")).score(*_table(folder / "Testing")))


def _table(folder: Path) -> tuple[Float[np.ndarray, "N F"], list[str]]:
    """The statistics of all pictures and the names of their classes."""
    files = [file for name in CLASS_NAMES for file in sorted((folder / name).iterdir())]
    return np.stack([_statistics(file) for file in files]), [f.parent.name for f in files]


def _statistics(file: Path) -> Float[np.ndarray, " F"]:
    """Sizes of a grey picture and of its file; moments, quantiles and histogram of its pixels."""
    grey: UInt8[np.ndarray, "H W"] = np.asarray(Image.open(file))
    height, width, size = *grey.shape, file.stat().st_size
    tissue = grey[grey >= 16]
    return np.concatenate(
        [
            [size, height, width, height / width, size / grey.size],
            [grey.mean(), grey.std(), tissue.size / grey.size, tissue.mean(), tissue.std()],
            np.percentile(grey, [1, 5, 10, 25, 50, 75, 90, 95, 99]),
            np.histogram(grey, 32, (0, 256))[0] / grey.size,
        ]
    )


if __name__ == "__main__":
    run_command(main)
