"""A few faults of every kind, each survived."""

import collections
import json
import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "try_faults.py"


@pytest.mark.slow
def test_a_run_survives_a_fault_of_every_kind(tmp_path):
    file = tmp_path / "faults.json"
    process = subprocess.run(
        [sys.executable, str(SCRIPT), "--faults=12", f"--json={file}"],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    tried = collections.Counter(
        trial["fault"]
        for trial in json.loads(file.read_text())
        if trial["result"] in ("equal", "stopped")
    )
    skipped = ["full disk"] if "full disk: skipped" in process.stdout else []
    assert len([*tried, *skipped]) == 13
