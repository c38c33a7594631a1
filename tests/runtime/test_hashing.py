"""Digests are SHA-256 and stay what they were: files on users' disks are found by them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from fakd_jax.runtime.hashing import (
    sha256,
    sha256_of_array,
    sha256_of_file,
    sha256_of_json,
    sha256_of_tree,
)

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1


def test_the_standards_example(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "f") == sha256("abc") == sha256("a", b"b", "c") == ABC


def test_what_is_hashed_of_values_arrays_and_trees() -> None:
    assert sha256_of_json({"b": [1], "a": "é"}) == sha256('{"b": [1], "a": "\\u00e9"}')
    assert sha256_of_json({"b": 1, "a": 2}, sort_keys=True) == sha256('{"a": 2, "b": 1}')
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert sha256_of_array(values) == hashlib.sha256(b"(2, 3) " + values.tobytes()).hexdigest()
    tree = {"b": jnp.ones(2), "a": {"c": jnp.zeros(1)}}
    expected = sha256(
        "['a']['c']", np.zeros(1, "f4").tobytes(), "['b']", np.ones(2, "f4").tobytes()
    )
    assert sha256_of_tree(tree) == expected
