import re
from pathlib import Path

import pytest

from fakd_jax.cli.config_flags import parse_config_flags
from fakd_jax.errors import UserError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def parse(*argv):
    return parse_config_flags(list(argv), "program", "does")


@pytest.mark.parametrize("target", ["kd", str(CONFIGS / "kd.py")])
@pytest.mark.parametrize(("variant", "folder"), [("", "kd"), (":phantom", "kd-phantom")])
def test_a_packaged_name_and_a_path_are_the_same_config(target, variant, folder):
    config, workdir = parse(f"--config={target}{variant}", "--config.data.cache_dir=a.py:b")
    assert (config.name, config.distillation.beta, config.distillation.alpha) == ("kd", 0.0, 0.5)
    assert (config.data.source == "phantom") == (variant == ":phantom")
    assert workdir == Path("runs", folder)


def test_a_file_of_ones_own_may_import_its_siblings_and_packaged_configs(tmp_path):
    folder = tmp_path / "my_configs"
    folder.mkdir()
    (folder / "my_rates.py").write_text("RATE = 0.25\n")
    (folder / "my_base.py").write_text("SEED = 4\n")
    (folder / "mine.py").write_text(
        "from fakd_jax.configs import fakd\nfrom my_configs import my_base\nimport my_rates\n"
        "def get_config():\n"
        "    config = fakd.get_config()\n"
        "    config.name, config.seed = 'mine', my_base.SEED\n"
        "    config.optimizer.learning_rate = my_rates.RATE\n"
        "    return config\n"
    )
    config, workdir = parse(f"--config={folder / 'mine.py'}")
    assert (config.seed, config.optimizer.learning_rate) == (4, 0.25)
    assert workdir == Path("runs/mine")


def test_overrides_in_both_spellings():
    config, workdir = parse(
        *("--config", "kd", "--config.seed", "7", "--config.data.source=x", "--workdir=run"),
        "--config.student.batch_norm_momentum=0.5",  # a placeholder
    )
    assert (config.seed, config.data.source, workdir) == (7, "x", Path("run"))
    assert config.student.batch_norm_momentum == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kd:student,fakd:student", ("kd:student", "fakd:student")),
        ("kd:student, fakd:student,", ("kd:student", "fakd:student")),
        ("kd:student", ("kd:student",)),
        ("kd,fakd", ("kd", "fakd")),
        ("kd", ("kd",)),
        ("('kd:student','fakd:student')", ("kd:student", "fakd:student")),
        ("1,2", (1, 2)),
        ("1,", (1,)),
        ("1", (1,)),
        ("()", ()),
        ("", ()),
    ],
)
def test_lists_are_words_or_python(text, expected):
    config, _ = parse("--config=study", f"--config.study.comparisons={text}")
    assert config.study.comparisons == expected
    config, _ = parse(
        "--config=study", "--config.study.comparisons", text, "--config.study.baseline=a,b"
    )
    assert config.study.comparisons == expected
    assert config.study.baseline == "a,b"  # no list


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--config=study", "--config.study.seeds"], "seeds"),
        ([], "--config is missing"),
        (["--config=fakdd"], "no config 'fakdd'.* fakd, .*teacher"),
        (["--config=configs/nonsense.py"], r"configs/nonsense\.py"),
        (["--config=fakd:nonsense"], "unknown variant 'nonsense'; known: phantom"),
        (["--config=fakd", "--config.distillation.alfa", "1"], r"mean config\.distillation\.alpha"),
        (["--config=fakd", "--config.qqqq=1"], "the config file has all keys"),
        (["--config=fakd", "--config.seed=many"], "many"),
        (["--config=fakd", "--nonsense=1"], "nonsense"),
        (["--config=fakd", "stray"], "stray"),
    ],
)
def test_wrong_flags_are_user_errors(argv, message):
    with pytest.raises(UserError, match=message) as error:
        parse(*argv)
    assert "\n" not in str(error.value)


def test_help_lists_the_packaged_configs(capsys):
    with pytest.raises(SystemExit) as end:
        parse("--help")
    assert end.value.code == 0
    assert re.search(r"\n  teacher +The teacher alone", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def (", "cannot be run .SyntaxError"),
        ("import nothing_like_it", "ModuleNotFoundError"),
        ("raise SystemExit(7)", "SystemExit: 7"),
        ("def get_config(): return get_config()", "RecursionError"),
        ("def get_config(): raise RuntimeError('a\\nb')", "RuntimeError: a b"),
        ("def get_config(): return None", "must return a ConfigDict, not None"),
        ("", "get_config"),
    ],
)
def test_config_files_that_fail_are_user_errors(tmp_path, content, message):
    (tmp_path / "mine.py").write_text(content)
    with pytest.raises(UserError, match=message) as error:
        parse(f"--config={tmp_path / 'mine.py'}")
    assert "\n" not in str(error.value)
