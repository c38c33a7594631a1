"""Sharded safetensors, as Hugging Face's hub has them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from fakd_jax.errors import UserError
from fakd_jax.models.torch_weights import read_state_dict
from fakd_jax.models.torch_weights.safetensors_files import sha256_of_weights
from fakd_jax.runtime.hashing import sha256_of_file

INDEX = "model.safetensors.index.json"
SHARDS = {f"model-0000{number}-of-00002.safetensors": f"layer{number}.weight" for number in (1, 2)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, (name, key) in enumerate(SHARDS.items()):
        safetensors.numpy.save_file({key: np.full(3, number, np.float32)}, tmp_path / name)
    write_index(tmp_path, {key: name for name, key in SHARDS.items()})
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def write_index(folder: Path, weight_map: object) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


@pytest.mark.parametrize("given", ["", INDEX])
def test_shards_are_read_as_one(folder: Path, given: str) -> None:
    read = read_state_dict(folder / given)
    assert {key: value[0] for key, value in read.items()} == {
        "layer1.weight": 0,
        "layer2.weight": 1,
    }
    digest = sha256_of_weights(folder / given)
    safetensors.numpy.save_file({"layer2.weight": np.ones(3)}, folder / list(SHARDS)[1])
    assert sha256_of_weights(folder / given) != digest


def test_a_folder_of_one_file(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    safetensors.numpy.save_file({"a": np.ones(2)}, file)
    assert list(read_state_dict(tmp_path)) == ["a"]
    assert sha256_of_weights(tmp_path) == sha256_of_file(file)


def test_missing_shards_are_all_named(folder: Path) -> None:
    for name in SHARDS:
        (folder / name).unlink()
    with pytest.raises(UserError) as caught:
        read_state_dict(folder)
    assert all(name in str(caught.value) for name in SHARDS)


def test_a_pointer_among_the_shards(folder: Path) -> None:
    name = list(SHARDS)[1]
    (folder / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize 12\n")
    with pytest.raises(UserError, match=f"{name} is a Git LFS pointer"):
        read_state_dict(folder)


def test_a_folder_without_weights_or_with_several(folder: Path) -> None:
    (folder / INDEX).unlink()
    with pytest.raises(UserError, match=r"several files of weights \(model-00001.*give one"):
        read_state_dict(folder)
    for name in SHARDS:
        (folder / name).unlink()
    with pytest.raises(UserError, match=r"no \.safetensors file .*it has config\.json"):
        read_state_dict(folder)


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"a": "../secret.safetensors"}, "is not the name of a file beside it"),
        ({"a": "/etc/passwd"}, "is not the name of a file beside it"),
        ({"a": 3}, "is not an index"),
        (None, "is not an index"),
        ({}, "names no shards"),
    ],
)
def test_a_damaged_index(folder: Path, weight_map: object, message: str) -> None:
    write_index(folder, weight_map)
    with pytest.raises(UserError, match=message):
        read_state_dict(folder / INDEX)


def test_a_key_in_two_shards(folder: Path) -> None:
    safetensors.numpy.save_file({"layer1.weight": np.ones(3)}, folder / list(SHARDS)[1])
    with pytest.raises(UserError, match=r"keys of another shard \(layer1\.weight\)"):
        read_state_dict(folder)
