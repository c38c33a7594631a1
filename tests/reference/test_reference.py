"""The files of a reference: what they keep, and what damage results in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fakd_jax.errors import UserError
from fakd_jax.reference import Reference, find_reference
from tests.reference.references import SHA, a_reference

FEATURES = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
DARK, GOOD = np.zeros((9, 7, 3), np.uint8), np.full((20, 16, 3), 100, np.uint8)


def test_a_reference_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = a_reference()
    written.save(tmp_path)
    read = Reference.load(tmp_path)
    np.testing.assert_array_equal(read.foreign_scores(FEATURES), written.foreign_scores(FEATURES))
    assert read.foreign_threshold == 0.5
    assert read.limits == written.limits
    assert (read.weights_sha256, read.fitted) == (SHA, {"seed": 0})
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert files.keys() == {"reference.npz", "reference.json"}
    read.save(tmp_path / "again")
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}


def test_images_above_the_threshold_are_foreign_and_dark_ones_poor() -> None:
    reference = a_reference()
    scores = np.array([0.4, 0.5, 0.6, np.inf], np.float32)
    assert reference.is_foreign(scores).tolist() == [False, False, True, True]
    assert reference.quality([GOOD, DARK]) == ["", "much darker"]
    assert reference.quality([]) == []


def cut(folder: Path) -> None:
    file = folder / "reference.npz"
    file.write_bytes(file.read_bytes()[:-40])


def change(folder: Path, **values: object) -> None:
    file = folder / "reference.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def of_another(folder: Path) -> None:
    with np.load(folder / "reference.npz") as stored:
        arrays = {**stored, "mean": stored["mean"] + 1}
    np.savez(folder / "reference.npz", **arrays)


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        of_another,
        lambda folder: (folder / "reference.npz").unlink(),
        lambda folder: (folder / "reference.json").write_text('{"format_version": 1}'),
        lambda folder: (folder / "reference.json").write_bytes(b"\xff"),
        lambda folder: change(folder, format_version=99),
        lambda folder: change(folder, foreign={"threshold": "high"}),
    ],
)
def test_damaged_files_are_an_error(tmp_path: Path, damage) -> None:
    a_reference().save(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=r"reference\.json .* damaged"):
        Reference.load(tmp_path)


def test_a_checkpoints_reference_is_found_by_its_weights(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run" / "student" / "best" / "7"
    checkpoint.mkdir(parents=True)
    assert find_reference(checkpoint, {}, SHA) is None
    a_reference().save(tmp_path / "run" / "evaluation")
    found = find_reference(checkpoint, {}, SHA)
    assert found is not None
    assert found.foreign_threshold == 0.5
    assert find_reference(checkpoint, {}, "f" * 64) is None
    teacher = tmp_path / "run" / "teacher" / "best" / "7"
    assert find_reference(teacher, {}, SHA) is None


def test_a_bundle_has_its_own(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    a_reference(threshold=0.25).save(bundle)
    found = find_reference(bundle, {}, SHA)
    assert found is not None
    assert found.foreign_threshold == 0.25
    (bundle / "reference.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        find_reference(bundle, {}, SHA)
