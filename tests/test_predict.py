"""`fakd predict` with a checkpoint: the command, and the library's call."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import fakd_jax
from fakd_jax import Predictor, predict
from fakd_jax.cli.runner import run_command
from fakd_jax.errors import UserError
from fakd_jax.inference.predictor import softmax
from fakd_jax.prediction.unfinished import hidden_folder
from tests.ray_errors import EXCEPTIONS
from tests.tiny import CLASS_NAMES, edit_metadata, save_tiny_checkpoint, write_image

REPOSITORY = Path(__file__).resolve().parent.parent
COUNT = 7
BATCH_SIZE = 3


@pytest.fixture(autouse=True)
def _no_compilation_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakd_jax.predict.use_compilation_cache", lambda: None)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("run"), head_scale=300)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for number in range(COUNT):
        write_image(folder / f"{number}.png", number)
    return folder


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return [*csv.DictReader(lines)]


@pytest.fixture(scope="module")
def logits(workdir: Path, scans: Path) -> np.ndarray:
    """What the predictor computes for the images."""
    images = [np.array(Image.open(scans / f"{number}.png")) for number in range(COUNT)]
    predictor = Predictor.from_checkpoint(workdir, batch_size=BATCH_SIZE)
    return predictor.predict_logits(np.stack(images))


def probabilities_in(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array([[row[f"p_{name}"] for name in CLASS_NAMES] for row in rows], np.float32)


def test_probabilities_are_those_of_the_predictor(
    workdir: Path,
    scans: Path,
    logits: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = io.BytesIO(f"{scans}\n".encode())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=paths))
    output = tmp_path / "rows.csv"
    named = [str(scans / "3.png"), "--list", "-"]
    flags = ["--output", str(output), "--batch-size", str(BATCH_SIZE)]
    predict.main(["--checkpoint", str(workdir), *named, *flags])
    rows = rows_of(output)
    order = [3, 0, 1, 2, 4, 5, 6]
    expected = softmax(logits)[order]
    assert [row["path"] for row in rows] == [str(scans / f"{n}.png") for n in order]
    np.testing.assert_array_equal(probabilities_in(rows), expected)
    assert [row["prediction"] for row in rows] == [CLASS_NAMES[i] for i in expected.argmax(1)]
    assert len({*expected[:, 0]}) == COUNT
    assert f"{COUNT:,} rows of {COUNT:,} files, 0 with an error" in capsys.readouterr().out


def test_the_decision_in_the_metadata_is_applied(
    scans: Path, logits: np.ndarray, tmp_path: Path
) -> None:
    workdir = save_tiny_checkpoint(tmp_path / "run", head_scale=300)
    checkpoint = workdir / "student" / "best" / "7"
    confidence = softmax(logits).max(axis=1)
    threshold = float(np.sort(confidence)[3:5].mean())
    edit_metadata(checkpoint, decision={"temperature": 2.5, "reject_threshold": threshold})
    lines: list[str] = []
    summary = fakd_jax.predict(
        checkpoint, scans, tmp_path / "rows.csv", batch_size=BATCH_SIZE, log=lines.append
    )
    rows = rows_of(summary.output)
    powers = np.exp(logits.astype(float) / 2.5)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities_in(rows), expected, rtol=1e-5)
    assert [row["abstained"] == "true" for row in rows] == (confidence < threshold).tolist()
    assert summary.tally.abstained == 4
    assert not [line for line in lines if "calibrated" in line]


def test_wrong_calls_are_one_line(workdir: Path, scans: Path, tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    for flags, expected in (
        (["--window", "wide"], "the window 'wide' must be"),
        (["--slice-axis", "oblique"], "invalid choice"),
        (["--batch-size", "0"], "at least 1"),
        (["--runtime", "abacus"], "invalid choice"),
    ):
        with pytest.raises(UserError, match=expected):
            predict.main(
                ["--checkpoint", str(workdir), str(scans), "--output", str(output), *flags]
            )
    with pytest.raises(UserError, match="must end in"):
        fakd_jax.predict(workdir, scans, tmp_path / "rows.txt")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--ray-address=auto"], ["--ray-address needs --engine ray"]),
        (["--engine=ray", "--ray-address=127.0.0.1:1"], ["cannot connect to Ray at 127.0.0.1:1 "]),
        (["--engine=ray"], ["fakd predict --engine ray needs ray: pip install 'fakd_jax[ray]'"]),
    ],
)
def test_wrong_flags_and_no_ray_are_one_line(
    workdir: Path,
    scans: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    words: list[str],
) -> None:
    address = any("address" in flag for flag in flags)
    no_cluster = SimpleNamespace(init=pytest.fail, exceptions=EXCEPTIONS)
    monkeypatch.setitem(sys.modules, "ray", no_cluster if address else None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(SystemExit) as ended:
        run_command(
            predict.main,
            [f"--checkpoint={workdir}", str(scans), f"--output={tmp_path / 'rows.csv'}", *flags],
        )
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert all(word in errors for word in words), errors
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_killed_at_any_moment_no_row_is_lost_or_doubled(workdir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(40):
        write_image(tmp_path / f"{number}.png", number)
    for number in range(1_500):
        os.link(tmp_path / f"{number % 40}.png", folder / f"{number:05}.png")
    code = (
        "import sys; from tests.tiny import register_tiny_models; register_tiny_models(); "
        "import fakd_jax.prediction.unfinished as u; u.COMMIT_SECONDS = 0.05; "
        "from fakd_jax import predict; predict.main(sys.argv[1:])"
    )

    def start(output: Path) -> subprocess.Popen:
        flags = ["--checkpoint", str(workdir), str(folder), "--output", str(output)]
        return subprocess.Popen([sys.executable, "-c", code, *flags], cwd=REPOSITORY)

    whole, killed = tmp_path / "whole.csv", tmp_path / "killed.csv"
    assert start(whole).wait(300) == 0
    rows = hidden_folder(killed) / "rows"
    kills = 0
    for share in (0.0, 0.2, 0.5, 0.8):
        process = start(killed)
        while process.poll() is None:
            if rows.exists() and rows.stat().st_size > share * whole.stat().st_size:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                break
            time.sleep(0.001)
    assert kills == 4
    assert not killed.exists()
    assert start(killed).wait(300) == 0
    assert killed.read_bytes() == whole.read_bytes()
    assert not hidden_folder(killed).exists()
