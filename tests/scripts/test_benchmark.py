"""The benchmark: its table, its refusals, and a whole small run against PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "benchmark.py"


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *flags], capture_output=True, text=True, check=False
    )


def test_the_table_has_ratios_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    from benchmarks.report import table

    def side(median: float, **more: object) -> dict[str, object]:
        memory = {"peak": 3e9, "steady": 2e9, "device": None}
        quartiles = [median - 0.1, median + 0.1]
        return {
            "median": median,
            "quartiles": quartiles,
            "memory": memory,
            "first_call": 5.0,
        } | more

    text = table(
        {
            "settings": {"batch": 32, "image_size": 224},
            "machine": {"device": "a processor", "cpu_count": 2, "jax": "0.10"},
            "rates": {"matmul_float32": 2e11, "matmul_bfloat16": 1e11, "bandwidth": 1e10},
            "measures": {
                "ce_step": {
                    "ours": side(
                        0.5,
                        first_call_cold=21.0,
                        compilation=2.0,
                        compilation_cold=12.0,
                        flops=4e10,
                        bytes=3e9,
                    ),
                    "torch": side(1.0),
                }
            },
        }
    )
    assert "| ce_step | torch | 1000.0 | 900.0–1100.0 | 0.50 | 3,000 (2,000) | 5.0 |" in text
    assert "| ce_step | ours | 500.0 | 400.0–600.0 |  | 3,000 (2,000) | 21.0, cached 5.0 |" in text
    assert "40 GFLOP would take 200 ms" in text
    assert "3.0 GB 300 ms" in text
    assert "Compiled in 12.0 s, with a filled cache in 2.0 s." in text


def test_a_wrong_flag_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = run("--output", str(tmp_path), "--measures", "nothing")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "ce_step" in done.stderr


@pytest.mark.slow
@pytest.mark.torch
def test_a_small_run_beside_pytorch(tmp_path: Path) -> None:
    pytest.importorskip(
        "torchvision", reason="the benchmark compares with torchvision", exc_type=ImportError
    )
    small = ["--image-size", "64", "--batch", "4", "--repeats", "2", "--seconds", "0.1"]
    measures = ["student_forward_b1", "ce_step", "input_pipeline"]
    done = run(
        "--output", str(tmp_path), "--sides", "ours", "torch", *small, "--measures", *measures
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "benchmark.json").read_text())
    assert set(record["measures"]) == set(measures)
    for sides in record["measures"].values():
        assert set(sides) == {"ours", "torch"}
        assert all(side["median"] > 0 and side["calls"] >= 2 for side in sides.values())
    assert record["measures"]["ce_step"]["ours"]["flops"] > 1e6
    assert (tmp_path / "benchmark.md").read_text() in done.stdout
