"""The command: every wrong input is one line and exit code 2; every flag arrives."""

from __future__ import annotations

from typing import Any

import pytest

from fakd_jax.cli.runner import run_command
from fakd_jax.stress.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--checkpoint"),
        (["--checkpoint=nowhere"], "no checkpoint"),
        (["--checkpoint=nowhere", "--families=blur,fog"], "fog; known: gamma"),
        (["--checkpoint=nowhere", "--severities=1,6"], "1 to 5"),
        (["--checkpoint=nowhere", "--severities=mild"], "not an integer"),
        (["--checkpoint=nowhere", "--seed=-1"], "--seed"),
    ],
)
def test_wrong_input_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command(main, arguments)
    text = capsys.readouterr().err
    assert ended.value.code == 2
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert message in text


def test_every_flag_reaches_the_stress_test(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "fakd_jax.stress.run.stress_checkpoint", lambda **keywords: calls.append(keywords)
    )
    flags = "--checkpoint C --data D --split val --output O --cache-dir K --batch-size 8 --seed 3"
    flags += " --dtype bfloat16 --allow-untrained --no-calibration --compare E --families a,b"
    flags += " --class-map x=y --window percentiles --training-data T"
    main([*flags.split(), "--severities", "1,3"])
    assert calls == [
        {
            "checkpoint": "C",
            "source": "D",
            "class_map": "x=y",
            "window": "percentiles",
            "training_data": "T",
            "split": "val",
            "output": "O",
            "cache_dir": "K",
            "batch_size": 8,
            "seed": 3,
            "dtype": "bfloat16",
            "allow_untrained": True,
            "calibration": False,
            "compare_with": "E",
            "families": ("a", "b"),
            "severities": (1, 3),
        }
    ]
