"""The study command: every wrong input is one line and exit code 2."""

import pytest

from fakd_jax.cli.runner import run_command
from fakd_jax.study.__main__ import main

CONFIG = "--config=study"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--config"]),
        ([CONFIG + ":nonsense"], ["unknown variant", "phantom"]),
        (["--config=fakd"], ["not the config of a study", "configs/study.py"]),
        ([CONFIG, "--config.study.methods=teacher,fakt"], ["'fakt'", "known", "feature"]),
        ([CONFIG, "--config.study.seeds=one"], ["non-negative integers"]),
        ([CONFIG, "--config.study.seed=1"], ["no config.study.seed", "study.seeds?"]),
        ([CONFIG, "--config.base.seed=1"], ["no config.base.seed"]),
        ([CONFIG, "--config.base.batch_size=0"], ["config.base.batch_size=0"]),
        ([CONFIG, "--config.base.data.source=nowhere"], ["nowhere"]),
    ],
)
def test_wrong_input_is_one_line(capsys, tmp_path, arguments, words):
    with pytest.raises(SystemExit) as ended:
        run_command(main, [*arguments, f"--workdir={tmp_path / 'study'}"])
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1, errors
    assert all(word in errors for word in words), errors
