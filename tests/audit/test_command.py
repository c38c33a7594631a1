"""The audit command, end to end on small pictures with duplicates among them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from fakd_jax.audit.__main__ import main
from fakd_jax.cli.runner import run_command
from fakd_jax.errors import UserError
from tests.evaluation.runs import NAMES, write_images


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Noise with a mirrored copy in test, a conflict of labels, a broken file and a stray."""
    folder = write_images(tmp_path / "images", NAMES)
    with Image.open(folder / "Training/glioma/2.png") as original:
        ImageOps.mirror(original).save(folder / "Testing/glioma/1.png")
    with Image.open(folder / "Training/notumor/0.png") as original:
        original.save(folder / "Training/pituitary/0.png")
    (folder / "Training/notumor/broken.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("a stray")
    return folder


def audit(data: Path, tmp_path: Path) -> Path:
    output = tmp_path / "report"
    main(["--data", str(data), "--output", str(output), "--cache_dir", str(tmp_path / "cache")])
    return output


def test_everything_is_found_and_written(data, tmp_path, capsys):
    output = audit(data, tmp_path)
    said = capsys.readouterr().out
    assert "1 of 9 test images have a duplicate among the training images" in said
    assert "conflicting labels   1 groups" in said
    found = json.loads((output / "audit.json").read_text())
    assert found["summary"]["duplicates"]["glioma"]["by_orientation"]["mirrored"] == 1
    assert found["summary"]["conflicts"] == [["Training/notumor/0.png", "Training/pituitary/0.png"]]
    assert list(found["inventory"]["unreadable"]) == ["Training/notumor/broken.png"]
    assert found["inventory"]["strays"] == ["notes.txt"]
    assert found["inventory"]["counts"]["test"] == dict.fromkeys(NAMES, 3)
    with (output / "groups.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert rows["Testing/glioma/1.png"]["duplicate"] == "Training/glioma/2.png"
    page = (output / "report.html").read_text(encoding="utf-8")
    for told in (
        "1 of 9 test images (11.1\u00a0%)",
        "broken.png",
        "notes.txt",
        "Training/notumor/0.png",
    ):
        assert told in page
    pictures = {path.name for path in output.glob("*.png")}
    assert {"copies_random.png", "copies_weakest.png", "conflicts.png"} <= pictures
    for name in pictures:
        with Image.open(output / name) as sheet:
            assert np.asarray(sheet).std() > 0


def test_a_second_audit_uses_the_search_and_writes_the_same(data, tmp_path, capsys):
    output = audit(data, tmp_path)
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    capsys.readouterr()
    audit(data, tmp_path)
    assert "reusing the stored search" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before


def test_a_changed_source_is_audited_anew(data, tmp_path, capsys):
    audit(data, tmp_path)
    (data / "Testing/glioma/1.png").unlink()
    capsys.readouterr()
    audit(data, tmp_path)
    said = capsys.readouterr().out
    assert "0 of 8 test images" in said
    assert "reusing the stored search" not in said


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--data", "nowhere"], "no data at nowhere"),
        ([], "--data"),
        (["--data", "phantom", "--colour", "red"], "--colour"),
    ],
)
def test_mistakes_end_in_one_line(flags, complaint, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run_command(main, flags)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


def test_an_output_that_is_a_file_is_refused_before_the_work(data, tmp_path):
    (tmp_path / "report").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        audit(data, tmp_path)
    assert not (tmp_path / "cache" / "audits").exists()
