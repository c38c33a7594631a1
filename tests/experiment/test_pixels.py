"""Images of more than 8 bits from training to evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fakd_jax.evaluation.setup import open_predictor, open_setup
from fakd_jax.experiment.teacher_and_student import ExperimentResult
from fakd_jax.explanation.subjects import subjects_from_files
from tests.data.deep_images import write_deep_images


@pytest.fixture(scope="module")
def checkpoint(
    run: Callable[..., ExperimentResult], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A teacher trained on images of 12 bits."""
    folder = tmp_path_factory.mktemp("deep")
    data = write_deep_images(folder / "data", train=10, test=4)  # as many as in other tests' runs
    trained = run("teacher", folder / "run", data=data)
    assert trained.teacher is not None
    return trained.teacher


def test_the_window_is_kept_and_other_data_are_brought_to_8_bits_by_it(
    checkpoint: Path, tmp_path: Path
) -> None:
    predictor = open_predictor(checkpoint)
    assert predictor.metadata["preprocessing"]["pixels"]["window"]["high"] == 4_095
    other = write_deep_images(tmp_path / "other", high=1_000, scale=1 / 16, seed=1)
    lines: list[str] = []
    setup = open_setup(
        predictor,
        None,
        source=str(other),
        split="test",
        cache_dir=tmp_path / "cache",
        log=lines.append,
    )
    assert setup.dataset.pixels == predictor.preprocessing.pixels
    assert setup.dataset.read(0).max() == round(1_000 // 16 * 255 / 4_095)
    assert "8 of 8 images looked at are much unlike the training images" in lines[-1]
    assert "much darker" in setup.images.note
    (subject,) = subjects_from_files(
        [str(other / setup.images.ids[0])], predictor.preprocessing.pixels
    )
    assert (subject.read() == setup.dataset.read(0)).all()
