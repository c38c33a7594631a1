"""The train command: every wrong input results in one line and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from fakd_jax import train
from fakd_jax.cli import runner as cli
from tests.tiny import as_flags, tiny_overrides, write_images

REPOSITORY = Path(__file__).resolve().parent.parent


def assert_refused(capsys, *arguments, parts):
    """Runs the command as the command line does, and checks its error."""
    with pytest.raises(SystemExit) as end:
        cli.run_command(train.main, ["--config=fakd", *arguments])
    errors = capsys.readouterr().err
    assert end.value.code == 2, errors
    (line,) = [line for line in errors.splitlines() if line]
    assert line.startswith("error: ")
    for part in parts:
        assert part in line


def test_wrong_settings_are_all_named_before_a_workdir_is_made(capsys, tmp_path):
    wrong = ("--config.distillation.alpha=2.0", "--config.batch_size=0")
    assert_refused(capsys, f"--workdir={tmp_path / 'run'}", *wrong, parts=["alpha=2.0", "size=0"])
    assert_refused(capsys, "--config.distillation.alfa=1", parts=["distillation.alpha?"])
    assert not (tmp_path / "run").exists()


def test_a_workdir_that_is_a_file(capsys, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert_refused(capsys, f"--workdir={file}", parts=["--workdir", str(file)])


@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        ({"data.source": "nowhere"}, ["nowhere"]),
        ({"teacher.arch": "resnet51"}, ["resnet51", "resnet50"]),
        ({"teacher.pretrained": "nowhere.pth"}, ["nowhere.pth"]),
    ],
)
def test_what_is_not_there(capsys, tmp_path, wrong, parts):
    data = write_images(tmp_path / "data", train=12, test=2)
    overrides = tiny_overrides(data, tmp_path / "cache") | wrong
    assert_refused(capsys, f"--workdir={tmp_path / 'run'}", *as_flags(overrides), parts=parts)


def test_an_empty_class_folder(capsys, tmp_path):
    data = write_images(tmp_path / "data", train=3, test=2)
    for file in (data / "Training" / "glioma").iterdir():
        file.unlink()
    overrides = as_flags(tiny_overrides(data, tmp_path / "cache"))
    assert_refused(capsys, f"--workdir={tmp_path / 'run'}", *overrides, parts=["glioma"])


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
