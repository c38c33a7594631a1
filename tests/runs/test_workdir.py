"""What is read from a workdir: its place, its records, its split, its data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakd_jax.errors import UserError
from fakd_jax.runs.workdir import find_workdir, open_data, read_records
from tests.tiny import CLASS_NAMES, write_images


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of each of four classes, five training and three test images."""
    return write_images(tmp_path_factory.mktemp("images"), train=5, test=3)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize(
    ("path", "found"),
    [("student/best/7", True), ("teacher/last/3", True), ("alone", False), ("student/a/7", False)],
)
def test_the_workdir_of_a_checkpoint(tmp_path: Path, path: str, found: bool) -> None:
    assert find_workdir(tmp_path / path) == (tmp_path if found else None)


def test_a_record_cut_short_is_dropped_and_a_damaged_one_is_an_error(tmp_path: Path) -> None:
    assert read_records(tmp_path) == []
    file = tmp_path / "metrics.jsonl"
    record = {"phase": "student", "kind": "val", "step": 1}
    line = json.dumps(record).encode()
    file.write_bytes(line + b"\n" + line + b'\n{"st\xc3')
    assert read_records(tmp_path) == [record, record]
    for damaged in (line[:-1], line.replace(b"phase", b"ph\xffse"), line.replace(b"step", b"stap")):
        file.write_bytes(damaged + b"\n" + line + b"\n")
        with pytest.raises(UserError, match="damaged"):
            read_records(tmp_path)


def test_data_are_opened_with_the_checkpoints_settings(images: Path, cache: Path) -> None:
    settings = {"source": str(images), "cache_dir": str(cache)}
    for metadata in ({"config": {"data": settings}}, {"data": {"source": str(images)}}):
        opened = open_data(metadata, cache_dir=cache, log=lambda line: None)
        assert opened.class_names == CLASS_NAMES
    with pytest.raises(UserError, match="give --data"):
        open_data({})
