"""A few faults of every kind, each survived."""

import collections
import importlib
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from fakd_jax.errors import UserError
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


@pytest.fixture
def script(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    return importlib.import_module("scripts.try_faults")


def test_a_fault_that_does_not_exist_is_refused(script, monkeypatch):
    monkeypatch.setattr(script, "Lab", None)
    with pytest.raises(UserError, match="SIGTERM"):
        script.main(["--only=TYPO"])


def test_a_fault_that_never_struck_is_named(script, monkeypatch, capsys):
    faults = {
        "late": (lambda lab, draw: ("missed", "after the end"), 1),
        "struck": (lambda lab, draw: ("equal", ""), 1),
    }
    monkeypatch.setattr(script, "FAULTS", faults)
    trials = [*script.try_faults(SimpleNamespace(disk=None), faults=4, seed=0, only="")]
    assert [trial.result for trial in trials] == ["missed"] * 6 + ["equal"] * 2
    (line,) = capsys.readouterr().out.splitlines()
    assert "late" in line
