"""A temperature and a threshold: from the metadata, or from the evaluation of the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakd_jax.errors import UserError
from fakd_jax.runs.decision import Decision, find_decision
from tests.evaluation.example_metrics import SHA, example_metrics


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A student's place in a workdir that was evaluated."""
    folder = tmp_path / "student" / "best" / "7"
    folder.mkdir(parents=True)
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "metrics.json").write_text(json.dumps(example_metrics()))
    return folder


def test_the_evaluation_of_the_same_weights_has_it(checkpoint: Path) -> None:
    assert find_decision(checkpoint, {}, SHA) == Decision(1.37, 0.7654)
    assert find_decision(checkpoint, {}, "f" * 64) is None
    assert find_decision(checkpoint.parents[1] / "last" / "7", {}, SHA) == Decision(1.37, 0.7654)


def test_an_evaluation_of_other_images_has_it_too(checkpoint: Path, tmp_path: Path) -> None:
    own = tmp_path / "evaluation"
    other = own.rename(tmp_path / "evaluation-scans-0123abcd")
    assert find_decision(checkpoint, {}, SHA) == Decision(1.37, 0.7654)
    own.mkdir()
    metrics = example_metrics()
    metrics["calibration"]["temperature"] = metrics["selective"]["reject"] = None
    (own / "metrics.json").write_text(json.dumps(metrics))
    assert find_decision(checkpoint, {}, SHA) == Decision(1.37, 0.7654)
    (other / "metrics.json").unlink()
    assert find_decision(checkpoint, {}, SHA) == Decision()


def test_the_metadata_come_first(checkpoint: Path, tmp_path: Path) -> None:
    stored = Decision(2.0, None)
    assert find_decision(checkpoint, {"decision": stored.to_dict()}, SHA) == stored
    assert find_decision(tmp_path / "alone", {}, SHA) is None
    (tmp_path / "evaluation" / "metrics.json").unlink()
    assert find_decision(checkpoint, {}, SHA) is None


@pytest.mark.parametrize(
    "stored",
    [{"temperature": 1.0, "colour": 2}, {"temperature": -1.0}, {"reject_threshold": float("nan")}],
)
def test_damaged_metadata_are_an_error(stored: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="are damaged"):
        find_decision(tmp_path, {"decision": stored}, SHA)


def test_a_damaged_evaluation_is_an_error(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "evaluation" / "metrics.json").write_text('{"provenance": {}}')
    with pytest.raises(UserError, match=r"metrics\.json is damaged"):
        find_decision(checkpoint, {}, SHA)
