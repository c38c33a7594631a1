"""A few faults of every kind, each survived."""

import collections
import importlib
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
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


def test_a_random_time_is_before_the_last_write_and_counted_from_the_one_before_it():
    faults = importlib.import_module("scripts.faults.faults")
    draw = np.random.default_rng(0)
    times = [faults.moment((0.0, 2.0, 2.5, 10.0), draw) for _ in range(400)]
    longest = {
        number: max(delay for other, delay in times if other == number) for number in range(3)
    }
    assert {number for number, _ in times} == longest.keys()
    assert longest == pytest.approx({0: 2.0, 1: 0.5, 2: 7.5}, abs=0.1)
    assert all(delay >= 0 for _, delay in times)
    assert sum(number == 2 for number, _ in times) == pytest.approx(300, abs=40)
