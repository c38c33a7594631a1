"""Converts PyTorch weights to a checkpoint of fakd_jax: the same as `fakd convert`.

    python scripts/convert_weights.py --arch resnet50 --input imagenet --output weights/resnet50

`fakd convert --help` describes the flags.
"""

from __future__ import annotations

from fakd_jax.cli.runner import run_command
from fakd_jax.convert.__main__ import main

if __name__ == "__main__":
    run_command(main)
