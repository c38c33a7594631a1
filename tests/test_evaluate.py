"""The door `python -m fakd_jax.evaluate`: its flags, and errors in one line with exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fakd_jax import evaluate
from fakd_jax.cli.runner import run_command


def exit_of(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        run_command(evaluate.main, argv)
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "--checkpoint"),
        (["--checkpoint", "nowhere"], "no checkpoint"),
        (["--checkpoint", "nowhere", "--split", "dev"], "invalid choice"),
        (["--checkpoint", "nowhere", "--batch-size", "many"], "--batch-size"),
        (["--checkpoint", "nowhere", "--colour", "red"], "--colour"),
    ],
)
def test_wrong_flags_are_one_line(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, text = exit_of(argv, capsys)
    assert code == 2
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert told in text


def test_every_flag_reaches_the_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(
        "fakd_jax.evaluation.run.evaluate_checkpoint",
        lambda *args, **keywords: calls.append((args, keywords)),
    )
    flags = "--checkpoint C --data D --split val --output O --cache-dir K --batch-size 8"
    flags += " --dtype bfloat16 --allow-untrained --no-calibration --compare E"
    evaluate.main(flags.split())
    evaluate.main(["--checkpoint", "C"])
    assert calls[0] == (
        ("C",),
        {
            "source": "D",
            "split": "val",
            "output": "O",
            "cache_dir": "K",
            "batch_size": 8,
            "dtype": "bfloat16",
            "allow_untrained": True,
            "calibration": False,
            "compare": "E",
        },
    )
    assert calls[1][1]["source"] is None
    assert calls[1][1]["split"] == "test"
    assert calls[1][1]["calibration"] is True
    assert calls[1][1]["compare"] is None


def test_the_module_is_a_door(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fakd_jax.evaluate", "--checkpoint", str(tmp_path / "none")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: no checkpoint")
    assert ended.stderr.count("\n") == 1
    assert "Traceback" not in ended.stderr
