"""`fakd check`: what it finds damaged in a workdir, and its exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fakd_jax import check
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.errors import UserError
from tests.tiny import contents, edit_metadata, save_tiny_resumable


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's folder with one cell, a workdir."""
    study = tmp_path_factory.mktemp("study")
    workdir = save_tiny_resumable(study / "official" / "seed0" / "student")
    (study / "study.json").write_text("{}")
    (workdir / "config.json").write_text("{}")
    record = {"phase": "student", "kind": "val", "step": 7}
    (workdir / "metrics.jsonl").write_text(f"{json.dumps(record)}\n" * 2)
    (workdir / "student" / "last" / ".8.saving").mkdir()
    return study


@pytest.fixture
def study(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "study"))


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    printed = capsys.readouterr().out.splitlines()[:-1]
    return dict(line.split(": ", 1) for line in printed)


CELL = "official/seed0/student"
CHECKED = {
    f"{CELL}/config.json",
    f"{CELL}/metrics.jsonl",
    f"{CELL}/student/best/7",
    f"{CELL}/student/last/7",
    "study.json",
}


def test_an_intact_study_is_ok(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(study)
    check.main([str(study)])
    assert lines(capsys) == dict.fromkeys(CHECKED, "ok")
    assert contents(study) == before


def test_the_intensity_rule_is_named(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for rule, verdict in (("none", "ok"), ("head_percentiles", "ok (intensity head_percentiles)")):
        settings = Preprocessing(intensity=rule).to_dict()
        edit_metadata(study / CELL / "student/best/7", preprocessing=settings)
        check.main([str(study)])
        assert lines(capsys)[f"{CELL}/student/best/7"] == verdict


@pytest.mark.parametrize(
    ("victim", "damaged", "message"),
    [
        ("student/best/7/metadata.json", "student/best/7", "metadata.json changed"),
        ("student/last/7/position.json", "student/last/7", "position.json changed"),
        ("config.json", "config.json", "Expecting"),
        ("metrics.jsonl", "metrics.jsonl", "is damaged"),
    ],
)
def test_what_is_damaged_is_named(
    study: Path, capsys: pytest.CaptureFixture[str], victim: str, damaged: str, message: str
) -> None:
    file = study / CELL / victim
    file.write_bytes(b"\xff" + file.read_bytes()[1:] if victim == "metrics.jsonl" else b"{\n")
    with pytest.raises(SystemExit, match="1"):
        check.main([str(study / CELL)])
    found = lines(capsys)
    verdict = found.pop(damaged)
    assert verdict.startswith("DAMAGED: ")
    assert message in verdict
    assert set(found.values()) == {"ok"}


def test_a_best_network_that_was_removed(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(study / CELL / "student" / "best" / "7")
    (study / CELL / "student" / "best" / "3").mkdir()
    with pytest.raises(SystemExit, match="1"):
        check.main([str(study / CELL / "student")])
    found = lines(capsys)
    assert "best/7, which is missing" in found["last/7"]
    assert "it has no metadata.json" in found["best/3"]


def test_an_earlier_version_s_checkpoint_cannot_be_verified(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = study / CELL / "student" / "last" / "7"
    (folder / "SHA256SUMS").unlink()
    metadata = json.loads((folder / "metadata.json").read_text())
    del metadata["array_sha256"]
    (folder / "metadata.json").write_text(json.dumps(metadata | {"format_version": 1}))
    check.main([str(folder)])
    assert lines(capsys)["."].startswith("cannot be verified")


def test_folders_with_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        check.main([str(tmp_path / "nowhere")])
    with pytest.raises(UserError, match="nothing to check"):
        check.main([str(tmp_path)])
