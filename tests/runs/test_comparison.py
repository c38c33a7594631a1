"""Two stored runs compared value by value."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakd_jax.data.splits import Split
from fakd_jax.errors import UserError
from fakd_jax.models.checkpoint import load_model, save_model
from fakd_jax.runs.comparison import Comparison, compare_runs, compare_values
from tests.tiny import save_tiny_checkpoint

RECORDS = [
    {"phase": "student", "kind": "train", "step": 7, "epoch": 1, "loss": 1.5, "seconds": 2.0},
    {"phase": "student", "kind": "val", "step": 7, "epoch": 1, "loss": 1.25, "accuracy": 0.5},
]
METRICS = {
    "accuracy": 0.75,
    "confusion_matrix": [[3, 1], [1, 3]],
    "per_class": {"glioma": {"auroc": None}},
    "latency": [{"median_ms": 3.0}],
    "notes": ["a path"],
}
SPLIT = Split(
    train=("a", "b"),
    val=("c",),
    test=("d",),
    kind="official",
    seed=0,
    validation_fraction=0.2,
    fingerprint="f" * 64,
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a student alone."""
    workdir = save_tiny_checkpoint(tmp_path_factory.mktemp("stored") / "run")
    SPLIT.save(workdir / "split.json")
    write_records(workdir, RECORDS)
    write_metrics(workdir, METRICS)
    return workdir


@pytest.fixture
def other(stored: Path, tmp_path: Path) -> Path:
    """A copy of that run."""
    shutil.copytree(stored, tmp_path / "other")
    return tmp_path / "other"


def write_records(workdir: Path, records: list[dict[str, object]]) -> None:
    text = "".join(json.dumps(record) + "\n" for record in records)
    (workdir / "metrics.jsonl").write_text(text)


def write_metrics(workdir: Path, metrics: dict[str, object]) -> None:
    (workdir / "evaluation").mkdir(exist_ok=True)
    (workdir / "evaluation" / "metrics.json").write_text(json.dumps(metrics))


def by_name(first: Path, second: Path) -> dict[str, Comparison]:
    return {comparison.name: comparison for comparison in compare_runs(first, second)}


def test_equal_runs_differ_in_timings_and_paths_alone(stored: Path, other: Path) -> None:
    write_records(other, [record | {"seconds": 9.0} for record in RECORDS])
    write_metrics(other, METRICS | {"latency": None, "notes": ["another path"]})
    found = by_name(stored, other)
    assert list(found) == ["split", "student losses", "student weights", "student metrics"]
    assert all(comparison.is_same for comparison in found.values())
    first, second = found["student weights"].digests
    assert first == second
    assert len(first) == 64
    counts = {name: comparison.compared for name, comparison in found.items()}
    assert (counts["split"], counts["student losses"], counts["student metrics"]) == (4, 5, 6)


def test_one_bit_of_one_array_is_found(stored: Path, other: Path) -> None:
    folder = other / "student" / "best" / "7"
    state, metadata = load_model(folder)
    kernel = np.array(state["params"]["classifier_3"]["kernel"])
    kernel[0, 0] = np.nextafter(kernel[0, 0], np.float32(np.inf))
    state["params"]["classifier_3"]["kernel"] = kernel
    save_model(folder, state, metadata)
    weights = by_name(stored, other)["student weights"]
    assert (weights.different, weights.where) == (1, "params.classifier_3.kernel")
    assert 0 < weights.largest < 1e-2
    assert weights.digests[0] != weights.digests[1]


def test_every_other_kind_of_difference_is_found(stored: Path, other: Path) -> None:
    replace(SPLIT, train=("a", "c"), val=("b",)).save(other / "split.json")
    write_records(other, [RECORDS[0], RECORDS[1] | {"loss": 1.5}])
    write_metrics(other, METRICS | {"accuracy": 0.5, "n": 8})
    found = by_name(stored, other)
    assert (found["split"].different, found["split"].largest) == (2, None)
    losses = found["student losses"]
    assert (losses.different, losses.largest, losses.where) == (1, 0.25, "val step 7 loss")
    metrics = found["student metrics"]
    assert (metrics.different, metrics.largest, metrics.where) == (2, 0.25, "accuracy")
    assert found["student weights"].is_same


def test_what_one_run_lacks_is_a_difference_and_a_lost_checkpoint_an_error(
    stored: Path, other: Path
) -> None:
    (other / "evaluation" / "metrics.json").unlink()
    assert by_name(stored, other)["student metrics"].different == 6
    shutil.rmtree(other / "student")
    with pytest.raises(UserError, match="no checkpoint"):
        compare_runs(stored, other)
    write_records(other, [])  # never trained
    weights = by_name(stored, other)["student weights"]
    assert weights.compared == weights.different > 1
    assert len(weights.digests[0]) == 64
    assert weights.digests[1] == "none"


def test_values_are_compared_by_their_bits() -> None:
    nan = float("nan")
    first = {"nan": nan, "none": None, "text": "a", "array": np.array([1.0, nan]), "zero": 0.0}
    assert compare_values("values", first, dict(first)).is_same
    second = first | {"none": 1.0, "text": "b", "array": np.array([1.0, 2.0, 3.0])}
    found = compare_values("values", first, second)
    assert (found.different, found.largest, found.where) == (3, None, "none")
    found = compare_values("values", first, first | {"zero": -0.0, "nan": 1.0})
    assert (found.different, found.largest, found.where) == (2, 0.0, "zero")
    assert compare_values("values", {"a": np.inf}, {"a": 1.0}).largest is None
