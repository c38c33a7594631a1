"""What is read from a workdir: its place, its records, its split, its data."""

from __future__ import annotations

import json
from pathlib import Path

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


def test_the_workdir_of_a_checkpoint(tmp_path: Path) -> None:
    assert find_workdir(tmp_path / "student" / "best" / "7") == tmp_path
    assert find_workdir(tmp_path / "teacher" / "last" / "3") == tmp_path
    assert find_workdir(tmp_path / "alone") is None
    assert find_workdir(tmp_path / "student" / "other" / "7") is None


def test_a_record_cut_short_is_dropped(tmp_path: Path) -> None:
    assert read_records(tmp_path) == []
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert read_records(tmp_path) == [{"step": 1}, {"step": 2}]


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1\n{"step": 2}\n')
    with pytest.raises(UserError, match="damaged"):
        read_records(tmp_path)


def test_the_runs_own_test_split_is_followed(dataset: ImageDataset, tmp_path: Path) -> None:
    file = tmp_path / SPLIT_FILE
    make_split(dataset, seed=3, validation_fraction=0.4).save(file)
    stored = json.loads(file.read_text())
    stored["test"] = stored["test"][:4]
    file.write_text(json.dumps(stored))
    chosen = choose_ids(dataset, "test", tmp_path)
    assert list(chosen.ids) == stored["test"]
    assert chosen.origin == "split.json (official, seed 3)"
    assert list(choose_ids(dataset, "val", tmp_path).ids) == stored["val"]


def test_an_empty_split_is_refused(dataset: ImageDataset, tmp_path: Path) -> None:
    file = tmp_path / SPLIT_FILE
    make_split(dataset, seed=3, validation_fraction=0.4).save(file)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"test": []}))
    with pytest.raises(UserError, match="has no images"):
        choose_ids(dataset, "test", tmp_path)


def test_without_a_split_the_data_tell_their_test_images(dataset: ImageDataset) -> None:
    chosen = choose_ids(dataset, "test", None)
    assert (len(chosen.ids), chosen.origin) == (12, "the data itself")
    with pytest.raises(UserError, match=r"only the run that chose.*there is no split\.json"):
        choose_ids(dataset, "val", None)


def test_a_split_of_other_data(dataset: ImageDataset, tmp_path: Path) -> None:
    file = tmp_path / SPLIT_FILE
    make_split(dataset, seed=3, validation_fraction=0.4).save(file)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"fingerprint": "another"}))
    assert choose_ids(dataset, "test", tmp_path).origin == "the data itself"
    with pytest.raises(UserError, match="belongs to other data"):
        choose_ids(dataset, "train", tmp_path)


def test_data_are_opened_with_the_checkpoints_settings(images: Path, cache: Path) -> None:
    settings = {"source": str(images), "cache_dir": str(cache)}
    for metadata in ({"config": {"data": settings}}, {"data": {"source": str(images)}}):
        opened = open_data(metadata, cache_dir=cache, log=lambda line: None)
        assert opened.class_names == CLASS_NAMES
    with pytest.raises(UserError, match="give --data"):
        open_data({})
