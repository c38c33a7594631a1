"""What is read from a workdir: its place, its records, its split, its data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.sources import open_dataset
from fakd_jax.data.splits import make_split
from fakd_jax.errors import UserError
from fakd_jax.runs.files import SPLIT_FILE
from fakd_jax.runs.workdir import choose_ids, find_workdir, open_data, read_records
from tests.tiny import CLASS_NAMES, write_images


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of each of four classes, five training and three test images."""
    return write_images(tmp_path_factory.mktemp("images"), train=5, test=3)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def dataset(images: Path, cache: Path) -> ImageDataset:
    return open_dataset(str(images), cache_dir=cache, log=lambda line: None)


@pytest.mark.parametrize(
    ("path", "found"),
    [("student/best/7", True), ("teacher/last/3", True), ("alone", False), ("student/a/7", False)],
)
def test_the_workdir_of_a_checkpoint(tmp_path: Path, path: str, found: bool) -> None:
    assert find_workdir(tmp_path / path) == (tmp_path if found else None)


def test_a_record_cut_short_is_dropped_and_a_damaged_one_is_an_error(tmp_path: Path) -> None:
    assert read_records(tmp_path) == []
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert read_records(tmp_path) == [{"step": 1}, {"step": 2}]
    file.write_text('{"step": 1\n{"step": 2}\n')
    with pytest.raises(UserError, match="damaged"):
        read_records(tmp_path)


def write_split(dataset: ImageDataset, workdir: Path, **changes: Any) -> dict[str, Any]:
    """Writes the split of a run with these keys changed, and returns its content."""
    file = workdir / SPLIT_FILE
    make_split(dataset, seed=3, validation_fraction=0.4).save(file)
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps(content))
    return content


def test_the_runs_own_test_split_is_followed(dataset: ImageDataset, tmp_path: Path) -> None:
    test = [example.id for example in dataset.examples if example.split == "test"][:4]
    stored = write_split(dataset, tmp_path, test=test)
    chosen = choose_ids(dataset, "test", tmp_path)
    assert (list(chosen.ids), chosen.origin) == (test, "split.json (official, seed 3)")
    assert list(choose_ids(dataset, "val", tmp_path).ids) == stored["val"]
    write_split(dataset, tmp_path, test=[])
    with pytest.raises(UserError, match="has no images"):
        choose_ids(dataset, "test", tmp_path)


@pytest.mark.parametrize(
    ("other_data", "reason"), [(False, r"no split\.json"), (True, "belongs to other data")]
)
def test_without_a_split_of_the_data_only_their_test_images_are_known(
    dataset: ImageDataset, tmp_path: Path, other_data: bool, reason: str
) -> None:
    if other_data:
        write_split(dataset, tmp_path, fingerprint="another")
    chosen = choose_ids(dataset, "test", tmp_path)
    assert (len(chosen.ids), chosen.origin) == (12, "the data itself")
    with pytest.raises(UserError, match=reason):
        choose_ids(dataset, "val", tmp_path)


def test_data_are_opened_with_the_checkpoints_settings(images: Path, cache: Path) -> None:
    settings = {"source": str(images), "cache_dir": str(cache)}
    for metadata in ({"config": {"data": settings}}, {"data": {"source": str(images)}}):
        opened = open_data(metadata, cache_dir=cache, log=lambda line: None)
        assert opened.class_names == CLASS_NAMES
    with pytest.raises(UserError, match="give --data"):
        open_data({})
