"""Logits are used again only for the very same network, images and shift."""

from __future__ import annotations

from pathlib import Path

import grimp
import numpy as np

from fakd_jax.runtime.source_code import source_files
from fakd_jax.stress.journal import COMPUTING, Journal

IDENTITY = {"weights": "a" * 64, "dtype": "float32"}
LOGITS = np.arange(6, dtype=np.float32).reshape(3, 2)
IMAGES = ["x", "y", "z"]
SHIFT = {"family": "dark", "amount": 0.3, "seed": 0}


def test_logits_come_back_and_anything_else_does_not(tmp_path: Path) -> None:
    Journal(IDENTITY, [tmp_path]).save("dark-3", IMAGES, SHIFT, LOGITS)
    journal = Journal(IDENTITY, [tmp_path])
    known = journal.load("dark-3", IMAGES, SHIFT)
    assert known is not None
    np.testing.assert_array_equal(known, LOGITS)
    assert known.dtype == np.float32
    assert journal.load("dark-4", IMAGES, SHIFT) is None
    assert journal.load("dark-3", IMAGES[::-1], SHIFT) is None
    assert journal.load("dark-3", IMAGES, SHIFT | {"seed": 1}) is None
    assert journal.load("dark-3", IMAGES, None) is None
    retrained = Journal(IDENTITY | {"weights": "b" * 64}, [tmp_path])
    assert retrained.load("dark-3", IMAGES, SHIFT) is None
    other_code = Journal(IDENTITY | {"dtype": "bfloat16"}, [tmp_path])
    assert other_code.load("dark-3", IMAGES, SHIFT) is None


def test_damaged_files_are_not_used(tmp_path: Path) -> None:
    journal = Journal(IDENTITY, [tmp_path])
    journal.save("dark-3", IMAGES, SHIFT, LOGITS)
    (file,) = tmp_path.rglob("*.npz")
    content = file.read_bytes()
    for damaged in (b"", b"PK", content[:-30]):
        file.write_bytes(damaged)
        assert journal.load("dark-3", IMAGES, SHIFT) is None
    refused = 0
    for position in range(0, len(content), 7):  # a flip in the archive's own fields may be harmless
        changed = bytes([content[position] ^ 1])
        file.write_bytes(content[:position] + changed + content[position + 1 :])
        known = journal.load("dark-3", IMAGES, SHIFT)
        refused += known is None
        assert known is None or np.array_equal(known, LOGITS)
    assert refused > len(content) // 7 // 2


def test_other_folders_are_read_and_never_written(tmp_path: Path) -> None:
    Journal(IDENTITY, [tmp_path / "earlier"]).save("dark-3", IMAGES, SHIFT, LOGITS)
    journal = Journal(IDENTITY, [tmp_path / "now", tmp_path / "earlier"])
    assert journal.load("dark-3", IMAGES, SHIFT) is not None
    journal.save("dark-1", IMAGES, SHIFT, LOGITS)
    assert [path.name for path in (tmp_path / "earlier").rglob("*.npz")] == ["dark-3.npz"]
    assert [path.name for path in (tmp_path / "now").rglob("*.npz")] == ["dark-1.npz"]


def test_whatever_logits_depend_on_is_part_of_their_identity() -> None:
    graph = grimp.build_graph("fakd_jax", exclude_type_checking_imports=True, cache_dir=None)
    entries = {"inference.predictor", "stress.shifting", "shifts.families"}
    reached = set(entries)
    for entry in entries:
        imported = graph.find_upstream_modules(f"fakd_jax.{entry}")
        reached |= {name.removeprefix("fakd_jax.") for name in imported}
    hashed = {
        ".".join(file.with_suffix("").parts).removesuffix(".__init__")
        for file in source_files(COMPUTING)
    }
    assert {name for name in reached - hashed if "runtime" not in name} == {"errors", "version"}
