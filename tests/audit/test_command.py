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
from tests.reporting.reader import Reader, assert_self_contained


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakd_jax.audit.shortcuts.TREES", 5)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Noise with a mirrored duplicate in test, conflicting labels, a broken file and a stray."""
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
    assert "1 of 9 test images" in capsys.readouterr().out
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
    for part in ("11.1\u00a0%", "broken.png", "notes.txt", "Training/notumor/0.png"):
        assert part in page
    sheets = {path.name: path for path in output.glob("*.png")}
    assert_self_contained(page, beside=sheets)
    shown = {picture["src"]: picture["width"] for picture in Reader(page).attributes("img")}
    assert shown.keys() == sheets.keys()  # as files: the page stays small
    assert {"copies_random.png", "copies_weakest.png", "conflicts.png"} <= set(sheets)
    for name, path in sheets.items():
        with Image.open(path) as sheet:
            assert np.asarray(sheet).std() > 0
            assert shown[name] == str(min(sheet.width, 952))


def test_a_second_audit_reuses_the_search_until_the_source_changes(data, tmp_path, monkeypatch):
    output = audit(data, tmp_path)
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    with monkeypatch.context() as without_search:
        without_search.setattr("fakd_jax.audit.matching.search.find_duplicates", None)
        without_search.setattr("fakd_jax.audit.run.plan_search", None)  # may ask for faiss
        audit(data, tmp_path)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    (data / "Testing/glioma/1.png").unlink()
    audit(data, tmp_path)
    duplicates = json.loads((output / "audit.json").read_text())["summary"]["duplicates"]
    assert sum(row["with_duplicate"] for row in duplicates.values()) == 0
    assert sum(row["test_images"] for row in duplicates.values()) == 8


def test_a_missing_source_ends_in_one_line_and_exit_code_2(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run_command(main, ["--data", "nowhere"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "nowhere" in error
    assert error.count("\n") == 1


def test_an_output_that_is_a_file_is_refused_before_the_search(data, tmp_path):
    (tmp_path / "report").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        audit(data, tmp_path)
    assert not (tmp_path / "cache" / "audits").exists()
