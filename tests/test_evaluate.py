"""The command `fakd evaluate`: its flags, and errors in one line with exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fakd_jax import evaluate
from fakd_jax.cli.runner import run_command
from fakd_jax.evaluation.report.explained import MISTAKES_EXPLAINED
from fakd_jax.metrics.detection import PREVALENCES, SPECIFICITIES


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--checkpoint"),
        (["--checkpoint", "nowhere"], "no checkpoint"),
        (["--checkpoint", "nowhere", "--split", "dev"], "invalid choice"),
        (["--checkpoint", "nowhere", "--batch-size", "0"], "--batch-size"),
        (["--checkpoint", "nowhere", "--colour", "red"], "--colour"),
        (["--checkpoint", "nowhere", "--prevalence", "12"], "--prevalence"),
    ],
)
def test_wrong_flags_are_one_line(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command(evaluate.main, argv)
    text = capsys.readouterr().err
    assert ended.value.code == 2
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert message in text


def test_every_flag_reaches_the_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "fakd_jax.evaluation.run.evaluate_checkpoint", lambda **keywords: calls.append(keywords)
    )
    flags = "--checkpoint C --data D --split val --output O --cache-dir K --batch-size 8"
    flags += " --dtype bfloat16 --allow-untrained --no-calibration --compare E --class-map a=b"
    flags += " --training-data T --window auto --specificity 0.9,0.99 --prevalence 0.2"
    flags += " --explain-mistakes 2"
    evaluate.main(flags.split())
    evaluate.main(["--checkpoint", "C"])
    names = ("checkpoint", "source", "split", "output", "cache_dir", "batch_size", "dtype")
    names += ("allow_untrained", "calibration", "compare", "class_map", "training_data", "window")
    names += ("specificities", "prevalences", "explain_mistakes")
    given = ("C", "D", "val", "O", "K", 8, "bfloat16", True, False, "E", "a=b", "T", "auto")
    given += ((0.9, 0.99), (0.2,), 2)
    default = ("C", None, "test", None, None, None, None, False, True, None, "", None, "")
    default += (SPECIFICITIES, PREVALENCES, MISTAKES_EXPLAINED)
    assert calls == [dict(zip(names, values, strict=True)) for values in (given, default)]


def test_a_stress_test_comes_before_the_report_that_links_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[str, Any]] = []
    for name in ("stress.run.stress_checkpoint", "evaluation.run.evaluate_checkpoint"):
        call = name.split(".")[0]
        monkeypatch.setattr(
            f"fakd_jax.{name}", lambda call=call, **keywords: calls.append((call, keywords))
        )
    evaluate.main(
        ["--checkpoint", "C", "--stress", "--output", "O", "--compare", "E", "--split", "val"]
    )
    (first, stress), (second, evaluation) = calls
    assert (first, second) == ("stress", "evaluation")
    assert stress["output"] == Path("O/stress")
    assert not {"compare_with", "specificities", "prevalences"} & stress.keys()
    assert stress["split"] == evaluation["split"] == "val"
    assert (evaluation["output"], evaluation["compare"]) == ("O", "E")


def test_python_m_runs_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fakd_jax.evaluate", "--checkpoint", str(tmp_path / "none")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: no checkpoint")
    assert ended.stderr.count("\n") == 1
