"""What tests of whole runs share: runs as processes of their own, and comparisons."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fakd_jax.models.checkpoint import load_model, resolve_checkpoint
from fakd_jax.runs.workdir import read_records
from fakd_jax.training.state import to_named_arrays
from tests.tiny import as_flags

REPOSITORY = Path(__file__).resolve().parents[2]
TIMINGS = {"images_per_second", "seconds"}


def metrics_of(workdir: Path) -> list[dict[str, Any]]:
    """The records of a run without its timings."""
    return [
        {name: value for name, value in record.items() if name not in TIMINGS}
        for record in read_records(workdir)
    ]


def assert_same_weights(first: Path, second: Path) -> None:
    """Checks that two checkpoints, or those of two workdirs, have the same bits."""
    flat = [to_named_arrays(load_model(resolve_checkpoint(path))[0]) for path in (first, second)]
    assert flat[0].keys() == flat[1].keys()
    for name in flat[0]:
        np.testing.assert_array_equal(flat[0][name], flat[1][name], err_msg=name)


TINY_TRAIN = """
import sys
from tests.tiny import register_tiny_models
register_tiny_models()
from fakd_jax import train
from fakd_jax.cli.runner import run_command
run_command(train.main, sys.argv[1:])
"""


def start_fakd(
    workdir: Path, overrides: dict[str, object], **variables: str
) -> subprocess.Popen[bytes]:
    """Starts a tiny FAKD run as a process of its own, with environment variables."""
    arguments = ["--config=fakd", f"--workdir={workdir}", *as_flags(overrides)]
    return subprocess.Popen(
        [sys.executable, "-c", TINY_TRAIN, *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
