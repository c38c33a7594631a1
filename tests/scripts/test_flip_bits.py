"""Flipped bits: all are found, and one that is not would be reported."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.tiny import contents, save_tiny_resumable


@pytest.fixture(scope="module")
def script(load_script) -> ModuleType:
    return load_script("flip_bits")


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_resumable(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("flips", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_every_flip_is_found(
    script: ModuleType, workdir: Path, capsys: pytest.CaptureFixture[str], flips: int
) -> None:
    before = contents(workdir)
    script.main([str(workdir), f"--flips={flips}"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" (")[0] for line in lines] == [
        f"{kind}: {flips} of {flips} found" for kind in ("best", "last")
    ]
    assert contents(workdir) == before


def test_a_flip_that_is_not_found_is_reported(
    script: ModuleType,
    workdir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(script, "read_checkpoint", lambda folder: None)
    with pytest.raises(SystemExit, match="1"):
        script.main([str(workdir / "student" / "last" / "7"), "--flips=2"])
    assert "last: 0 of 2 found" in capsys.readouterr().out


def test_every_file_has_a_flip_and_the_others_are_where_the_bytes_are(
    script: ModuleType, tmp_path: Path
) -> None:
    for name, size in (("a", 1), ("b", 10_000), ("empty", 0)):
        (tmp_path / name).write_bytes(bytes(size))
    found = list(script.places(tmp_path, 100, np.random.default_rng(0)))
    assert [file.name for file, _ in found[:2]] == ["a", "b"]
    assert {file.name for file, _ in found[2:]} == {"b"}
    assert all(0 <= bit < 8 * file.stat().st_size for file, bit in found)
    for file, bit in found:
        script.flip(file, bit)
        content = np.unpackbits(np.frombuffer(file.read_bytes(), np.uint8), bitorder="little")
        assert np.flatnonzero(content).tolist() == [bit]
        script.flip(file, bit)
