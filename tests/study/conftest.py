"""Made-up studies and results of their cells; a real study, and processes that work on one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakd_jax.configs.study import get_config
from fakd_jax.stress.images_file import StressedImage
from fakd_jax.study.cells import Cell, Study, open_study
from fakd_jax.study.results import CellResult
from fakd_jax.study.run import run_study
from fakd_jax.study.stress import STRESS_METRICS, StressResult
from tests.evaluation.runs import draw_no_figures
from tests.study.small_study import CONFIG_FILE, SMALL_STUDY
from tests.tiny import as_flags, tiny_study, tiny_study_overrides

MakeResult = Callable[..., CellResult]
StartStudy = Callable[..., subprocess.Popen]
# Four conditions, as the digits of `make_result` have it.
STRESS = {"severities": (1, 3), "families": ("gamma", "blur")}
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def whole(
    data: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """The small study run by one process without an interruption: its workdir and its report."""
    workdir = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        draw_no_figures(patch)  # of the cells' evaluations
        return workdir, run_study(tiny_study(data, cache, **SMALL_STUDY), workdir)


@pytest.fixture
def start_study(tmp_path: Path, data: Path, cache: Path) -> Iterator[StartStudy]:
    """Starts the small study as a command, in the workdir `tmp_path / "study"`."""
    config = tmp_path / "tiny.py"
    config.write_text(CONFIG_FILE)
    overrides = as_flags(tiny_study_overrides(data, cache))
    arguments = [f"--config={config}", f"--workdir={tmp_path / 'study'}", *overrides]
    processes = []

    def start(*flags: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", "fakd_jax", "study", *arguments, *flags],
            cwd=REPOSITORY,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.DEVNULL,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def student_and_kd(**keys: Any) -> Study:
    """A study of two methods; their teacher's cells are left out, to keep the reports small."""
    config = get_config("phantom")
    methods = ("student", "kd")
    config.study.update({"seeds": (0, 1), "methods": ("teacher", *methods)} | keys)
    study = open_study(config, Path("/study"))
    settings = {cell: made for cell, made in study.settings.items() if cell.method in methods}
    return replace(study, methods=methods, settings=settings)


@pytest.fixture
def make_result() -> MakeResult:
    """Makes the result of a cell that classified these test images correctly: '110', of three.

    `stress` has the digit of each image: under how many of four shifts it is right.
    """

    def make(
        method: str,
        seed: int,
        right: str,
        *,
        split: str = "official",
        fold: int | None = None,
        missed: tuple[int, int] | None = (1, 4),
        seconds: float = 10.0,
        data: str = "f" * 64,
        stress: str = "",
    ) -> CellResult:
        share = right.count("1") / len(right)
        metrics = {
            "n": len(right),
            "accuracy": share,
            "accuracy_ci95": [share / 2, (1 + share) / 2],
            "balanced_accuracy": share / 2,
            "missed_tumour": missed
            and {"count": missed[0], "n": missed[1], "rate": missed[0] / missed[1]},
            "ece": 0.1,
            "nll": 1.0,
            "provenance": {
                "weights_sha256": "w" * 64,
                "data": {"fingerprint": data},
                "split_origin": "split.json",
                "hardware": {"device": "a processor"},
            },
        }
        by_id = {f"{fold}/{place}.png": digit == "1" for place, digit in enumerate(right)}
        under_shifts = _stressed(dict(zip(by_id, stress, strict=True))) if stress else None
        cell = Cell(split, seed, method, fold)
        return CellResult(cell, metrics, by_id, seconds, stress=under_shifts)

    return make


def _stressed(digits: Mapping[str, str]) -> StressResult:
    images = {id: StressedImage("a", "", 4, int(digit)) for id, digit in digits.items()}
    accuracy = sum(image.right for image in images.values()) / (4 * len(images))
    values = (accuracy, accuracy / 2, 0.25, 0.125)
    return StressResult(dict(zip(STRESS_METRICS, values, strict=True)), "blur", images, {})
