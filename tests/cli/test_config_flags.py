from pathlib import Path

import pytest

from fakd_jax.cli.config_flags import default_workdir, parse_config_flags
from fakd_jax.errors import UserError

CONFIG = str(Path(__file__).resolve().parents[2] / "configs" / "kd.py")


def parse(*argv):
    return parse_config_flags(list(argv), "program", "does")


def test_overrides_in_both_spellings():
    config, workdir = parse(
        "--config", CONFIG, "--config.seed", "7", "--config.data.source=x", "--workdir=run"
    )
    assert (config.seed, config.data.source, workdir) == (7, "x", Path("run"))
    assert config.distillation.beta == 0.0  # what kd.py changes of fakd.py


def test_a_placeholder_takes_a_number():
    assert parse(f"--config={CONFIG}", "--config.student.batch_norm_momentum=0.5")[
        0
    ].student.batch_norm_momentum == pytest.approx(0.5)


def test_the_nearest_key_is_told():
    with pytest.raises(UserError, match=r"did you mean config\.distillation\.alpha\?"):
        parse(f"--config={CONFIG}", "--config.distillation.alfa", "1")
    with pytest.raises(UserError, match="the config file has all keys"):
        parse(f"--config={CONFIG}", "--config.qqqq=1")


def test_the_default_workdir_names_experiment_and_variant():
    for variant, expected in (("", "runs/kd"), (":phantom", "runs/kd-phantom")):
        argv = [f"--config={CONFIG}{variant}", "--config.data.source=a.py:b"]
        config, workdir = parse(*argv)
        assert workdir is None
        assert default_workdir(config, argv) == Path(expected)


def test_help_ends_well(capsys):
    with pytest.raises(SystemExit) as end:
        parse("--help")
    assert end.value.code == 0
    assert "--config" in capsys.readouterr().out
