"""The train door: every wrong input is one line and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from fakd_jax import train
from fakd_jax.cli import runner as cli
from tests.tiny import as_flags, tiny_overrides, write_images

REPOSITORY = Path(__file__).resolve().parent.parent
CONFIG = f"--config={REPOSITORY / 'configs' / 'fakd.py'}"


def door(capsys, *arguments):
    """Runs the door as the command line does; returns its exit code and its standard error."""
    try:
        cli.run_command(train.main, [str(argument) for argument in arguments])
        code = 0
    except SystemExit as end:
        code = end.code
    return code, capsys.readouterr().err


def assert_refused(capsys, *arguments, told):
    code, errors = door(capsys, *arguments)
    assert code == 2, errors
    lines = [line for line in errors.splitlines() if line]
    assert len(lines) == 1, errors
    assert lines[0].startswith("error: ")
    for words in told:
        assert words in lines[0], lines[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], ["--config"]),
        (["--config=configs/nonsense.py"], ["nonsense.py"]),
        ([CONFIG + ":nonsense"], ["unknown variant", "phantom"]),
        ([CONFIG, "--config.no_such_key=1"], ["no_such_key"]),
        ([CONFIG, "--config.distillation.alfa=1"], ["no config.distillation.alfa", "n.alpha?"]),
        ([CONFIG, "--config.seed=many"], ["many"]),
        ([CONFIG, "--nonsense=1"], ["nonsense"]),
        ([CONFIG, "stray"], ["stray"]),
    ],
)
def test_wrong_flags(capsys, arguments, told):
    assert_refused(capsys, *arguments, told=told)


def test_values_out_of_range_are_all_named(capsys, tmp_path):
    assert_refused(
        capsys,
        CONFIG,
        f"--workdir={tmp_path}",
        "--config.distillation.alpha=2.0",
        "--config.batch_size=0",
        told=["alpha=2.0", "batch_size=0"],
    )


def test_a_workdir_that_is_a_file(capsys, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert_refused(capsys, CONFIG, f"--workdir={file}", told=["--workdir", str(file)])


def test_data_that_are_not_there(capsys, tmp_path):
    overrides = tiny_overrides(tmp_path / "nowhere", tmp_path / "cache")
    arguments = [CONFIG, f"--workdir={tmp_path / 'run'}", *as_flags(overrides)]
    assert_refused(capsys, *arguments, told=["nowhere"])


def test_an_empty_class_folder(capsys, tmp_path):
    data = write_images(tmp_path / "data", train=3, test=2)
    for file in (data / "Training" / "glioma").iterdir():
        file.unlink()
    overrides = tiny_overrides(data, tmp_path / "cache")
    arguments = [CONFIG, f"--workdir={tmp_path / 'run'}", *as_flags(overrides)]
    assert_refused(capsys, *arguments, told=["glioma"])


def test_an_unknown_network(capsys, tmp_path):
    data = write_images(tmp_path / "data", train=12, test=2)
    overrides = tiny_overrides(data, tmp_path / "cache") | {"teacher.arch": "resnet51"}
    arguments = [CONFIG, f"--workdir={tmp_path / 'run'}", *as_flags(overrides)]
    assert_refused(capsys, *arguments, told=["resnet51", "resnet50"])


def test_weights_that_are_not_there(capsys, tmp_path):
    data = write_images(tmp_path / "data", train=12, test=2)
    overrides = tiny_overrides(data, tmp_path / "cache")
    overrides["teacher.pretrained"] = str(tmp_path / "nowhere.pth")
    arguments = [CONFIG, f"--workdir={tmp_path / 'run'}", *as_flags(overrides)]
    assert_refused(capsys, *arguments, told=["nowhere.pth"])


def test_the_step_needs_none_of_the_heavy_libraries():
    """jax, flax, optax and numpy are enough to train: what one task needs is imported there."""
    heavy = ("torch", "tensorflow_datasets", "grain", "lime", "skimage", "sklearn", "matplotlib")
    code = (
        "import sys, fakd_jax.training.step; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
