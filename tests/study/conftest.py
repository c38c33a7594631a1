"""Made-up studies, and results of their cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fakd_jax.configs.study import get_config
from fakd_jax.study.cells import Cell, Study, open_study
from fakd_jax.study.results import CellResult

MakeResult = Callable[..., CellResult]


def student_and_kd() -> Study:
    """A study of two methods; their teacher's cells are left out, to keep the reports small."""
    config = get_config("phantom")
    methods = ("student", "kd")
    config.study.update({"seeds": (0, 1), "methods": ("teacher", *methods)})
    study = open_study(config, Path("/study"))
    settings = {cell: made for cell, made in study.settings.items() if cell.method in methods}
    return replace(study, methods=methods, settings=settings)


@pytest.fixture
def make_result() -> MakeResult:
    """Makes the result of a cell that classified these test images correctly: '110', of three."""

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
        return CellResult(Cell(split, seed, method, fold), metrics, by_id, seconds)

    return make
